/** Documents for the unit tests. */
import {PHASES, type Columns, type Head, type Phase, type RunDocument} from './document.js';

export interface Row {
  name: string;
  parent?: number;
  task?: number;
  group?: number;
  phase?: Phase;
  queued?: number;
  init?: number | null;
  start?: number | null;
  end?: number | null;
  label?: string;
  error?: string | null;
  note?: string;
}

export function columns(rows: Row[]): Columns {
  const of = <T>(read: (row: Row) => T) => rows.map(read);
  return {
    name: of(row => row.name),
    parent: of(row => row.parent ?? 0),
    task: of(row => row.task ?? 1),
    kind: of(() => 0),
    group: of(row => row.group ?? -1),
    phase: of(row => PHASES.indexOf(row.phase ?? 'succeeded')),
    queued: of(row => row.queued ?? row.start ?? 0),
    init: of(row => row.init ?? null),
    start: of(row => row.start ?? null),
    end: of(row => row.end ?? null),
    attempt: of(() => 1),
    label: of(row => row.label ?? ''),
    error: of(row => row.error ?? null),
    source: of(() => ''),
    note: of(row => row.note ?? ''),
    tries: of(() => null)
  };
}

export const head = (changes: Partial<Head> = {}): Head => ({
  phase: 'running',
  duration_ms: 100,
  live: true,
  counts: {},
  total: 0,
  note: '',
  error: null,
  labels: {},
  ...changes
});

/** A run whose root is `main` and whose other rows are `fit` unless they say otherwise. */
export function runDocument(rows: Row[], changes: Partial<RunDocument> = {}): RunDocument {
  return {
    ...head({total: rows.length + 1}),
    version: 1,
    run: 'r1',
    task: 'env.main',
    environment: 'env',
    started_at: 0,
    notebook: '',
    parent_run: '',
    omitted: 0,
    tasks: ['env.main', 'env.fit', 'other.load'],
    groups: ['g'],
    actions: columns([{name: 'a0', parent: -1, task: 0, phase: 'running', start: 0}, ...rows]),
    details: {},
    ...changes
  };
}

/** `n` finished siblings under the root. */
export function siblings(n: number, change: (k: number) => Partial<Row> = () => ({})): Row[] {
  return Array.from({length: n}, (_, k) => ({name: `s${k}`, start: k, end: k + 2, ...change(k)}));
}
