import assert from 'node:assert/strict';
import {test} from 'node:test';
import {durationOf, RunHistory, type RunPage, type RunSummary} from './history.js';

function summary(number: number, changes: Partial<RunSummary> = {}): RunSummary {
  const run = `r${String(number).padStart(3, '0')}`;
  return {
    run,
    task: 'shop.main',
    phase: 'succeeded',
    live: false,
    started_at: number,
    duration_ms: 10,
    actions: 1,
    labels: {},
    notebook: '',
    parent_run: '',
    lineage: '',
    error: '',
    cursor: `1${String(number).padStart(3, '0')}-${run}`,
    ...changes
  };
}

/** Runs `from` down to `to`. */
function page(from: number, to: number, total: number, changes: Partial<RunSummary> = {}): RunPage {
  const runs = Array.from({length: from - to + 1}, (_, k) => summary(from - k, changes));
  return {runs, total, cursor: to > 1 ? (runs.at(-1) as RunSummary).cursor : ''};
}

function numbers(history: RunHistory): number[] {
  return history.entries.map(entry => Number(entry.run.slice(1)));
}

function countdown(from: number, to: number): number[] {
  return Array.from({length: from - to + 1}, (_, k) => from - k);
}

function read(...pages: RunPage[]): RunHistory {
  const history = new RunHistory();
  pages.forEach(each => history.append(each, 'first', 0));
  return history;
}

test('pages follow one another until all is read', () => {
  const history = read(page(30, 21, 30), page(20, 11, 30));
  assert.deepEqual(numbers(history), countdown(30, 11));
  assert.equal(history.isWhole, false);
  history.append(page(10, 1, 30), 'first', 0);
  assert.equal(history.isWhole, true);
});

test('new runs come in front of what was read', () => {
  const history = read(page(30, 21, 30), page(20, 11, 30));
  history.renew(0, page(33, 24, 33), 'second', 5);
  assert.deepEqual(numbers(history), countdown(33, 11));
  assert.equal(history.total, 33);
  assert.equal(history.cursor, page(20, 11, 30).cursor);
});

test('a page read again in the middle leaves what is around it', () => {
  const history = read(page(30, 1, 30));
  history.renew(5, page(25, 21, 30, {phase: 'failed'}), 'second', 5);
  assert.deepEqual(numbers(history), countdown(30, 1));
  const renewed = history.entries.filter(entry => entry.revision === 'second');
  assert.deepEqual(renewed.map(entry => [entry.run, entry.phase])[0], ['r025', 'failed']);
  assert.equal(renewed.length, 5);
});

test('runs that are gone disappear', () => {
  const history = read(page(30, 1, 30));
  const pruned = page(30, 1, 20);
  pruned.runs = pruned.runs.filter(run => run.started_at > 10);
  history.renew(0, {...pruned, cursor: ''}, 'second', 5);
  assert.deepEqual(numbers(history), countdown(30, 11));
  history.renew(0, {runs: [], total: 0, cursor: ''}, 'third', 6);
  assert.deepEqual(numbers(history), []);
  assert.equal(history.isWhole, true);
});

test('more new runs than a page holds begin the list anew', () => {
  const history = read(page(30, 21, 30));
  history.renew(0, page(60, 51, 60), 'second', 5);
  assert.deepEqual(numbers(history), countdown(60, 51));
  assert.equal(history.cursor, page(60, 51, 60).cursor);
});

test('the clock of a live run goes on, that of another stands', () => {
  const history = read({runs: [summary(2, {live: true}), summary(1)], total: 2, cursor: ''});
  assert.deepEqual(
    history.entries.map(entry => durationOf(entry, 7)),
    [17, 10]
  );
});
