/**
 * The tree table: one line an action or folded fan-out, with its duration and a thin bar on the run's time axis.
 * Virtual: only the lines inside the scrolled window have elements, and those are used again while scrolling.
 */
import {Kind, PHASES} from './document.js';
import {chevron, el, layers, present, setOnce, type Child} from './dom.js';
import {duration, instant, plural, ticks} from './format.js';
import type {FanOut, RunModel} from './model.js';
import {AS_CALLED, type SortKey} from './order.js';
import type {Line, Outline} from './outline.js';
import {BY_URGENCY, phaseIcon, phaseTone, phaseWord} from './phases.js';
import {tally} from './tally.js';

export const LINE_HEIGHT = 26;
const OVERSCAN = 4;
const HEAT_BINS = 48;
const DEEPEST_INDENT = 14;

export interface TreeActions {
  select(item: number): void;
  toggle(index: number): void;
}

/** The elements of one visible line. */
interface RowElements {
  row: HTMLElement;
  name: HTMLElement;
  time: HTMLElement;
  track: HTMLElement;
  drawn: string;
  index: number;
  /** What it was drawn for, and when. */
  line: Line | null;
  version: number;
  now: number;
}

let trees = 0;

export class Tree {
  readonly node = el('div', {class: 'fnb-treepane'});
  private readonly id = `fnb-tree-${++trees}`;
  private readonly axis = el('div', {class: 'fnb-axis', 'aria-hidden': 'true'});
  private readonly sorters: Record<Exclude<SortKey, 'call'>, HTMLButtonElement> = {
    phase: this.sorter('phase', 'Phase'),
    name: this.sorter('name', 'Action'),
    duration: this.sorter('duration', 'Duration'),
    start: this.sorter('start', 'Start')
  };
  private readonly scroller = el('div', {
    class: 'fnb-scroller',
    tabindex: 0,
    role: 'treegrid',
    'aria-label': 'Actions'
  });
  private readonly canvas = el('div', {class: 'fnb-lines', role: 'rowgroup'});
  /** Behind all lines, so that a tick of the clock restyles one element and not each line. */
  private readonly gridlines = el('i');
  private readonly grid = el('div', {class: 'fnb-gridlines', 'aria-hidden': 'true'}, this.gridlines);
  private readonly empty = el('div', {class: 'fnb-empty'});
  private readonly pool = new Map<number, RowElements>();
  /** Where the window stands and its size, as they were when they last changed; the first size is a guess. */
  private top = 0;
  private height = 420;
  private axisWidth = 0;
  private marked = '';

  constructor(
    private readonly model: RunModel,
    private readonly outline: Outline,
    private readonly actions: TreeActions,
    private readonly repaint: () => void
  ) {
    const heads = el(
      'div',
      {class: 'fnb-columns', role: 'row'},
      el('div', {class: 'fnb-column-name', role: 'presentation'}, head(this.sorters.phase), head(this.sorters.name)),
      el('div', {class: 'fnb-column-time', role: 'columnheader'}, this.sorters.duration),
      el('div', {class: 'fnb-column-track', role: 'columnheader'}, this.axis, this.sorters.start)
    );
    heads.id = `${this.id}-heads`;
    this.scroller.setAttribute('aria-owns', heads.id);
    this.canvas.append(this.grid);
    this.scroller.append(this.canvas);
    this.node.append(heads, this.scroller, this.empty);
    this.scroller.addEventListener('scroll', () => this.onScroll());
    this.scroller.addEventListener('click', event => this.onClick(event));
    new ResizeObserver(() => this.onResize()).observe(this.scroller);
  }

  /** The element that has the keyboard. */
  get focusable(): HTMLElement {
    return this.scroller;
  }

  /** How many lines fit, for paging. */
  get page(): number {
    return Math.max(1, Math.floor(this.height / LINE_HEIGHT) - 1);
  }

