import assert from 'node:assert/strict';
import test from 'node:test';
import {PHASES, type Detail} from './document.js';
import {RunModel} from './model.js';
import {columns, head, runDocument, siblings} from './testing.js';

const index = (phase: (typeof PHASES)[number]) => PHASES.indexOf(phase);

test('a delta adds rows, changes rows and renews the head', () => {
  const model = new RunModel(runDocument([{name: 'a', phase: 'running', start: 1}]));
  model.applyDelta({
    kind: 'delta',
    head: head({duration_ms: 250, total: 3, note: 'half way'}),
    tasks: ['env.late'],
    groups: [],
    rows: [1, 2],
    actions: columns([
      {name: 'a', phase: 'failed', start: 1, end: 9, error: 'ValueError: x'},
      {name: 'b', task: 3, phase: 'queued'}
    ])
  });
  assert.equal(model.phase(1), 'failed');
  assert.equal(model.doc.actions.error[1], 'ValueError: x');
  assert.equal(model.taskName(2), 'late');
  assert.deepEqual([...model.childrenOf(0)], [1, 2]);
  assert.equal(model.rowOf('b'), 2);
  assert.deepEqual([model.doc.duration_ms, model.doc.note], [250, 'half way']);
});

test('a delta moves an action between the phase counts of its fan-out', () => {
  const model = new RunModel(runDocument(siblings(3, () => ({phase: 'running', end: null}))));
  const {counts} = model.fanOut(2);
  assert.equal(counts[index('running')], 3);
  const actions = columns([{name: 's1', phase: 'succeeded', start: 1, end: 4}]);
  model.applyDelta({kind: 'delta', head: head(), tasks: [], groups: [], rows: [2], actions});
  assert.deepEqual([counts[index('running')], counts[index('succeeded')]], [2, 1]);
});

test('a label that comes later is compared with those of its siblings, not with what is not known', () => {
  const label = (k: number) => (k < 2 ? `x=${k}, scale=1` : '');
  const model = new RunModel(runDocument(siblings(4, k => ({label: label(k)}))));
  assert.deepEqual([1, 2, 3, 4].map(row => model.label(row)), ['x=0', 'x=1', '', '']);
  const actions = columns([{name: 's2', label: 'x=2, scale=2', start: 2, end: 4}]);
  model.applyDelta({kind: 'delta', head: head(), tasks: [], groups: [], rows: [3], actions});
  assert.deepEqual([1, 2, 3, 4].map(row => model.label(row)), ['x=0, scale=1', 'x=1, scale=1', 'x=2, scale=2', '']);
});

test('the document given to a model stays as it was', () => {
  const doc = runDocument(siblings(2));
  const before = structuredClone(doc);
  const model = new RunModel(doc);
  const actions = columns([{name: 'new'}]);
  model.applyDelta({kind: 'delta', head: head(), tasks: ['t'], groups: ['h'], rows: [3], actions});
  assert.deepEqual(doc, before);
});

test('siblings fold by parent and task, or by group, and only above twenty', () => {
  const model = new RunModel(runDocument([...siblings(20), ...siblings(21, k => ({name: `g${k}`, group: 0}))]));
  assert.equal(model.isFolded(model.fanOut(1)), false);
  assert.equal(model.isFolded(model.fanOut(21)), true);
  assert.equal(model.fanOut(21).rows.length, 21);
});

test('a group has a line whatever its size, named by the group and its task where it has but one', () => {
  const model = new RunModel(runDocument([{name: 'a', group: 0}, {name: 'b', group: 0}, {name: 'c'}]));
  assert.deepEqual([model.hasLine(model.fanOut(1)), model.hasLine(model.fanOut(3))], [true, false]);
  assert.deepEqual(model.fanOutWords(model.fanOut(1)), ['g', 'fit ×2']);
  const mixed = new RunModel(runDocument([{name: 'a', group: 0}, {name: 'b', group: 0, task: 2}]));
  assert.deepEqual(mixed.fanOutWords(mixed.fanOut(1)), ['g', '×2']);
});

