/**
 * The comparison of two runs, as docs/explorer.md defines it.
 * Mirrors flyte_nb/notebook/views/comparison.py; change both together.
 */
import type {Phase} from './document.js';

export interface ComparedRun {
  run: string;
  task: string;
  phase: Phase;
  started_at: number;
  duration_ms: number;
  total: number;
  error: string | null;
}

/** An action in one of the runs. */
export interface Side {
  action: string;
  /** Index into PHASES. */
  phase: number;
  /** Milliseconds; null where it did not run to its end. */
  duration: number | null;
  label: string;
  error: string | null;
}

/** What an input or output was on either side: `[name, left, right]`. */
export type Change = [string, string, string];

export interface ComparedRow {
  /** The row that this one stands under, -1 for the roots. */
  parent: number;
  task: string;
  group: string;
  left: Side | null;
  right: Side | null;
  inputs: Change[];
  outputs: Change[];
  /** Empty where nothing differs worth telling. */
  differs: ('outcome' | 'missing' | 'inputs' | 'duration')[];
}

export interface ComparisonDocument {
  version: number;
  left: ComparedRun;
  right: ComparedRun;
  /** Labels, code and settings of tasks that differ. */
  differences: Change[];
  /** How many of all pairs of actions are the same. */
  same: number;
  total: number;
  /** Pairs of actions, a parent before its children; of many those that differ first. */
  rows: ComparedRow[];
}
