/**
 * The page's side of `explorer.py`: a run of any size, a kernel that changes it a thousand times a second, and the
 * measuring of what that costs. Loaded into a blank page; talks through `window.bench`.
 */
import {drawRun} from '/widget.js';

const RUNNING = 3;
const SUCCEEDED = 5;
const LINE_HEIGHT = 26;
/** Every so often the kernel says what changed. */
const DELTA_MS = 100;
/** Of each delta so many rows are in view: forty changes a second to be seen. */
const CHANGES_IN_VIEW = 4;
/** A change is on screen within so many frames of its message. */
const FRAMES_ALLOWED = 2;

/** A root with one fan-out of running actions, as the text that arrives in a page. */
function documentText(actions) {
  const column = value => Array.from({length: actions}, (_, row) => (typeof value === 'function' ? value(row) : value));
  return JSON.stringify({
    version: 1,
    run: 'rbench',
    task: 'squares.main',
    environment: 'squares',
    phase: 'running',
    started_at: Date.now(),
    duration_ms: actions,
    live: true,
    labels: {},
    notebook: 'bench.ipynb',
    parent_run: '',
    lineage: '',
    note: '',
    error: null,
    counts: {running: actions},
    total: actions,
    omitted: 0,
    tasks: ['squares.main', 'squares.square'],
    groups: [],
    actions: {
      name: column(row => (row ? `a${(row * 2654435761 % 2 ** 32).toString(36)}${row}` : 'a0')),
      parent: column(row => (row ? 0 : -1)),
      task: column(row => (row ? 1 : 0)),
      kind: column(0),
      group: column(-1),
      phase: column(RUNNING),
      queued: column(row => row * 0.7),
      init: column(null),
      start: column(row => row * 0.7 + 1),
      end: column(null),
      attempt: column(1),
      label: column(row => (row ? `x=${row}` : '')),
      error: column(null),
      source: column(''),
      note: column('')
    },
    details: {}
  });
}

/** Plays the kernel: answers nothing, says what changed. */
class Kernel {
  listener = () => undefined;
  /** What was last said of a row: how often it was tried. */
  attempts = new Map();
  sent = 0;

  constructor(text) {
    this.doc = JSON.parse(text);
    this.succeeded = 0;
  }

  get port() {
    return {send: () => undefined, onMessage: listener => ((this.listener = listener), () => undefined)};
  }

  connect(text) {
    this.listener(JSON.parse(`{"kind": "snapshot", "doc": ${text}}`));
  }

  /** Some of the changes are of rows in view, the others anywhere. */
  say(changes, inView) {
    const {actions} = this.doc;
    const rows = new Set();
    while (rows.size < changes) {
      const near = rows.size < Math.min(CHANGES_IN_VIEW, inView.length);
      rows.add(near ? inView[rows.size] : 1 + Math.floor(Math.random() * (this.doc.total - 1)));
    }
    const text = JSON.stringify(this.delta([...rows], actions));
    this.listener(JSON.parse(text));
    this.sent += changes;
    return [...rows];
  }

  delta(rows, actions) {
    for (const row of rows) {
      this.attempts.set(row, (this.attempts.get(row) ?? 1) + 1);
      const ends = actions.phase[row] === RUNNING;
      this.succeeded += ends ? 1 : -1;
      actions.phase[row] = ends ? SUCCEEDED : RUNNING;
      actions.end[row] = ends ? actions.start[row] + 40 + (row % 900) : null;
      actions.attempt[row] = this.attempts.get(row);
    }
    const {phase, duration_ms, live, note, error, labels, total} = this.doc;
    const counts = {running: total - this.succeeded, succeeded: this.succeeded};
    const columns = Object.entries(actions).map(([name, column]) => [name, rows.map(row => column[row])]);
    const head = {phase, duration_ms: (this.doc.duration_ms += DELTA_MS), live, note, error, labels, total, counts};
    return {kind: 'delta', head, tasks: [], groups: [], rows, actions: Object.fromEntries(columns)};
  }
}

class Bench {
  intervals = [];
  /** Changes that were in view: on screen in time, and not. */
  shown = 0;
  missed = 0;

  constructor(actions) {
    this.text = documentText(actions);
    this.kernel = new Kernel(this.text);
    this.element = document.body.appendChild(document.createElement('div'));
  }

  /** Milliseconds from the arrived text to the frame that shows its rows. */
  async firstPaint() {
    const began = performance.now();
    drawRun(this.element, JSON.parse(this.text), this.kernel.port);
    while (!this.element.querySelector('.fnb-row')) await frame();
    await frame();
    const painted = performance.now() - began;
    this.kernel.connect(this.text);
    return painted;
  }

  /** Opens the fan-out. */
  async open() {
    await frame();
    const line = this.element.querySelectorAll('.fnb-row')[1];
    line.querySelector('.fnb-twisty').click();
    await frame();
    return this.lines;
  }

  get lines() {
    return Number(this.element.querySelector('[role=treegrid]').getAttribute('aria-rowcount'));
  }

  start(changesPerSecond) {
    this.intervals = [];
    this.longTasks = [];
    this.observer = new PerformanceObserver(list => this.longTasks.push(...list.getEntries().map(one => one.duration)));
    this.observer.observe({entryTypes: ['longtask']});
    let before = performance.now();
    const tick = now => {
      this.intervals.push(now - before);
      before = now;
      this.running = requestAnimationFrame(tick);
    };
    this.running = requestAnimationFrame(tick);
    this.feeding = setInterval(() => void this.feed((changesPerSecond * DELTA_MS) / 1000), DELTA_MS);
  }

  stop() {
    cancelAnimationFrame(this.running);
    clearInterval(this.feeding);
    this.observer.disconnect();
    const {shown, missed} = this;
    this.shown = this.missed = 0;
    return {intervals: this.intervals, longTasks: this.longTasks, changes: this.kernel.sent, shown, missed};
  }

  async feed(changes) {
    const rows = this.kernel.say(changes, this.rowsInView());
    const wanted = new Map(rows.map(row => [row, this.kernel.attempts.get(row)]));
    for (let n = 0; n < FRAMES_ALLOWED; n++) await frame();
    for (const [row, line] of this.linesInView()) {
      if (!wanted.has(row) || this.kernel.attempts.get(row) !== wanted.get(row)) continue;
      if (line.textContent.includes(`↻ ${wanted.get(row)}`)) this.shown++;
      else this.missed++;
    }
  }

  rowsInView() {
    return [...this.linesInView().keys()];
  }

  /** The lines of actions on screen, by row: the label says `x=` and the row's number. */
  linesInView() {
    const found = new Map();
    const scroller = this.element.querySelector('[role=treegrid]');
    const top = Math.floor(scroller.scrollTop / LINE_HEIGHT);
    const bottom = top + scroller.clientHeight / LINE_HEIGHT;
    for (const line of scroller.querySelectorAll('.fnb-row')) {
      const index = Number(line.dataset.index);
      const label = /^x=(\d+)$/.exec(line.querySelector('.fnb-label')?.textContent ?? '');
      if (label && index >= top && index < bottom) found.set(Number(label[1]), line);
    }
    return found;
  }
}

const frame = () => new Promise(requestAnimationFrame);

window.Bench = Bench;
