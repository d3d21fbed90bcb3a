/** What runs of a store are searched and filtered by, above their list. */
import type {Phase} from './document.js';
import {el} from './dom.js';

/** Typing is followed by a question after this. */
const TYPING_MS = 200;
const HOUR_MS = 3_600_000;

const PHASES: Record<string, readonly Phase[]> = {
  Live: ['queued', 'waiting_for_resources', 'initializing', 'running', 'paused'],
  Succeeded: ['succeeded', 'recovered'],
  Failed: ['failed', 'timed_out'],
  Aborted: ['aborted']
};

/** The times that can be chosen, by their names in the settings. */
export const PERIODS: Record<string, {title: string; ms: number}> = {
  hour: {title: 'Last hour', ms: HOUR_MS},
  day: {title: 'Last 24 hours', ms: 24 * HOUR_MS},
  week: {title: 'Last 7 days', ms: 7 * 24 * HOUR_MS},
  month: {title: 'Last 30 days', ms: 30 * 24 * HOUR_MS}
};

export interface Wanted {
  text: string;
  phase: readonly Phase[];
  task: string;
  notebook: string;
  label: string;
  /** Milliseconds since the epoch. */
  since?: number;
}

export class HistoryFilters {
  readonly node = el('div', {class: 'fnb-pastfilters', role: 'search', 'aria-label': 'Filter runs'});
  private readonly text = el('input', {
    type: 'search',
    class: 'fnb-filter fnb-pastsearch',
    placeholder: 'Search runs',
    'aria-label': 'Search runs: name, task, notebook, label or error'
  });
  private readonly phase = select('Phase', Object.keys(PHASES).map(name => [name, name]));
  private readonly task = select('Task', []);
  private readonly notebook = select('Notebook', []);
  private readonly label = select('Label', []);
  private readonly period = select('Any time', Object.entries(PERIODS).map(([name, {title}]) => [name, title]), 'Time');
  private typing = 0;

  constructor(private readonly changed: () => void) {
    const chosen = el('div', {class: 'fnb-pastchoices'}, ...this.selects);
    this.node.append(this.text, chosen);
    this.text.addEventListener('input', () => {
      window.clearTimeout(this.typing);
      this.typing = window.setTimeout(() => this.changed(), TYPING_MS);
    });
    this.text.addEventListener('keydown', event => {
      if (event.key === 'Escape' && this.text.value !== '') this.clear();
    });
    this.node.addEventListener('change', event => {
      if (event.target !== this.text) this.say();
    });
  }

  get wanted(): Wanted {
    const ms = PERIODS[this.period.value]?.ms;
    return {
      text: this.text.value.trim(),
      phase: PHASES[this.phase.value] ?? [],
      task: this.task.value,
      notebook: this.notebook.value,
      label: this.label.value,
      since: ms === undefined ? undefined : Date.now() - ms
    };
  }

  /** Whether anything is left out. */
  get isFiltered(): boolean {
    return this.text.value.trim() !== '' || this.selects.some(({value}) => value !== '');
  }

  /** What the runs of the store can be filtered by; what is chosen stays, also where no run has it. */
  offer({tasks, notebooks, labels}: {tasks: string[]; notebooks: string[]; labels: string[]}): void {
    fill(this.task, tasks.map(task => [task, task]));
    fill(this.notebook, notebooks.map(notebook => [notebook, notebook]));
    fill(this.label, labels.map(label => [label, label]));
  }

  /** Leaves nothing out. */
  clear(): void {
    this.text.value = '';
    for (const each of this.selects) each.value = '';
    this.say();
  }

  /** Chooses a time, by its name in the settings; another name is any time. */
  choosePeriod(name: string): void {
    this.period.value = name in PERIODS ? name : '';
    this.say();
  }

  focus(): void {
    this.text.focus();
  }

  dispose(): void {
    window.clearTimeout(this.typing);
  }

  private get selects(): HTMLSelectElement[] {
    return [this.phase, this.task, this.label, this.notebook, this.period];
  }

  private say(): void {
    for (const each of this.selects) each.classList.toggle('fnb-pastchosen', each.value !== '');
    this.changed();
  }
}

/** A drop-down whose first entry, named after what it filters by, leaves nothing out. */
function select(none: string, options: [string, string][], name = none): HTMLSelectElement {
  const made = el('select', {class: 'fnb-pastselect', 'aria-label': name}, el('option', {value: ''}, none));
  fill(made, options);
  return made;
}

/** Renews the entries behind the first, unless they are the same: an open drop-down would close. */
function fill(list: HTMLSelectElement, options: [string, string][]): void {
  const {value} = list;
  const all = value === '' || options.some(([known]) => known === value) ? options : [[value, value], ...options];
  const drawn = [...list.options].slice(1).map(option => option.value);
  if (drawn.length === all.length && drawn.every((known, k) => known === all[k][0])) return;
  list.replaceChildren(list.options[0], ...all.map(([known, title]) => el('option', {value: known}, title)));
  list.value = value;
}