test('heat counts what ran at once and marks where one failed', () => {
  const model = new RunModel(
    runDocument([
      {name: 'x', start: 0, end: 50},
      {name: 'y', start: 25, end: 99, phase: 'failed'},
      {name: 'z', start: null, phase: 'queued'}
    ])
  );
  const heat = model.heat(model.fanOut(1), 0, 100, 4, 100);
  assert.deepEqual(heat.running, [1, 2, 2, 1]);
  assert.deepEqual(heat.failed, [false, false, false, true]);
  assert.equal(heat.most, 2);
});

test('durations run to now while an action runs, and are unknown before it starts', () => {
  const rows = [
    {name: 'done', start: 10, end: 30},
    {name: 'on', phase: 'running' as const, start: 10},
    {name: 'not', phase: 'queued' as const},
    {name: 'never', phase: 'aborted' as const, start: 5}
  ];
  const model = new RunModel(runDocument(rows));
  assert.deepEqual(
    [1, 2, 3, 4].map(row => model.durationOf(row, 100)),
    [20, 90, null, null]
  );
});

test('urgency puts the unsuccessful first, then the running, and keeps call order within', () => {
  const phases = ['succeeded', 'running', 'failed', 'queued', 'timed_out', 'running'] as const;
  const model = new RunModel(runDocument(phases.map((phase, k) => ({name: `n${k}`, phase}))));
  assert.deepEqual(model.byUrgency([1, 2, 3, 4, 5, 6]), [3, 5, 2, 6, 4, 1]);
});

test('a shorter concluding document brings its head and details and takes no rows away', () => {
  const model = new RunModel(runDocument(siblings(5)));
  const detail = {action: 's0', phase: 'succeeded'} as Detail;
  model.conclude(runDocument(siblings(2), {phase: 'succeeded', live: false, omitted: 3, details: {s0: detail}}));
  assert.deepEqual([model.size, model.doc.phase, model.details.get('s0')], [6, 'succeeded', detail]);
});

test('a hundred thousand siblings load and grow without quadratic work', () => {
  const model = new RunModel(runDocument(siblings(100_000)));
  for (let k = 0; k < 100; k++) {
    const actions = columns([{name: `more${k}`, start: 1, end: 2}]);
    model.applyDelta({kind: 'delta', head: head(), tasks: [], groups: [], rows: [model.size], actions});
  }
  assert.equal(model.fanOut(1).rows.length, 100_100);
});

test('the wait of an action is divided where its process began to start', () => {
  const model = new RunModel(
    runDocument([
      {name: 'w', phase: 'waiting_for_resources', queued: 10},
      {name: 'i', phase: 'initializing', queued: 10, init: 40},
      {name: 'r', phase: 'running', queued: 10, init: 40, start: 60},
      {name: 'k', phase: 'succeeded', queued: 10, start: 20, end: 90},
      {name: 'x', phase: 'aborted', queued: 10, end: 30},
      {name: 'again', phase: 'initializing', queued: 10, start: 20, init: 50}
    ])
  );
  assert.deepEqual(model.waitOf(1, 100), {queued: 10, init: 100, to: 100});
  assert.deepEqual(model.waitOf(2, 100), {queued: 10, init: 40, to: 100});
  assert.deepEqual(model.waitOf(3, 100), {queued: 10, init: 40, to: 60});
  assert.deepEqual(model.waitOf(4, 100), {queued: 10, init: 20, to: 20});
  assert.deepEqual(model.waitOf(5, 100), {queued: 10, init: 30, to: 30});
  assert.deepEqual(model.waitOf(6, 100), {queued: 10, init: 20, to: 20});
});

test('what is done for an action that waits is said, in its own words where there are some', () => {
  const model = new RunModel(
    runDocument([
      {name: 'q', phase: 'queued'},
      {name: 'w', phase: 'waiting_for_resources'},
      {name: 'i', phase: 'initializing', note: 'image: + pandas==3.0'},
      {name: 'r', phase: 'running', start: 1}
    ])
  );
  assert.deepEqual(
    [1, 2, 3, 4].map(row => model.doing(row)),
    ['', 'waiting for resources', 'image: + pandas==3.0', '']
  );
});

test('a document that an earlier release saved lacks some columns', () => {
  const doc = runDocument(siblings(2));
  const {init, note, ...earlier} = doc.actions;
  const model = new RunModel({...doc, actions: earlier as typeof doc.actions});
  assert.equal(model.doing(1), '');
  assert.deepEqual(model.waitOf(2, 10), {queued: 1, init: 1, to: 1});
});
