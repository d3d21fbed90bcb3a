/**
 * The runs that one cell started, a line each in their order: which one the explorer below shows is picked here.
 * Virtual like the tree: only the lines inside the scrolled window have elements.
 */
import {PHASES, type Head, type Phase, type RunDocument} from './document.js';
import {chevron, el, present} from './dom.js';
import {duration, plural} from './format.js';
import {distinct, sharedParts} from './labels.js';
import {BY_URGENCY, phaseIcon, phaseTone, phaseWord} from './phases.js';
import {tally} from './tally.js';

const LINE_HEIGHT = 26;
/** More lines than this scroll. */
const LINES_SHOWN = 6;
const OVERSCAN = 4;

/** One line: what it says of a run. */
interface Entry {
  run: string;
  task: string;
  label: string;
  error: string;
  phase: Phase;
  startedAt: number;
  durationMs: number;
  /** Started by a task of another run of the list. */
  inner: boolean;
}

let lists = 0;

export class RunList {
  readonly node = el('section', {class: 'fnb-runs', 'aria-label': 'Runs of this cell'});
  private readonly id = `fnb-runs-${++lists}`;
  private readonly head = el('button', {class: 'fnb-runshead', type: 'button', onclick: () => this.toggle()});
  private readonly scroller = el('div', {class: 'fnb-scroller', tabindex: 0, role: 'listbox', 'aria-label': 'Runs'});
  private readonly canvas = el('div', {class: 'fnb-lines'});
  private entries: Entry[] = [];
  private omitted = 0;
  private shown = '';
  private open = true;
  private frame = 0;

  constructor(private readonly pick: (run: string) => void) {
    this.scroller.append(this.canvas);
    this.node.append(this.head, this.scroller);
    this.scroller.addEventListener('scroll', () => this.repaint());
    this.scroller.addEventListener('click', event => {
      const row = (event.target as Element).closest<HTMLElement>('.fnb-runrow');
      if (row) this.pick(row.dataset.run as string);
    });
    this.scroller.addEventListener('keydown', event => this.onKey(event));
  }

  /** The runs, and which of them the explorer shows. */
  update(runs: RunDocument[], omitted: number, shown: string): void {
    const known = new Set(runs.map(doc => doc.run));
    this.entries = runs.map(doc => entryOf(doc, known));
    const kin = this.entries.map(entry => entry.label);
    const shared = new Set(runs.map(doc => doc.task)).size === 1 ? sharedParts(kin) : [];
    for (const entry of this.entries) entry.label = distinct(entry.label, shared);
    this.omitted = omitted;
    this.node.hidden = this.entries.length < 2;
    this.show(shown);
  }

  /** The explorer shows another run. */
  show(run: string): void {
    if (run !== this.shown) {
      this.shown = run;
      this.scrollTo(this.position);
    }
    this.repaint();
  }

  /** What the explorer knows of the run that it shows, which is newer than the list's own. */
  renew(head: Head): void {
    const entry = this.entries[this.position];
    if (!entry || (entry.phase === head.phase && !head.live)) return;
    Object.assign(entry, {phase: head.phase, durationMs: head.duration_ms, error: errorWords(head)});
    this.repaint();
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
  }

  private get position(): number {
    return this.entries.findIndex(entry => entry.run === this.shown);
  }

  private toggle(): void {
    this.open = !this.open;
    this.repaint();
  }

