import assert from 'node:assert/strict';
import test from 'node:test';
import {distinct, partsOf, sharedParts} from './labels.js';
import {RunModel} from './model.js';
import {runDocument, siblings} from './testing.js';

test('a label is split at commas outside brackets and strings', () => {
  assert.deepEqual(partsOf('x=1, y=[2, 3], z="a, b", w=f(1, (2, 3))'), ['x=1', 'y=[2, 3]', 'z="a, b"', 'w=f(1, (2, 3))']);
  assert.deepEqual(partsOf(''), ['']);
});

test('siblings show what differs between them', () => {
  const labels = ['model="svm", c=1.0, train=frame 398 …', 'model="svm", c=10.0, train=frame 39…'];
  const shared = sharedParts(labels);
  assert.deepEqual(
    labels.map(label => distinct(label, shared)),
    ['c=1.0', 'c=10.0']
  );
});

test('siblings that do not differ show all of their label', () => {
  assert.equal(distinct('x=1, y=2', sharedParts(['x=1, y=2', 'x=1, y=2'])), 'x=1, y=2');
});

test('a part that differs from what the compared siblings share is shown', () => {
  assert.equal(distinct('x=1, y=9', sharedParts(['x=1, y=2', 'x=3, y=2'])), 'x=1, y=9');
});

test('an action alone shows all of its inputs, one of several its own', () => {
  const label = (k: number) => ({label: `x=${k}, same=0`});
  assert.equal(new RunModel(runDocument(siblings(1, label))).label(1), 'x=0, same=0');
  assert.equal(new RunModel(runDocument(siblings(3, label))).label(3), 'x=2');
});
