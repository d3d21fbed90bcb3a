/**
 * Which rows of the run are visible, in order: what the tree and the timeline both draw.
 *
 * A visible row is an action (its row number, >= 0), a group or a folded fan-out (`-1 - id`). Everything is open at first
 * except folded fan-outs and what stands inside them. A filter shows the matches with what they stand under, unfolded.
 * Pure: no DOM.
 */
import {PHASES, type Phase} from './document.js';
import type {FanOut, RunModel} from './model.js';
import {AS_CALLED, sorted, type Sort} from './order.js';

export interface Filter {
  text: string;
  phase: Phase | null;
  /** Full name of a task or traced function. */
  task: string | null;
  /** Only what is on the critical path. */
  critical: boolean;
}

const EVERYTHING: Filter = {text: '', phase: null, task: null, critical: false};

export interface Line {
  /** An action's row number, or `-1 - id` of a group or a folded fan-out. */
  item: number;
  depth: number;
  /** null when there is nothing to open. */
  open: boolean | null;
}

/** Items as they were sorted, in the epoch of the model in which that was done. */
interface Order {
  items: number[];
  epoch: number;
}

export class Outline {
  lines: Line[] = [];
  filter: Filter = EVERYTHING;
  sort: Sort = AS_CALLED;
  /** Actions that match the filter; their ancestors are visible but not counted. */
  matches = 0;
  /** What the reader opened (true) or closed, by a name that survives a reload. */
  private chosen = new Map<string, boolean>();
  /** The order under each line, taken when it was opened or sorted so that live rows keep their place. */
  private orders = new Map<string, Order>();
  private positions = new Map<number, number>();

  constructor(private readonly model: RunModel) {
    this.refresh();
  }

  /** Computes the visible rows anew, after the model, the filter, the order or an open state changed. */
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
    const {text, phase, task, critical} = this.filter;
    return text !== '' || phase !== null || task !== null || critical;
  }

  setFilter(change: Partial<Filter>): void {
    this.filter = {...this.filter, ...change};
    this.refresh();
  }

  clearFilter(): void {
    this.setFilter(EVERYTHING);
  }

  setSort(sort: Sort): void {
    this.sort = sort;
    this.orders.clear();
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
    if (this.isFiltered) this.clearFilter();
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
    const open = this.model.childrenOf(row).length > 0 ? this.isOpen(this.key(row), !inFold) : null;
    this.lines.push({item: row, depth, open});
    if (!open) return;
    for (const item of this.itemsUnder(row)) {
      if (item >= 0) this.addAction(item, depth + 1, inFold);
      else this.addFanOut(this.model.fanOuts[-1 - item], depth + 1, inFold);
    }
  }

  private addFanOut(fanOut: FanOut, depth: number, inFold: boolean): void {
    const folds = this.model.isFolded(fanOut);
    const open = this.isOpen(this.key(-1 - fanOut.id), !folds && !inFold);
    this.lines.push({item: -1 - fanOut.id, depth, open});
    if (!open) return;
    for (const row of this.membersOf(fanOut)) this.addAction(row, depth + 1, folds || inFold);
  }

  private addMatches(): void {
    const shown = this.matching();
    const add = (row: number, depth: number) => {
      const items = this.itemsUnder(row).filter(item => item < 0 || shown[item]);
      const line: Line = {item: row, depth, open: null};
      this.lines.push(line);
      for (const item of items) {
        const fanOut = item < 0 ? this.model.fanOuts[-1 - item] : null;
        const rows = fanOut ? this.membersOf(fanOut).filter(member => shown[member]) : [item];
        if (rows.length === 0) continue;
        line.open = true;
        const isGroup = fanOut !== null && fanOut.group >= 0;
        if (isGroup) this.lines.push({item, depth: depth + 1, open: true});
        for (const member of rows) add(member, depth + (isGroup ? 2 : 1));
      }
    };
    if (shown[0]) add(0, 0);
  }

  /** 1 for the rows that match the filter and for those that they stand under. */
  private matching(): Uint8Array {
    const {parent} = this.model.doc.actions;
    const shown = new Uint8Array(this.model.size);
    const isMatch = this.matcher();
    for (let row = 0; row < this.model.size; row++) {
      if (!isMatch(row)) continue;
      this.matches++;
      for (let at = row; at >= 0 && !shown[at]; at = parent[at]) shown[at] = 1;
    }
    return shown;
  }

  private matcher(): (row: number) => boolean {
    const {name, label, error, phase, task} = this.model.doc.actions;
    const {filter} = this;
    const wanted = filter.text.toLowerCase();
    const wantedPhase = filter.phase === null ? -1 : PHASES.indexOf(filter.phase);
    const critical = filter.critical ? this.model.criticalRows : null;
    return row => {
      if (wantedPhase >= 0 && phase[row] !== wantedPhase) return false;
      if (filter.task !== null && this.model.doc.tasks[task[row]] !== filter.task) return false;
      if (critical && !critical.has(row)) return false;
      if (wanted === '') return true;
      return [this.model.taskName(row), label[row], error[row] ?? '', name[row], this.model.groupName(row)].some(text =>
        text.toLowerCase().includes(wanted)
      );
    };
  }

  /** What stands under an action: its children, those of one group or folded fan-out as one item. */
  private itemsUnder(row: number): number[] {
    const items = new Set<number>();
    for (const child of this.model.childrenOf(row)) {
      const fanOut = this.model.fanOut(child);
      items.add(this.model.hasLine(fanOut) ? -1 - fanOut.id : child);
    }
    if (this.sort.key === 'call') return [...items];
    const order = this.order(this.key(row), () => sorted(this.model, [...items], this.sort));
    // What is no longer an item of its own went into a fan-out, which is new.
    order.items = order.items.filter(item => items.delete(item));
    order.items.push(...items);
    return order.items;
  }

  /** The actions of a fan-out; of a folded one the urgent first. */
  private membersOf(fanOut: FanOut): readonly number[] {
    const {rows} = fanOut;
    const isCalled = this.sort.key === 'call';
    if (isCalled && !this.model.isFolded(fanOut)) return rows;
    const order = this.order(this.key(-1 - fanOut.id), () =>
      isCalled ? this.model.byUrgency(rows) : sorted(this.model, rows, this.sort)
    );
    for (let k = order.items.length; k < rows.length; k++) order.items.push(rows[k]);
    return order.items;
  }

  /** The order under a line as it was taken; taken anew when rows may have been renumbered or the run has ended. */
  private order(key: string, take: () => number[]): Order {
    const known = this.orders.get(key);
    if (known?.epoch === this.model.epoch) return known;
    const order = {items: take(), epoch: this.model.epoch};
    this.orders.set(key, order);
    return order;
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
