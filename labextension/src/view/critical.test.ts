import assert from 'node:assert/strict';
import {test} from 'node:test';
import {criticalRows} from './critical.js';
import {RunModel} from './model.js';
import {runDocument, type Row} from './testing.js';

const path = (rows: Row[], live = false) =>
  [...criticalRows(new RunModel(runDocument(rows, {live, duration_ms: 100})))].sort((a, b) => a - b);

test('of children that ran side by side only the last to end is on the path', () => {
  assert.deepEqual(path([{name: 'a', start: 0, end: 30}, {name: 'b', start: 0, end: 80}]), [0, 2]);
});

test('before a child on the path comes the one that ended last before it was called', () => {
  const rows = [
    {name: 'load', start: 0, end: 20},
    {name: 'aside', start: 0, end: 35},
    {name: 'fit', queued: 20, start: 40, end: 90}
  ];
  assert.deepEqual(path(rows), [0, 1, 3]);
});

test('the path goes into the children that are on it, and into no others', () => {
  const rows = [
    {name: 'long', start: 0, end: 90},
    {name: 'short', start: 0, end: 10},
    {name: 'inside', parent: 1, start: 5, end: 80},
    {name: 'elsewhere', parent: 2, start: 5, end: 9}
  ];
  assert.deepEqual(path(rows), [0, 1, 3]);
});

test('a live run has no critical path yet', () => {
  assert.deepEqual(path([{name: 'a', start: 0, end: 30}], true), []);
});