  private scrollTo(index: number): void {
    const top = index * LINE_HEIGHT;
    const height = this.shownHeight;
    if (index < 0) return;
    this.sizeCanvas();
    const {scrollTop} = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + LINE_HEIGHT > scrollTop + height) this.scroller.scrollTop = top + LINE_HEIGHT - height;
  }

  private get shownHeight(): number {
    return Math.min(LINES_SHOWN, this.entries.length) * LINE_HEIGHT;
  }

  private sizeCanvas(): void {
    this.scroller.style.height = `${this.shownHeight}px`;
    this.canvas.style.height = `${this.entries.length * LINE_HEIGHT}px`;
  }

  private repaint(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  private paint(): void {
    const {entries} = this;
    const from = Math.min(...entries.map(entry => entry.startedAt));
    const to = Math.max(...entries.map(entry => entry.startedAt + entry.durationMs));
    this.paintHead(to - from);
    this.scroller.hidden = !this.open;
    if (!this.open) return;
    this.sizeCanvas();
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / LINE_HEIGHT) - OVERSCAN);
    const last = Math.min(entries.length, Math.ceil((top + this.shownHeight) / LINE_HEIGHT) + OVERSCAN);
    const rows = entries.slice(first, last).map((entry, k) => this.row(entry, first + k, from, Math.max(1, to - from)));
    this.canvas.replaceChildren(...rows);
    const at = this.position;
    if (at >= first && at < last) this.scroller.setAttribute('aria-activedescendant', `${this.id}-${at}`);
    else this.scroller.removeAttribute('aria-activedescendant');
  }

  private paintHead(span: number): void {
    const counts = PHASES.map(phase => this.entries.filter(entry => entry.phase === phase).length);
    const tallies = BY_URGENCY.flatMap(phase => tally(phase, counts[PHASES.indexOf(phase)]));
    this.head.setAttribute('aria-expanded', String(this.open));
    this.head.replaceChildren(
      ...present([
        el('span', {class: `fnb-twisty${this.open ? ' fnb-open' : ''}`}, chevron()),
        el('strong', {}, plural(this.entries.length + this.omitted, 'run')),
        el('span', {class: 'fnb-tallies'}, ...tallies),
        el('span', {class: 'fnb-muted'}, duration(span)),
        this.omitted > 0 && el('span', {class: 'fnb-muted'}, `the first ${this.omitted} not listed: %flyte runs has them`)
      ])
    );
  }

  private row(entry: Entry, index: number, from: number, span: number): HTMLElement {
    const {run, task, label, error, phase, startedAt, durationMs, inner} = entry;
    const left = `left:${((100 * (startedAt - from)) / span).toFixed(3)}%`;
    const width = `width:${((100 * durationMs) / span).toFixed(3)}%`;
    return el(
      'div',
      {
        class: 'fnb-runrow',
        role: 'option',
        id: `${this.id}-${index}`,
        'data-run': run,
        'aria-selected': String(run === this.shown),
        'aria-setsize': this.entries.length,
        'aria-posinset': index + 1,
        style: `transform:translateY(${index * LINE_HEIGHT}px)`,
        title: [`${task} ${label}`.trim(), phaseWord(phase), error].filter(Boolean).join('\n')
      },
      el(
        'div',
        {class: `fnb-cell-name${inner ? ' fnb-inner' : ''}`},
        phaseIcon(phase),
        el('span', {class: 'fnb-sr'}, phaseWord(phase)),
        el('span', {class: 'fnb-name'}, task),
        label !== '' && el('span', {class: 'fnb-label'}, label),
        error !== '' && el('span', {class: 'fnb-error'}, error)
      ),
      el('code', {class: 'fnb-run'}, run),
      el('div', {class: 'fnb-cell-time'}, duration(durationMs)),
      el(
        'div',
        {class: 'fnb-cell-track'},
        el('i', {class: `fnb-bar fnb-tone-${phaseTone(phase)}`, style: `${left};${width}`})
      )
    );
  }

  private onKey(event: KeyboardEvent): void {
    const at = this.position;
    const last = this.entries.length - 1;
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + LINES_SHOWN,
      PageUp: at - LINES_SHOWN,
      Home: 0,
      End: last
    };
    const wanted = steps[event.key];
    if (wanted === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    this.pick(this.entries[Math.min(last, Math.max(0, wanted))].run);
    event.preventDefault();
    event.stopPropagation();
  }
}

function entryOf(doc: RunDocument, known: ReadonlySet<string>): Entry {
  const own = `${doc.environment}.`;
  return {
    run: doc.run,
    task: doc.environment && doc.task.startsWith(own) ? doc.task.slice(own.length) : doc.task,
    label: doc.actions.label[0] ?? '',
    error: errorWords(doc),
    phase: doc.phase,
    startedAt: doc.started_at,
    durationMs: doc.duration_ms,
    inner: !doc.lineage && known.has(doc.parent_run)
  };
}

function errorWords({error}: Head): string {
  return error ? [error.code, error.message.split('\n', 1)[0]].filter(Boolean).join(': ') : '';
}
