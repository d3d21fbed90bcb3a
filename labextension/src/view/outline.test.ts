import assert from 'node:assert/strict';
import test from 'node:test';
import {RunModel} from './model.js';
import {Outline} from './outline.js';
import {columns, head, runDocument, siblings, type Row} from './testing.js';

function outlineOf(rows: Row[]): {model: RunModel; outline: Outline} {
  const model = new RunModel(runDocument(rows));
  return {model, outline: new Outline(model)};
}

const items = (outline: Outline) => outline.lines.map(line => line.item);

test('everything is open at first, in call order and with its depth', () => {
  const {outline} = outlineOf([{name: 'a'}, {name: 'b', parent: 1}, {name: 'c'}]);
  assert.deepEqual(items(outline), [0, 1, 2, 3]);
  assert.deepEqual(
    outline.lines.map(line => line.depth),
    [0, 1, 2, 1]
  );
});

test('a large fan-out is one line that opens with failures first', () => {
  const {outline, model} = outlineOf(siblings(30, k => ({phase: k === 17 ? 'failed' : 'succeeded'})));
  assert.deepEqual(items(outline), [0, -1 - model.fanOut(1).id]);
  outline.toggle(1);
  assert.equal(outline.lines.length, 32);
  assert.equal(outline.lines[2].item, 18);
});

test('rows of an open fan-out keep their place while the run is live and sort anew when it ends', () => {
  const {outline, model} = outlineOf(siblings(30, () => ({phase: 'running', end: null})));
  outline.toggle(1);
  const before = items(outline);
  const failed = columns([{name: 's9', phase: 'failed', start: 9, end: 12}]);
  model.applyDelta({kind: 'delta', head: head(), tasks: [], groups: [], rows: [10], actions: failed});
  outline.refresh();
  assert.deepEqual(items(outline), before);
  model.applyDelta({kind: 'delta', head: head({live: false}), tasks: [], groups: [], rows: [], actions: columns([])});
  outline.refresh();
  assert.equal(outline.lines[2].item, 10);
});

test('open rows stay open when a fresh snapshot of the run is loaded', () => {
  const {outline, model} = outlineOf([...siblings(30), {name: 'p', task: 2}, {name: 'child', parent: 31}]);
  outline.toggle(1);
  outline.setOpen(outline.position(31), false);
  const before = items(outline);
  model.load(runDocument([...siblings(30), {name: 'p', task: 2}, {name: 'child', parent: 31}]));
  outline.refresh();
  assert.deepEqual(items(outline), before);
});

test('a group stands where its first action was called, open, and its actions under it', () => {
  const {outline, model} = outlineOf([{name: 'a', group: 0}, {name: 'b'}, {name: 'c', group: 0, task: 2}]);
  const group = -1 - model.fanOut(1).id;
  assert.deepEqual(items(outline), [0, group, 1, 3, 2]);
  outline.toggle(1);
  assert.deepEqual(items(outline), [0, group, 2]);
  outline.setFilter({text: 'load', phase: null});
  assert.deepEqual(items(outline), [0, group, 3]);
});

test('a filter shows matches with their ancestors, unfolded, and counts the matches', () => {
  const {outline} = outlineOf([...siblings(30), {name: 'deep', parent: 5, label: 'alpha=9'}]);
  outline.setFilter({text: 'ALPHA', phase: null});
  assert.deepEqual(items(outline), [0, 5, 31]);
  assert.equal(outline.matches, 1);
});

test('a phase filter shows only that phase', () => {
  const {outline} = outlineOf(siblings(30, k => ({phase: k % 10 === 0 ? 'failed' : 'succeeded'})));
  outline.setFilter({text: '', phase: 'failed'});
  assert.deepEqual(items(outline), [0, 1, 11, 21]);
});

test('revealing an action opens what hides it and drops a filter that does', () => {
  const {outline} = outlineOf([...siblings(30), {name: 'deep', parent: 5}]);
  outline.setFilter({text: 's2', phase: null});
  const at = outline.reveal(31);
  assert.equal(outline.lines[at].item, 31);
});

test('the next error goes round', () => {
  const {outline} = outlineOf(siblings(9, k => ({phase: k === 2 || k === 6 ? 'failed' : 'succeeded'})));
  assert.deepEqual([outline.nextError(0), outline.nextError(3), outline.nextError(7)], [3, 7, 3]);
  assert.equal(outlineOf(siblings(3)).outline.nextError(0), -1);
});

test('the parent of a line is the nearest line above with less depth', () => {
  const {outline} = outlineOf([{name: 'a'}, {name: 'b', parent: 1}, {name: 'c', parent: 1}]);
  assert.deepEqual(
    [0, 1, 2, 3].map(at => outline.parent(at)),
    [0, 0, 1, 1]
  );
});

test('siblings are sorted by a head, those of a group too, and by the call again', () => {
  const {outline} = outlineOf(siblings(3, k => ({start: 0, end: [20, 90, 50][k]})));
  outline.setSort({key: 'duration', descending: true});
  assert.deepEqual(items(outline), [0, 2, 3, 1]);
  outline.setSort({key: 'duration', descending: false});
  assert.deepEqual(items(outline), [0, 1, 3, 2]);
  outline.setSort({key: 'call', descending: false});
  assert.deepEqual(items(outline), [0, 1, 2, 3]);
});

test('names are sorted as people count', () => {
  const {outline} = outlineOf(siblings(3, k => ({label: `x=${[10, 9, 1][k]}`})));
  outline.setSort({key: 'name', descending: false});
  assert.deepEqual(items(outline), [0, 3, 2, 1]);
});

test('sorted rows keep their place while the run is live; new ones come last', () => {
  const {outline, model} = outlineOf(siblings(3, k => ({phase: 'running', start: k, end: null})));
  outline.setSort({key: 'duration', descending: true});
  const before = items(outline);
  const actions = columns([
    {name: 's2', phase: 'succeeded', start: 2, end: 900},
    {name: 's3', phase: 'running', start: 3}
  ]);
  model.applyDelta({kind: 'delta', head: head(), tasks: [], groups: [], rows: [3, 4], actions});
  outline.refresh();
  assert.deepEqual(items(outline), [...before, 4]);
});

test('a fan-out that folds while its siblings are sorted takes their place', () => {
  const {outline, model} = outlineOf([...siblings(20), {name: 'x', task: 2, start: 0, end: 90}]);
  outline.setSort({key: 'duration', descending: true});
  const actions = columns([{name: 's20', start: 5, end: 6}]);
  model.applyDelta({kind: 'delta', head: head(), tasks: [], groups: [], rows: [22], actions});
  outline.refresh();
  assert.deepEqual(items(outline), [0, 21, -1 - model.fanOut(1).id]);
});

test('a task and the critical path can be filtered for', () => {
  const rows = [{name: 'a', start: 0, end: 10}, {name: 'b', task: 2, start: 10, end: 90}, {name: 'c', start: 10, end: 20}];
  const model = new RunModel(runDocument(rows, {live: false, duration_ms: 100}));
  const outline = new Outline(model);
  outline.setFilter({task: 'env.fit'});
  assert.deepEqual(items(outline), [0, 1, 3]);
  outline.setFilter({critical: true});
  assert.deepEqual(items(outline), [0, 1]);
  outline.clearFilter();
  assert.equal(outline.lines.length, 4);
});