  /** Reads no geometry: that would lay out the page in the middle of a frame. */
  update(selected: number, now: number): void {
    const {lines} = this.outline;
    this.canvas.style.height = `${lines.length * LINE_HEIGHT}px`;
    setOnce(this.scroller, 'aria-rowcount', String(lines.length));
    const nothing = lines.length === 0 || (this.outline.isFiltered && this.outline.matches === 0);
    this.node.classList.toggle('fnb-nothing', nothing);
    this.empty.textContent = nothing ? this.emptyWords() : '';
    this.updateSorters();
    this.updateAxis(now);
    const first = Math.max(0, Math.floor(this.top / LINE_HEIGHT) - OVERSCAN);
    const last = Math.min(lines.length, Math.ceil((this.top + this.height) / LINE_HEIGHT) + OVERSCAN);
    this.recycle(first, last);
    for (let index = first; index < last; index++) this.updateLine(index, selected, now);
    const at = this.outline.position(selected);
    setOnce(this.scroller, 'aria-activedescendant', at >= first && at < last ? `${this.id}-${at}` : null);
  }

  private onScroll(): void {
    this.top = this.scroller.scrollTop;
    this.repaint();
  }

  private onResize(): void {
    if (this.scroller.clientHeight === 0) return; // hidden: it comes back as it was
    this.height = this.scroller.clientHeight;
    this.axisWidth = this.axis.clientWidth;
    this.grid.style.height = `${this.height}px`;
    this.onScroll();
  }

