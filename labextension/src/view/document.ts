/**
 * The run document and the messages, as docs/explorer.md defines them: what every surface draws.
 * Mirrors flyte_nb/notebook/views/document.py; change both together.
 */

import type {FormAnswer, FormAsk, FormDocument} from './form/document.js';

/** Flyte's phases in the order that the `phase` column indexes. */
export const PHASES = [
  'queued',
  'waiting_for_resources',
  'initializing',
  'running',
  'paused',
  'succeeded',
  'failed',
  'aborted',
  'timed_out',
  'recovered'
] as const;
export type Phase = (typeof PHASES)[number];

export enum Kind {
  Task = 0,
  Trace = 1,
  Condition = 2
}

/** Columns of equal length, one entry an action; row 0 is the root and a parent stands before its children. */
export interface Columns {
  name: string[];
  parent: number[];
  task: number[];
  kind: number[];
  group: number[];
  phase: number[];
  queued: number[];
  /** When an action had what it asked for and its process began to start. */
  init: (number | null)[];
  start: (number | null)[];
  end: (number | null)[];
  attempt: number[];
  label: string[];
  error: (string | null)[];
  source: string[];
  /** What is being done for an action that has not ended: `building the image`. */
  note: string[];
  /** When the attempts before the last ran: `[[start, end], ...]`; null where there was one only. */
  tries: ([number, number][] | null)[];
}

export interface RunError {
  code: string;
  kind: string;
  message: string;
  place: string;
  /** The action that failed first. */
  action: string;
}

/** A condition that waits for its answer. */
export interface Question {
  action: string;
  name: string;
  prompt: string;
  description: string;
  /** What the answer is. */
  type: 'bool' | 'int' | 'float' | 'str';
  /** When it is over without one, in milliseconds since the run's start; null for never. */
  until: number | null;
}

/** What the header shows, and what a delta renews. */
export interface Head {
  phase: Phase;
  duration_ms: number;
  live: boolean;
  counts: Partial<Record<Phase, number>>;
  total: number;
  note: string;
  error: RunError | null;
  labels: Record<string, string>;
  /** Missing in documents of an earlier release. */
  questions?: Question[];
}

/**
 * Values that came out of one action and went into a later one: `[action, output, action, input, how many]`. An action
 * stands for all of its task, in its group, under parents that are alike.
 */
export type Flow = [string, string, string, string, number];

export interface RunDocument extends Head {
  version: number;
  run: string;
  task: string;
  environment: string;
  started_at: number;
  notebook: string;
  parent_run: string;
  /** What this run does to its parent run: `reruns`, `recovers`, `forks`; empty where a task of that started it. */
  lineage?: string;
  /** Whether the run is a backend's, which keeps its code. */
  elsewhere?: boolean;
  omitted: number;
  /** False where the user's data was kept out of what is saved: labels, values, output, reports. */
  previews?: boolean;
  tasks: string[];
  groups: string[];
  actions: Columns;
  details: Record<string, Detail>;
  /** Of a run that is over, where it is small; null where the page has to ask. */
  flows?: Flow[] | null;
  /** Where a cell started several runs: all of them in order, this one by its name only. */
  runs?: (RunDocument | {run: string})[];
  /** Earlier runs of the cell that are not listed. */
  runs_omitted?: number;
}

export interface Preview {
  kind: 'scalar' | 'text' | 'tree' | 'frame' | 'array' | 'image' | 'file' | 'dir' | 'model' | 'opaque';
  text: string;
  full?: string;
  children?: [string, Preview][];
  length?: number;
  columns?: [string, string][];
  rows?: string[][];
  shape?: number[];
  dtype?: string;
  head?: string;
  png?: string;
  path?: string;
  size_bytes?: number;
  files?: number;
}

export interface Value {
  name: string;
  type: string;
  preview: Preview;
  digest: string;
}

export interface Attempt {
  attempt: number;
  phase: Phase;
  start: number | null;
  end: number | null;
  error: string | null;
}

export interface Traceback {
  code: string;
  kind: string;
  message: string;
  place: string;
  traceback: string;
}

/** `[milliseconds since the epoch, stream, text]`; the text of a `display` entry is a MIME bundle as JSON. */
export type LogLine = [number, string, string];

export interface Detail {
  action: string;
  task: string;
  phase: Phase;
  /** Where its code runs or ran: `kernel`, `scoring worker 2 (4711)`. */
  where: string;
  isolation: string;
  /** Why there; what follows a semicolon is what does not hold there. */
  isolation_reason: string;
  attempts: Attempt[];
  /** Where a reused result comes from: `RUN/ACTION`, `cache:RUN/ACTION`. */
  source: string;
  note: string;
  inputs: Value[] | null;
  outputs: Value[] | null;
  error: Traceback | null;
  logs: LogLine[];
  logs_omitted: number;
  report: string | null;
  /** `[name, address]` of the links that the task declares; missing in documents of an earlier release. */
  links?: [string, string][];
  code: {
    source: string;
    /** `fit(x: int) -> float` */
    signature?: string;
    place: string;
    settings: Record<string, string>;
    digest: string;
  } | null;
  snippet: string;
}

export type ToKernel =
  | {kind: 'hello'; run: string}
  | {kind: 'detail'; action: string}
  | {kind: 'graph'}
  | {kind: 'answer'; ask: string; action: string; value: boolean | string}
  | {kind: 'bundle'; runs: string[]}
  | {kind: Verb; ask: string; action: string}
  | FormAsk;

/** What a reader can do to a run or an action; `plan` tells what a fork would do. */
export type Verb = 'abort' | 'rerun' | 'recover' | 'plan' | 'fork' | 'launch';

/** What came of it; `ask` is that of the message. */
export interface Outcome {
  kind: 'outcome';
  ask: string;
  did: Verb | 'answer';
  /** Why it was not done; empty where it was. */
  refused: string;
  text?: string;
  /** The run that began, and its document as it stood then. */
  run?: string;
  doc?: RunDocument;
  plan?: string;
  form?: FormDocument;
}

export interface Delta {
  kind: 'delta';
  head: Head;
  tasks: string[];
  groups: string[];
  rows: number[];
  actions: Columns;
}

/** `live`: whether the run went on while its flows were looked for. */
export interface GraphAnswer {
  kind: 'graph';
  flows: Flow[];
  live: boolean;
}

/** What a notebook saves of the runs of a cell: data by MIME type. */
export interface Bundle {
  kind: 'bundle';
  run: string;
  data: Record<string, unknown>;
}

/** Why a question has no answer, and whether it may have one later. */
export interface Unanswered {
  kind: 'unanswered';
  asked: 'hello' | 'detail' | 'graph';
  action: string;
  why: string;
  again: boolean;
}

export type FromKernel =
  | {kind: 'snapshot'; doc: RunDocument}
  | Delta
  | {kind: 'detail'; detail: Detail}
  | GraphAnswer
  | Unanswered
  | Bundle
  | Outcome
  | FormAnswer;

/** The way to the kernel that owns the run; without one a document draws what it carries. */
export interface Port {
  send(message: ToKernel): void;
  /** Why nothing can be started through it; missing where it leads to a kernel. */
  readonly cannotStart?: string;
  /** Returns the function that stops listening. */
  onMessage(listener: (message: FromKernel) => void): () => void;
}
