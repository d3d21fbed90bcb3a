import assert from 'node:assert/strict';
import {test} from 'node:test';
import {loadPlace, toggled} from './celltask.js';

function apply(source: string, options = ''): string | null {
  const change = toggled(source, options);
  return change && change.text + source.slice(change.length);
}

test('a cell becomes a task and a plain cell again', () => {
  const source = 'x = 1\nx';
  const task = apply(source);
  assert.equal(task, '%%flyte run\nx = 1\nx');
  assert.equal(apply(task ?? ''), source);
  assert.equal(apply(''), '%%flyte run\n');
});

test('the options of a task go with it, and those of the settings come', () => {
  assert.equal(apply('%%flyte run --cache auto\nx'), 'x');
  assert.equal(apply('x', ' --cache auto '), '%%flyte run --cache auto\nx');
  assert.equal(apply('%%flyte run'), '');
});

test('cells of another magic are left alone', () => {
  assert.equal(toggled('%%bash\nls', ''), null);
  assert.equal(toggled('%%flyte sql\nSELECT 1', ''), null);
  assert.equal(apply('%time x'), '%%flyte run\n%time x');
});

test('the extension is loaded once, before the first code', () => {
  const title = {type: 'markdown', source: '# %load_ext flyte_nb'};
  const code = {type: 'code', source: 'x = 1'};
  assert.equal(loadPlace([title, code]), 1);
  assert.equal(loadPlace([code]), 0);
  assert.equal(loadPlace([title, {type: 'code', source: 'import os\n%load_ext flyte_nb'}, code]), -1);
});