  scrollTo(index: number): void {
    const top = index * LINE_HEIGHT;
    const {scrollTop, clientHeight} = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + LINE_HEIGHT > scrollTop + clientHeight) this.scroller.scrollTop = top + LINE_HEIGHT - clientHeight;
  }

  private sorter(key: Exclude<SortKey, 'call'>, words: string): HTMLButtonElement {
    const sort = () => this.sortBy(key);
    return el('button', {class: 'fnb-sorter', type: 'button', onclick: sort}, words);
  }

  /** By this key, then the other way round, then as called again; of durations the longest comes first. */
  private sortBy(key: Exclude<SortKey, 'call'>): void {
    const first = key === 'duration';
    const {sort} = this.outline;
    const next = sort.key !== key ? {key, descending: first} : {key, descending: !first};
    this.outline.setSort(sort.key === key && sort.descending !== first ? AS_CALLED : next);
    this.repaint();
  }

  private updateSorters(): void {
    const {key, descending} = this.outline.sort;
    for (const [name, button] of Object.entries(this.sorters)) {
      const order = name !== key ? 'none' : descending ? 'descending' : 'ascending';
      if (button.dataset.order === order) continue;
      button.dataset.order = order;
      const words = order === 'none' ? 'Sort by' : `Sorted ${order} by`;
      button.title = button.ariaLabel = `${words} ${name}`;
      button.parentElement?.setAttribute('aria-sort', order);
    }
  }

  private emptyWords(): string {
    if (this.outline.isFiltered) return 'No action matches. Esc clears the filter.';
    return this.model.doc.live ? 'Waiting for the first action…' : 'This run recorded no actions.';
  }

  /** Gives the elements of lines that left the window to those that entered it. */
  private recycle(first: number, last: number): void {
    const free: RowElements[] = [];
    for (const [index, elements] of this.pool) {
      if (index >= first && index < last) continue;
      this.pool.delete(index);
      free.push(elements);
    }
    for (let index = first; index < last; index++) {
      if (this.pool.has(index)) continue;
      this.pool.set(index, free.pop() ?? this.newRow());
    }
    for (const {row} of free) row.remove();
  }

  private newRow(): RowElements {
    const name = el('div', {class: 'fnb-cell-name', role: 'gridcell'});
    const time = el('div', {class: 'fnb-cell-time', role: 'gridcell'});
    const track = el('div', {class: 'fnb-cell-track', role: 'gridcell'});
    const row = el('div', {class: 'fnb-row', role: 'row'}, name, time, track);
    this.canvas.append(row);
    return {row, name, time, track, drawn: '', index: -1, line: null, version: -1, now: -1};
  }

  private updateLine(index: number, selected: number, now: number): void {
    const line = this.outline.lines[index];
    const elements = this.pool.get(index) as RowElements;
    const {row} = elements;
    if (elements.index !== index) {
      elements.index = index;
      row.style.transform = `translateY(${index * LINE_HEIGHT}px)`;
      row.id = `${this.id}-${index}`;
      row.dataset.index = String(index);
      row.setAttribute('aria-rowindex', String(index + 1));
    }
    setOnce(row, 'aria-level', String(line.depth + 1));
    setOnce(row, 'aria-selected', String(line.item === selected));
    setOnce(row, 'aria-expanded', line.open === null ? null : String(line.open));
    const {version} = this.model;
    if (elements.line === line && elements.version === version && elements.now === now) return;
    Object.assign(elements, {line, version, now});
    if (line.item >= 0) this.updateAction(elements, line, now);
    else this.updateFanOut(elements, line, this.model.fanOuts[-1 - line.item], now);
  }

  private updateAction(elements: RowElements, line: Line, now: number): void {
    const row = line.item;
    const {start, end, attempt, tries, label, error, source, kind} = this.model.doc.actions;
    const phase = this.model.phase(row);
    const name = this.model.taskName(row);
    const own = this.model.label(row);
    const doing = this.model.doing(row);
    const signature = [
      row,
      line.depth,
      line.open,
      phase,
      name,
      attempt[row],
      tries[row]?.length,
      own,
      error[row],
      source[row],
      doing
    ].join('\n');
    if (signature !== elements.drawn) {
      elements.drawn = signature;
      const words = [phaseWord(phase), source[row], this.model.doc.actions.note[row], error[row] ?? ''].filter(Boolean).join(' · ');
      this.fillName(
        elements.name,
        line,
        `${name} ${label[row]}\n${words}`,
        phaseIcon(phase),
        el('span', {class: 'fnb-sr'}, phaseWord(phase)),
        el('span', {class: 'fnb-name'}, name),
        kind[row] !== Kind.Task && el('span', {class: 'fnb-kind'}, kind[row] === Kind.Trace ? 'trace' : 'condition'),
        own !== '' && el('span', {class: 'fnb-label'}, own),
        doing !== '' && el('span', {class: 'fnb-doing'}, doing),
        attempt[row] > 1 &&
          el('span', {class: 'fnb-chip fnb-tone-warn', title: `attempt ${attempt[row]}`}, `↻ ${attempt[row]}`),
        source[row] !== '' &&
          el('span', {class: 'fnb-chip fnb-tone-run', title: source[row]}, source[row] === 'cache' ? 'cached' : '↺'),
        error[row] !== null && el('span', {class: 'fnb-error'}, error[row])
      );
      const tone = `fnb-tone-${phaseTone(phase)}`;
      elements.track.replaceChildren(
        el('i', {class: 'fnb-queue'}),
        el('i', {class: 'fnb-init'}),
        el('i', {class: `fnb-bar ${tone}`}),
        ...(tries[row] ?? []).map(() => el('i', {class: 'fnb-try'}))
      );
    }
    elements.time.textContent =
      start[row] === null && !this.model.isTerminal(row) ? '' : duration(this.model.durationOf(row, now));
    const [queue, starting, bar, ...earlier] = [...elements.track.children] as HTMLElement[];
    const from = start[row];
    const wait = this.model.waitOf(row, now);
    this.place(queue, wait.queued, wait.init, now);
    this.place(starting, wait.init, wait.to, now);
    this.place(bar, wait.to, end[row] ?? (this.model.isTerminal(row) ? wait.to : now), now);
    bar.hidden = from === null;
    tries[row]?.forEach(([began, ended], nth) => this.place(earlier[nth], began, ended, now));
  }

  private updateFanOut(elements: RowElements, line: Line, fanOut: FanOut, now: number): void {
    const [name, rest] = this.model.fanOutWords(fanOut);
    const signature = [line.item, line.depth, line.open, name, rest, fanOut.counts].join('\n');
    if (signature !== elements.drawn) {
      elements.drawn = signature;
      this.fillName(
        elements.name,
        line,
        `${fanOut.group >= 0 ? 'group ' : ''}${name}: ${plural(fanOut.rows.length, 'action')}`,
        fanOut.group >= 0 && layers(),
        el('span', {class: 'fnb-name'}, name),
        el('span', {class: 'fnb-times'}, rest),
        el('span', {class: 'fnb-tallies'}, ...this.tallies(fanOut))
      );
      elements.track.replaceChildren(el('i', {class: 'fnb-heat'}));
    }
    const [from, to] = this.model.extent(fanOut, now);
    elements.time.textContent = duration(to - from);
    const strip = elements.track.firstElementChild as HTMLElement;
    this.place(strip, from, to, now);
    strip.style.backgroundImage = this.heatStrip(fanOut, from, to, now);
  }

  private fillName(cell: HTMLElement, line: Line, title: string, ...children: Child[]): void {
    cell.title = title;
    cell.style.setProperty('--fnb-depth', String(Math.min(line.depth, DEEPEST_INDENT)));
    const twisty = el('span', {class: `fnb-twisty${line.open ? ' fnb-open' : ''}`}, line.open !== null && chevron());
    cell.replaceChildren(twisty, ...present(children));
  }

  private tallies(fanOut: FanOut): HTMLElement[] {
    return BY_URGENCY.flatMap(phase => tally(phase, fanOut.counts[PHASES.indexOf(phase)]));
  }

  private place(bar: HTMLElement, from: number, to: number, now: number): void {
    const span = this.model.span(now);
    bar.style.left = `${((100 * from) / span).toFixed(3)}%`;
    bar.style.width = `${((100 * Math.max(0, to - from)) / span).toFixed(3)}%`;
  }

  /** How many ran at once, as depth of colour from left to right, and red marks where one failed. */
  private heatStrip(fanOut: FanOut, from: number, to: number, now: number): string {
    const {running, failed, most} = this.model.heat(fanOut, from, to, HEAT_BINS, now);
    const depth = (active: number) => (active === 0 ? 8 : 30 + Math.round((70 * active) / most));
    return [
      strip(failed.map(some => (some ? 'var(--fnb-bad)' : 'transparent'))),
      strip(running.map(active => `color-mix(in srgb, var(--fnb-bar) ${depth(active)}%, transparent)`))
    ].join();
  }

  private updateAxis(now: number): void {
    const span = this.model.span(now);
    const wanted = Math.max(2, Math.floor(this.axisWidth / 64));
    if (this.marked === `${span}/${wanted}`) return;
    this.marked = `${span}/${wanted}`;
    const instants = ticks(0, span, wanted);
    const step = instants.length > 1 ? instants[1] - instants[0] : span;
    this.gridlines.style.backgroundSize = `${((100 * step) / span).toFixed(3)}% 100%`;
    const marks = instants.map(at => {
      const left = (100 * at) / span;
      const side = at === 0 ? ' fnb-first' : left > 90 ? ' fnb-last' : '';
      return el('span', {class: `fnb-mark${side}`, style: `left:${left.toFixed(3)}%`}, instant(at, step));
    });
    this.axis.replaceChildren(...marks);
  }

  private onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const index = Number(target.closest<HTMLElement>('.fnb-row')?.dataset.index ?? -1);
    const line = this.outline.lines[index];
    if (!line) return;
    const onTwisty = target.closest('.fnb-twisty') !== null && line.open !== null;
    if (onTwisty || line.item < 0) this.actions.toggle(index);
    if (!onTwisty) this.actions.select(line.item);
  }
}

function head(sorter: HTMLElement): HTMLElement {
  return el('span', {role: 'columnheader'}, sorter);
}

/** A gradient of equal, sharply bounded parts. */
function strip(colors: string[]): string {
  const percent = (edge: number) => `${((100 * edge) / colors.length).toFixed(2)}%`;
  return `linear-gradient(to right, ${colors.map((color, k) => `${color} ${percent(k)} ${percent(k + 1)}`).join()})`;
}
