/**
 * The run as the explorer holds it: the document's columns, grown in place by deltas, and two indexes over them.
 *
 *     document --load--> columns --applyDelta--> columns
 *                           \--> children of a row
 *                            \-> fan-outs: siblings in the same group, or outside groups of the same task
 *
 * Rows are numbers. Applying a delta costs its own length, whatever the length of the run. Pure: no DOM.
 */
import {criticalRows} from './critical.js';
import {
  PHASES,
  type Columns,
  type Delta,
  type Detail,
  type Flow,
  type GraphAnswer,
  type Head,
  type Phase,
  type RunDocument
} from './document.js';
import {bounded, count} from './format.js';
import {distinct, sharedParts} from './labels.js';
import {phaseWord} from './phases.js';

/** More siblings than this fold into one row. */
export const FOLD_ABOVE = 20;
/** So many siblings are compared to find the inputs that they share. */
const COMPARED = 32;
const LONGEST_NAME = 300;

export interface FanOut {
  id: number;
  parent: number;
  /** -1 in a group of several tasks. */
  task: number;
  group: number;
  rows: number[];
  /** How many of its actions are in each phase, by index into PHASES. */
  counts: number[];
}

/** Before the code of an action ran: in the queue from `queued`, its process being started from `init`, until `to`. */
export interface Wait {
  queued: number;
  init: number;
  to: number;
}

/** What a fan-out did over time: how many of its actions ran in each bin, and whether one failed there. */
export interface Heat {
  running: number[];
  failed: boolean[];
  most: number;
}

const QUEUED = PHASES.indexOf('queued');
const RUNNING = PHASES.indexOf('running');
const FIRST_TERMINAL = PHASES.indexOf('succeeded');
const UNSUCCESSFUL: ReadonlySet<number> = new Set(
  (['failed', 'timed_out', 'aborted'] as Phase[]).map(phase => PHASES.indexOf(phase))
);

export class RunModel {
  /** Rises with every change. */
  version = 0;
  /** Rises when rows came or may have been renumbered. */
  structure = 0;
  /** Rises when rows may have been renumbered and when the run ends: what was sorted by row or phase is due again. */
  epoch = 0;
  details = new Map<string, Detail>();
  fanOuts: FanOut[] = [];
  /** Which outputs became which inputs, as far as that is known. */
  flows: readonly Flow[] = [];
  /** Whether nothing can be added to the flows. */
  flowsAreWhole = false;
  /** Actions that had ended when the kernel sent their detail: nothing can be added to it. */
  private whole = new Set<string>();
  private children: (number[] | undefined)[] = [];
  private fanOutOf: number[] = [];
  private fanOutIds = new Map<string, number>();
  private shared = new Map<string, {compared: number; parts: (string | null)[]}>();
  private rowOfName = new Map<string, number>();
  private critical: {structure: number; rows: ReadonlySet<number>} = {structure: -1, rows: new Set()};

  /** The document: its `actions`, `tasks`, `groups` are copies that this model owns and grows. */
  doc: RunDocument;
  private latest = 0;

  constructor(doc: RunDocument) {
    this.doc = doc;
    this.load(doc);
  }

  /** Replaces everything; details already fetched stay unless the document brings newer ones. */
  load(doc: RunDocument): void {
    if (this.doc.run !== doc.run) {
      this.details.clear();
      this.whole.clear();
      this.flows = [];
      this.flowsAreWhole = false;
    }
    if (doc.flows && !doc.live) this.addFlows({kind: 'graph', flows: doc.flows, live: false});
    this.doc = {
      ...doc,
      tasks: doc.tasks.map(short),
      groups: doc.groups.map(short),
      actions: ownColumns(doc.actions)
    };
    this.fanOuts = [];
    this.children = [];
    this.fanOutOf = [];
    this.fanOutIds.clear();
    this.shared.clear();
    this.rowOfName.clear();
    this.latest = 0;
    for (let row = 0; row < this.size; row++) this.index(row);
    this.addDetails(doc.details);
    this.version++;
    this.structure++;
    this.epoch++;
  }

  /** Takes the head and the details of a document that carries fewer actions than are already here. */
  conclude(doc: RunDocument): void {
    this.setHead(doc);
    this.addDetails(doc.details);
    this.version++;
  }

  applyDelta(delta: Delta): void {
    this.setHead(delta.head);
    this.doc.tasks.push(...delta.tasks.map(short));
    this.doc.groups.push(...delta.groups.map(short));
    const columns = this.doc.actions as unknown as Record<string, unknown[]>;
    const changes = delta.actions as unknown as Record<string, unknown[]>;
    delta.rows.forEach((row, k) => {
      const known = row < this.size && this.doc.actions.name[row] !== undefined;
      const before = known ? this.doc.actions.phase[row] : -1;
      if (known && this.doc.actions.label[row] !== delta.actions.label[k]) this.shared.clear();
      for (const column in columns) columns[column][row] = changes[column]?.[k];
      if (known) this.recount(row, before);
      else this.index(row);
    });
    this.version++;
  }

