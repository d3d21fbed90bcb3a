/**
 * The runs of a store, two lines each: the list of the side panel. Virtual: only what the window shows has elements.
 */
import {el, type Child} from './dom.js';
import {duration, moment, plural} from './format.js';
import {durationOf, type Entry, type RunHistory} from './history.js';
import {phaseIcon, phaseWord} from './phases.js';

const ROW_HEIGHT = 46;
const OVERSCAN = 4;
/** Clocks of live runs are drawn this often. */
const CLOCK_MS = 500;
/** A list that was scrolled is at rest after this. */
const REST_MS = 120;

export interface HistoryActions {
  open(run: string): void;
  /** The end of what was read comes near. */
  more(): void;
  /** Other rows have come to rest in the window. */
  rested(): void;
}

let lists = 0;

export class HistoryList {
  readonly node = el('div', {
    class: 'fnb-scroller fnb-history',
    tabindex: 0,
    role: 'listbox',
    'aria-label': 'Runs of the store'
  });
  private readonly id = `fnb-history-${++lists}`;
  private readonly canvas = el('div', {class: 'fnb-lines'});
  private readonly sized = new ResizeObserver(() => this.repaint());
  /** The run on which the keyboard stands. */
  private active = '';
  private frame = 0;
  private rest = 0;
  private clock = 0;

  constructor(
    private readonly history: RunHistory,
    private readonly actions: HistoryActions
  ) {
    this.node.append(this.canvas);
    this.node.addEventListener('scroll', () => this.onScroll());
    this.node.addEventListener('click', event => this.onClick(event));
    this.node.addEventListener('keydown', event => this.onKey(event));
    this.sized.observe(this.node);
  }

  /** The first entry in the window, and how many the window shows. */
  get window(): {first: number; count: number} {
    const first = Math.floor(this.node.scrollTop / ROW_HEIGHT);
    return {first, count: Math.ceil(this.node.clientHeight / ROW_HEIGHT) + 1};
  }

  /** Makes a change of the history; whoever has scrolled keeps what is in the window. */
  change(change: () => void): void {
    const {entries} = this.history;
    const {first} = this.window;
    const seen = first > 0 ? entries[first]?.run : undefined;
    change();
    this.sizeCanvas();
    const now = seen === undefined ? -1 : this.history.entries.findIndex(({run}) => run === seen);
    if (now >= 0) this.node.scrollTop += (now - first) * ROW_HEIGHT;
    this.repaint();
  }

  /** Begins at the top: other runs are wanted. */
  restart(): void {
    this.node.scrollTop = 0;
    this.repaint();
  }

  dispose(): void {
    this.sized.disconnect();
    cancelAnimationFrame(this.frame);
    window.clearTimeout(this.rest);
    window.clearTimeout(this.clock);
  }

  private repaint(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  private sizeCanvas(): void {
    this.canvas.style.height = `${this.history.entries.length * ROW_HEIGHT}px`;
  }

  private paint(): void {
    if (this.node.clientHeight === 0) return;
    const {entries, isWhole} = this.history;
    const {first, count} = this.window;
    const from = Math.max(0, first - OVERSCAN);
    const to = Math.min(entries.length, first + count + OVERSCAN);
    const now = performance.now();
    this.sizeCanvas();
    this.canvas.replaceChildren(...entries.slice(from, to).map((entry, k) => this.row(entry, from + k, now)));
    const at = this.position;
    if (at >= from && at < to) this.node.setAttribute('aria-activedescendant', `${this.id}-${at}`);
    else this.node.removeAttribute('aria-activedescendant');
    if (!isWhole && to >= entries.length - count) this.actions.more();
    this.tick(entries.slice(from, to).some(entry => entry.live));
  }

  private tick(wanted: boolean): void {
    window.clearTimeout(this.clock);
    if (wanted) this.clock = window.setTimeout(() => this.repaint(), CLOCK_MS);
  }

  private row(entry: Entry, index: number, now: number): HTMLElement {
    const {run, task, phase, error, labels, notebook} = entry;
    const chips = Object.entries(labels).map(([k, v]) => el('span', {class: 'fnb-chip'}, `${k}=${v}`));
    const facts: Child[] = [
      el('code', {class: 'fnb-run'}, run),
      el('span', {}, when(entry.started_at)),
      notebook !== '' && el('span', {}, notebook)
    ];
    return el(
      'div',
      {
        class: 'fnb-pastrun',
        role: 'option',
        id: `${this.id}-${index}`,
        'data-run': run,
        'aria-selected': String(run === this.active),
        'aria-setsize': this.history.total,
        'aria-posinset': index + 1,
        style: `transform:translateY(${index * ROW_HEIGHT}px)`,
        title: tooltip(entry)
      },
      el(
        'div',
        {class: 'fnb-pastline'},
        phaseIcon(phase),
        el('span', {class: 'fnb-sr'}, phaseWord(phase)),
        el('strong', {class: 'fnb-name'}, task.slice(task.lastIndexOf('.') + 1)),
        ...chips,
        error !== '' && el('span', {class: 'fnb-error'}, error),
        el('span', {class: 'fnb-time'}, duration(durationOf(entry, now)))
      ),
      el('div', {class: 'fnb-pastline fnb-pastfacts'}, ...facts)
    );
  }

  private get position(): number {
    return this.history.entries.findIndex(({run}) => run === this.active);
  }

  private onScroll(): void {
    this.repaint();
    window.clearTimeout(this.rest);
    this.rest = window.setTimeout(() => this.actions.rested(), REST_MS);
  }

  private onClick(event: MouseEvent): void {
    const row = (event.target as Element).closest<HTMLElement>('.fnb-pastrun');
    if (!row) return;
    this.active = row.dataset.run as string;
    this.repaint();
    this.actions.open(this.active);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.position;
    const page = Math.max(1, this.window.count - 2);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.history.entries.length - 1
    };
    const wanted = steps[event.key];
    if (event.key === 'Enter' && at >= 0) this.actions.open(this.active);
    else if (wanted !== undefined) this.walk(wanted);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private walk(wanted: number): void {
    const {entries} = this.history;
    const at = Math.min(entries.length - 1, Math.max(0, wanted));
    if (at < 0) return;
    this.active = entries[at].run;
    const top = at * ROW_HEIGHT;
    const {scrollTop, clientHeight} = this.node;
    if (top < scrollTop) this.node.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight) this.node.scrollTop = top + ROW_HEIGHT - clientHeight;
    this.repaint();
  }
}

/** `14:02:11` today, else `Sep 21, 14:02`, else `Sep 21, 2025`: in the reader's time zone. */
function when(epochMs: number): string {
  const at = new Date(epochMs);
  const today = new Date();
  if (at.toDateString() === today.toDateString()) return at.toLocaleTimeString('en-GB');
  const day = at.toLocaleDateString('en-US', {month: 'short', day: 'numeric'});
  if (at.getFullYear() !== today.getFullYear()) return `${day}, ${at.getFullYear()}`;
  return `${day}, ${at.toLocaleTimeString('en-GB', {hour: '2-digit', minute: '2-digit'})}`;
}

function tooltip(entry: Entry): string {
  const {run, task, phase, actions, notebook, lineage, parent_run: parent, error} = entry;
  const origin = parent && `${lineage || 'of'} ${parent}`;
  const what = `${phaseWord(phase)}, ${plural(actions, 'action')}, started ${moment(entry.started_at)}`;
  const facts = [`${task}, run ${run}`, what, notebook, origin, error];
  return facts.filter(Boolean).join('\n');
}
