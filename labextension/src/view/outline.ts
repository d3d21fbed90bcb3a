/**
 * Which rows of the run are visible, in order: what the tree and the timeline both draw.
 *
 * A visible row is an action (its row number, >= 0), a group or a folded fan-out (`-1 - id`). Everything is open at first
 * except folded fan-outs and what stands inside them. A filter shows the matches with what they stand under, unfolded.
 * Pure: no DOM.
 */
import {PHASES, type Phase} from './document.js';
import type {FanOut, RunModel} from './model.js';

export interface Filter {
  text: string;
  phase: Phase | null;
}

export interface Line {
  /** An action's row number, or `-1 - id` of a group or a folded fan-out. */
  item: number;
  depth: number;
  /** null when there is nothing to open. */
  open: boolean | null;
}

export class Outline {
  lines: Line[] = [];
  filter: Filter = {text: '', phase: null};
  /** Actions that match the filter; their ancestors are visible but not counted. */
  matches = 0;
  /** What the reader opened (true) or closed, by a name that survives a reload. */
  private chosen = new Map<string, boolean>();
  /** The order in which an open fan-out shows its rows, taken when it was opened so that live rows keep their place. */
  private orders = new Map<string, {rows: number[]; epoch: number}>();
  private positions = new Map<number, number>();

  constructor(private readonly model: RunModel) {
    this.refresh();
  }

  /** Computes the visible rows anew, after the model, the filter or an open state changed. */
  refresh(): void {
    this.lines = [];
    this.matches = 0;
    if (this.model.size > 0) {
      if (this.isFiltered) this.addMatches();
      else this.addAction(0, 0, false);
    }
    this.positions.clear();
    this.lines.forEach((line, index) => this.positions.set(line.item, index));
  }

  get isFiltered(): boolean {
    return this.filter.text !== '' || this.filter.phase !== null;
  }

  setFilter(filter: Filter): void {
    this.filter = filter;
    this.refresh();
  }

  /** Where an item stands among the visible rows, -1 when it does not. */
  position(item: number): number {
    return this.positions.get(item) ?? -1;
  }

  setOpen(index: number, open: boolean): void {
    const line = this.lines[index];
    if (!line || line.open === null || line.open === open || this.isFiltered) return;
    const key = this.key(line.item);
    this.chosen.set(key, open);
    this.orders.delete(key);
    this.refresh();
  }

  toggle(index: number): void {
    const line = this.lines[index];
    if (line) this.setOpen(index, !line.open);
  }

  /** Opens whatever hides an action, and drops a filter that does; returns its position. */
  reveal(row: number): number {
    if (this.position(row) >= 0) return this.position(row);
    if (this.isFiltered) this.setFilter({text: '', phase: null});
    const path: number[] = [];
    for (let at = row; at >= 0; at = this.model.doc.actions.parent[at]) path.unshift(at);
    for (const at of path) {
      const fanOut = this.model.fanOut(at);
      if (this.model.hasLine(fanOut)) this.setOpen(this.position(-1 - fanOut.id), true);
      if (at !== row) this.setOpen(this.position(at), true);
    }
    return this.position(row);
  }

  /** The position of the line that a line stands under; its own for the first. */
  parent(index: number): number {
    for (let at = index - 1; at >= 0; at--) if (this.lines[at].depth < this.lines[index].depth) return at;
    return Math.max(0, index);
  }

  /** The next unsuccessful action after an item in the order of rows, cyclic; -1 when there is none. */
  nextError(after: number): number {
    const from = after >= 0 ? after : -1;
    const {size} = this.model;
    for (let step = 1; step <= size; step++) {
      const row = (from + step) % size;
      if (this.model.isUnsuccessful(row)) return row;
    }
    return -1;
  }

  private addAction(row: number, depth: number, inFold: boolean): void {
    const children = this.model.childrenOf(row);
    const open = children.length > 0 ? this.isOpen(this.key(row), !inFold) : null;
    this.lines.push({item: row, depth, open});
    if (!open) return;
    const added = new Set<number>();
    for (const child of children) {
      const fanOut = this.model.fanOut(child);
      if (!this.model.hasLine(fanOut)) this.addAction(child, depth + 1, inFold);
      else if (!added.has(fanOut.id)) {
        added.add(fanOut.id);
        this.addFanOut(fanOut, depth + 1, inFold);
      }
    }
  }

  private addFanOut(fanOut: FanOut, depth: number, inFold: boolean): void {
    const key = this.key(-1 - fanOut.id);
    const folds = this.model.isFolded(fanOut);
    const open = this.isOpen(key, !folds && !inFold);
    this.lines.push({item: -1 - fanOut.id, depth, open});
    if (!open) return;
    const rows = folds ? this.ordered(fanOut, key) : fanOut.rows;
    for (const row of rows) this.addAction(row, depth + 1, folds || inFold);
  }

  private ordered(fanOut: FanOut, key: string): number[] {
    const known = this.orders.get(key);
    if (known && known.epoch === this.model.epoch) {
      for (let k = known.rows.length; k < fanOut.rows.length; k++) known.rows.push(fanOut.rows[k]);
      return known.rows;
    }
    const rows = this.model.byUrgency(fanOut.rows);
    this.orders.set(key, {rows, epoch: this.model.epoch});
    return rows;
  }

  private addMatches(): void {
    const {parent} = this.model.doc.actions;
    const shown = new Uint8Array(this.model.size);
    for (let row = 0; row < this.model.size; row++) {
      if (!this.isMatch(row)) continue;
      this.matches++;
      for (let at = row; at >= 0 && !shown[at]; at = parent[at]) shown[at] = 1;
    }
    const add = (row: number, depth: number) => {
      const children = this.model.childrenOf(row).filter(child => shown[child]);
      this.lines.push({item: row, depth, open: children.length > 0 ? true : null});
      const added = new Set<number>();
      for (const child of children) {
        const fanOut = this.model.fanOut(child);
        if (fanOut.group < 0) add(child, depth + 1);
        else if (!added.has(fanOut.id)) {
          added.add(fanOut.id);
          this.lines.push({item: -1 - fanOut.id, depth: depth + 1, open: true});
          for (const member of fanOut.rows) if (shown[member]) add(member, depth + 2);
        }
      }
    };
    if (shown[0]) add(0, 0);
  }

  private isMatch(row: number): boolean {
    const {name, label, error, phase} = this.model.doc.actions;
    if (this.filter.phase !== null && PHASES[phase[row]] !== this.filter.phase) return false;
    if (this.filter.text === '') return true;
    const wanted = this.filter.text.toLowerCase();
    return [this.model.taskName(row), label[row], error[row] ?? '', name[row], this.model.groupName(row)].some(text =>
      text.toLowerCase().includes(wanted)
    );
  }

  private isOpen(key: string, byDefault: boolean): boolean {
    return this.chosen.get(key) ?? byDefault;
  }

  private key(item: number): string {
    const {actions} = this.model.doc;
    if (item >= 0) return actions.name[item];
    const {parent, task, group} = this.model.fanOuts[-1 - item];
    return `${actions.name[parent]}/${group >= 0 ? `group/${this.model.doc.groups[group]}` : this.model.doc.tasks[task]}`;
  }
}
