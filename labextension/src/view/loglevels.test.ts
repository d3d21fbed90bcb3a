import assert from 'node:assert/strict';
import {test} from 'node:test';
import {isAtLeast, levelOf} from './loglevels.js';

test('levels are read as logging, warnings and tracebacks write them', () => {
  assert.equal(levelOf('2026-01-01 12:00:00,123 WARNING fit: deep'), 'warning');
  assert.equal(levelOf('ERROR:root:lost'), 'error');
  assert.equal(levelOf('\x1b[33mUserWarning\x1b[0m: the tree is deeper'), 'warning');
  assert.equal(levelOf('Traceback (most recent call last):'), 'error');
  assert.equal(levelOf('ValueError: depth 9'), 'error');
  assert.equal(levelOf('[INFO] started'), 'info');
});

test('what only talks about errors has no level', () => {
  assert.equal(levelOf('the error is 0.3'), null);
  assert.equal(levelOf(`${'x'.repeat(500)} ERROR`), null);
});

test('a level includes those above it', () => {
  assert.deepEqual(
    (['debug', 'info', 'warning', 'error', null] as const).map(level => isAtLeast(level, 'warning')),
    [false, false, true, true, false]
  );
});