  /** Takes a detail that the kernel sent. */
  addDetail(detail: Detail): void {
    this.details.set(detail.action, detail);
    if (isOver(detail)) this.whole.add(detail.action);
    this.version++;
  }

  addFlows({flows, live}: GraphAnswer): void {
    this.flows = flows;
    this.flowsAreWhole = !live;
    this.version++;
  }

  /** Whether nothing more is to be had of an action; saved details leave out long output and large reports. */
  isKnown(row: number): boolean {
    const action = this.doc.actions.name[row];
    const detail = this.details.get(action);
    if (!detail || detail.phase !== this.phase(row) || !this.isTerminal(row)) return false;
    const isReported = detail.report !== null || !detail.code?.settings.report;
    const isSavedWhole = this.doc.previews !== false && detail.logs_omitted === 0 && isReported;
    return isSavedWhole || this.whole.has(action);
  }

  get size(): number {
    return this.doc.actions.name.length;
  }

  childrenOf(row: number): readonly number[] {
    return this.children[row] ?? [];
  }

  fanOut(row: number): FanOut {
    return this.fanOuts[this.fanOutOf[row]];
  }

  isFolded(fanOut: FanOut): boolean {
    return fanOut.rows.length > FOLD_ABOVE;
  }

  /** Whether a line stands for the fan-out: for every group, and for what is folded. */
  hasLine(fanOut: FanOut): boolean {
    return fanOut.group >= 0 || this.isFolded(fanOut);
  }

  /** A fan-out's name, and what follows it: `candidates`, `fit ×12`. */
  fanOutWords(fanOut: FanOut): [string, string] {
    const task = fanOut.task >= 0 ? this.shortTask(this.doc.tasks[fanOut.task] ?? '') : '';
    const times = `×${count(fanOut.rows.length)}`;
    return fanOut.group >= 0 ? [this.doc.groups[fanOut.group] ?? '', `${task} ${times}`.trim()] : [task, times];
  }

  /** The inputs that tell an action from its siblings of the same task. */
  label(row: number): string {
    const {label, task} = this.doc.actions;
    const fanOut = this.fanOut(row);
    const compared = Math.min(COMPARED, fanOut.rows.length);
    const key = `${fanOut.id}/${task[row]}`;
    let known = this.shared.get(key);
    if (known?.compared !== compared) {
      const kin = fanOut.rows.slice(0, compared).filter(sibling => task[sibling] === task[row]);
      const labels = kin.map(sibling => label[sibling]).filter(text => text !== ''); // of some it is not known yet
      known = {compared, parts: labels.length > 1 ? sharedParts(labels) : []};
      this.shared.set(key, known);
    }
    return distinct(label[row], known.parts);
  }

  rowOf(action: string): number {
    return this.rowOfName.get(action) ?? -1;
  }

  phase(row: number): Phase {
    return PHASES[this.doc.actions.phase[row]];
  }

  isTerminal(row: number): boolean {
    return this.doc.actions.phase[row] >= FIRST_TERMINAL;
  }

  isUnsuccessful(row: number): boolean {
    return UNSUCCESSFUL.has(this.doc.actions.phase[row]);
  }

  /** The task as a reader of this run needs it: without the environment where that is the run's own. */
  taskName(row: number): string {
    return this.shortTask(this.doc.tasks[this.doc.actions.task[row]] ?? '');
  }

  shortTask(task: string): string {
    const own = `${this.doc.environment}.`;
    return this.doc.environment && task.startsWith(own) && task.length > own.length ? task.slice(own.length) : task;
  }

  groupName(row: number): string {
    return this.doc.groups[this.doc.actions.group[row]] ?? '';
  }

  /** Milliseconds from start to end, or to `now` while it runs; null before it started. */
  durationOf(row: number, now: number): number | null {
    const {start, end} = this.doc.actions;
    const from = start[row];
    if (from === null) return null;
    const to = end[row];
    if (to !== null) return to - from;
    return this.isTerminal(row) ? null : Math.max(0, now - from);
  }

  waitOf(row: number, now: number): Wait {
    const {queued, init, start, end} = this.doc.actions;
    const over = end[row] ?? (this.isTerminal(row) ? queued[row] : now);
    const to = Math.max(queued[row], start[row] ?? over);
    return {queued: queued[row], init: Math.min(init[row] ?? to, to), to};
  }

  /** What is being done for an action whose code does not run yet; empty when it just waits its turn. */
  doing(row: number): string {
    const phase = this.phase(row);
    const waits = phase === 'waiting_for_resources' || phase === 'initializing';
    return this.doc.actions.note[row] || (waits ? phaseWord(phase) : '');
  }

  /** What the run's end waited for; none while it is live. */
  get criticalRows(): ReadonlySet<number> {
    const {structure} = this;
    if (this.critical.structure !== structure) this.critical = {structure, rows: criticalRows(this)};
    return this.critical.rows;
  }

