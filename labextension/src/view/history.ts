/** The runs of a store as far as a page has read them: newest first, page by page, and read again where they change. */
import type {Phase} from './document.js';

/** One run, as flyte_nb/server/reader.py sums it up; change both together. */
export interface RunSummary {
  run: string;
  task: string;
  phase: Phase;
  live: boolean;
  /** Milliseconds since the epoch. */
  started_at: number;
  duration_ms: number;
  actions: number;
  labels: Record<string, string>;
  notebook: string;
  parent_run: string;
  lineage: string;
  error: string;
  /** Where the list goes on behind this run; the later of two runs has the greater one. */
  cursor: string;
}

export interface RunPage {
  runs: RunSummary[];
  /** How many runs there are in all. */
  total: number;
  /** Where the next page begins; empty behind the last run. */
  cursor: string;
}

/** A run, and when the page heard of it: by its own clock, and by the store's revision. */
export interface Entry extends RunSummary {
  heardAt: number;
  revision: string;
}

export class RunHistory {
  entries: Entry[] = [];
  total = 0;
  /** Where what was not read yet begins; empty when all is read. */
  cursor = '';

  /** Forgets everything: other runs are wanted. */
  clear(): void {
    this.entries = [];
    this.total = 0;
    this.cursor = '';
  }

  get isWhole(): boolean {
    return this.cursor === '';
  }

  /** Where the page that begins with an entry begins, as the server counts. */
  cursorAt(index: number): string {
    return index <= 0 ? '' : this.entries[index - 1].cursor;
  }

  /** Adds the page that follows what was read. */
  append(page: RunPage, revision: string, now: number): void {
    this.put(this.entries.length, this.entries.length, page, revision, now);
    this.cursor = page.cursor;
  }

  /**
   * Takes a page that begins with an entry, read again: it is the truth from there to its own end. What follows is
   * kept, unless so much is new that the page does not reach what was read before.
   */
  renew(from: number, page: RunPage, revision: string, now: number): void {
    const end = page.runs.at(-1)?.cursor ?? '';
    const after = this.entries.findIndex((entry, index) => index >= from && entry.cursor <= end);
    const reaches = page.cursor !== '' && after >= 0 && this.entries[after].cursor === end;
    this.put(from, reaches ? after + 1 : this.entries.length, page, revision, now);
    if (!reaches) this.cursor = page.cursor;
  }

  private put(from: number, to: number, page: RunPage, revision: string, now: number): void {
    const fresh = page.runs.map(run => ({...run, heardAt: now, revision}));
    this.entries.splice(from, to - from, ...fresh);
    this.total = page.total;
  }
}

/** How long a run has lasted by now: a live one's clock goes on. */
export function durationOf(entry: Entry, now: number): number {
  return entry.duration_ms + (entry.live ? now - entry.heardAt : 0);
}