  /** Where the common time axis ends. */
  span(now: number): number {
    return Math.max(1, now, this.latest);
  }

  /** From the first queued to the last end (or `now`) of some actions, in milliseconds since the run's start. */
  extent({rows}: Pick<FanOut, 'rows'>, now: number): [number, number] {
    let from = Infinity;
    let to = 0;
    for (const row of rows) {
      from = Math.min(from, this.doc.actions.queued[row]);
      to = Math.max(to, this.doc.actions.end[row] ?? (this.isTerminal(row) ? 0 : now));
    }
    return [from, Math.max(from, to)];
  }

  heat(fanOut: FanOut, from: number, to: number, bins: number, now: number): Heat {
    const {start, end} = this.doc.actions;
    const change = new Array<number>(bins + 1).fill(0);
    const failed = new Array<boolean>(bins).fill(false);
    const scale = bins / Math.max(1e-9, to - from);
    const binAt = (instant: number) => Math.floor((instant - from) * scale);
    for (const row of fanOut.rows) {
      const began = start[row];
      if (began === null) continue;
      const ended = end[row] ?? (this.isTerminal(row) ? began : now);
      const first = binAt(began);
      const last = binAt(ended);
      if (last < 0 || first >= bins) continue;
      change[Math.max(0, first)]++;
      if (last + 1 <= bins) change[last + 1]--;
      if (this.isUnsuccessful(row) && last < bins) failed[Math.max(0, last)] = true;
    }
    const running: number[] = [];
    let active = 0;
    for (let bin = 0; bin < bins; bin++) running.push((active += change[bin]));
    return {running, failed, most: Math.max(1, ...running)};
  }

  /** Rows of a fan-out: unsuccessful first, then running, waiting, and the rest; in call order within each. */
  byUrgency(rows: readonly number[]): number[] {
    const ranks: number[][] = [[], [], [], []];
    for (const row of rows) {
      const phase = this.doc.actions.phase[row];
      const rank = UNSUCCESSFUL.has(phase) ? 0 : phase === RUNNING ? 1 : phase < FIRST_TERMINAL ? 2 : 3;
      ranks[rank].push(row);
    }
    return ranks.flat();
  }

  private setHead(head: Head): void {
    if (this.doc.live !== head.live) {
      this.epoch++;
      this.structure++;
    }
    const {phase, duration_ms, live, counts, total, note, error, labels, questions} = head;
    Object.assign(this.doc, {phase, duration_ms, live, counts, total, note, error, labels, questions});
  }

  private addDetails(details: Record<string, Detail>): void {
    for (const [action, detail] of Object.entries(details)) {
      if (!this.whole.has(action)) this.details.set(action, detail);
    }
  }

  /** Enters a new row into the indexes. */
  private index(row: number): void {
    const {name, parent, task, group, phase} = this.doc.actions;
    this.structure++;
    this.rowOfName.set(name[row], row);
    if (parent[row] >= 0) (this.children[parent[row]] ??= []).push(row);
    const key = group[row] >= 0 ? `${parent[row]}/group/${group[row]}` : `${parent[row]}/task/${task[row]}`;
    let id = this.fanOutIds.get(key);
    if (id === undefined) {
      id = this.fanOuts.length;
      this.fanOutIds.set(key, id);
      const counts = new Array<number>(PHASES.length).fill(0);
      this.fanOuts.push({id, parent: parent[row], task: task[row], group: group[row], rows: [], counts});
    }
    const fanOut = this.fanOuts[id];
    if (fanOut.task !== task[row]) fanOut.task = -1;
    this.fanOutOf[row] = id;
    fanOut.rows.push(row);
    fanOut.counts[phase[row] ?? QUEUED]++;
    this.noteEnd(row);
  }

  private recount(row: number, before: number): void {
    const {counts} = this.fanOut(row);
    counts[before]--;
    counts[this.doc.actions.phase[row]]++;
    this.noteEnd(row);
  }

  private noteEnd(row: number): void {
    const end = this.doc.actions.end[row];
    if (end !== null && end > this.latest) this.latest = end;
  }
}

/** Copies to grow; a document that an earlier release saved has no `init`, no `note` and no `tries`. */
function ownColumns(columns: Columns): Columns {
  const rows = columns.name.length;
  const missing: Partial<Columns> = {
    init: new Array(rows).fill(null),
    note: new Array(rows).fill(''),
    tries: new Array(rows).fill(null)
  };
  return Object.fromEntries(Object.entries({...missing, ...columns}).map(([k, column]) => [k, [...column]])) as unknown as Columns;
}

/** A name as long as one can be read: it stands in many lines. */
function short(name: string): string {
  return bounded(name, LONGEST_NAME);
}

function isOver({phase}: Detail): boolean {
  return PHASES.indexOf(phase) >= FIRST_TERMINAL;
}
