/** Between head and body: which view, and the filters: phases, a task, the critical path, text. */
import {PHASES} from './document.js';
import {el} from './dom.js';
import {count, plural} from './format.js';
import type {RunModel} from './model.js';
import type {Filter, Outline} from './outline.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';

export const VIEWS = ['tree', 'timeline', 'graph'] as const;
export type ViewName = (typeof VIEWS)[number];

export interface ToolbarActions {
  showView(view: ViewName): void;
  filterChanged(): void;
  /** Esc or Enter in the filter field. */
  leaveFilter(): void;
}

export class Toolbar {
  readonly node = el('div', {class: 'fnb-toolbar'});
  private readonly tabs = el('div', {class: 'fnb-tabs', role: 'tablist', 'aria-label': 'View'});
  private readonly phases = el('div', {class: 'fnb-phases', role: 'group', 'aria-label': 'Filter by phase'});
  private readonly tasks = el('select', {class: 'fnb-select', 'aria-label': 'Filter by task'});
  private readonly critical = el(
    'button',
    {class: 'fnb-toggle fnb-tone-run', type: 'button', title: 'Show only what the end of the run waited for'},
    'Critical path'
  );
  private readonly found = el('span', {class: 'fnb-found', role: 'status'});
  private readonly field = el('input', {
    class: 'fnb-filter',
    type: 'search',
    placeholder: 'Filter ( / )',
    'aria-label': 'Filter actions by task, inputs, error or name',
    spellcheck: 'false'
  });
  private drawn = '';
  private listed = '';

  constructor(
    private readonly model: RunModel,
    private readonly outline: Outline,
    private readonly actions: ToolbarActions
  ) {
    this.tabs.append(...VIEWS.map(view => this.tab(view)));
    this.tabs.addEventListener('keydown', event => this.onTabKey(event));
    const filters = el('div', {class: 'fnb-filters'}, this.found, this.phases, this.critical, this.tasks, this.field);
    this.node.append(this.tabs, filters);
    this.tasks.addEventListener('change', () => this.setFilter({task: this.tasks.value || null}));
    this.critical.addEventListener('click', () => this.setFilter({critical: !this.outline.filter.critical}));
    this.field.addEventListener('input', () => this.setFilter({text: this.field.value.trim()}));
    this.field.addEventListener('keydown', event => this.onKey(event));
  }

  update(view: ViewName): void {
    for (const tab of this.tabs.querySelectorAll<HTMLElement>('[data-view]')) {
      const isShown = tab.dataset.view === view;
      tab.setAttribute('aria-selected', String(isShown));
      tab.setAttribute('tabindex', isShown ? '0' : '-1');
    }
    const {filter, isFiltered, matches} = this.outline;
    const {doc} = this.model;
    const signature = JSON.stringify([doc.counts, doc.live, filter, matches, doc.tasks.length, doc.run]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    this.field.value = filter.text === this.field.value.trim() ? this.field.value : filter.text;
    this.found.textContent = isFiltered ? plural(matches, 'match').replace('matchs', 'matches') : '';
    this.critical.hidden = this.model.criticalRows.size < 2;
    this.critical.setAttribute('aria-pressed', String(filter.critical));
    this.updateTasks(filter);
    const focused = this.phases.querySelector<HTMLElement>(':focus')?.dataset.phase;
    this.phases.replaceChildren(...this.phaseButtons());
    if (focused) this.phases.querySelector<HTMLElement>(`[data-phase=${focused}]`)?.focus();
  }

  focusFilter(): void {
    this.field.focus();
    this.field.select();
  }

  private tab(view: ViewName): HTMLElement {
    const show = () => this.actions.showView(view);
    const words = view[0].toUpperCase() + view.slice(1);
    return el('button', {class: 'fnb-tab', role: 'tab', type: 'button', 'data-view': view, onclick: show}, words);
  }

  private onTabKey(event: KeyboardEvent): void {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const at = VIEWS.indexOf((event.target as HTMLElement).dataset.view as ViewName);
    if (step === 0 || at < 0) return;
    const next = (at + step + VIEWS.length) % VIEWS.length;
    this.actions.showView(VIEWS[next]);
    (this.tabs.children[next] as HTMLElement).focus();
    event.preventDefault();
    event.stopPropagation();
  }

  /** Offered when there is more than one task to choose from. */
  private updateTasks({task}: Filter): void {
    const {tasks, run} = this.model.doc;
    this.tasks.hidden = tasks.length < 2;
    const signature = `${run} ${tasks.length}`;
    if (signature !== this.listed) {
      this.listed = signature;
      const names = [...tasks].sort((a, b) => this.model.shortTask(a).localeCompare(this.model.shortTask(b)));
      this.tasks.replaceChildren(
        el('option', {value: ''}, 'All tasks'),
        ...names.map(name => el('option', {value: name}, this.model.shortTask(name)))
      );
    }
    this.tasks.value = task ?? '';
  }

  /** One toggle for each phase that occurs, offered when there is something to tell apart. */
  private phaseButtons(): HTMLElement[] {
    const present = PHASES.filter(phase => (this.model.doc.counts[phase] ?? 0) > 0);
    const {phase: chosen} = this.outline.filter;
    if (present.length < 2 && chosen === null) return [];
    return present.map(phase => {
      const n = count(this.model.doc.counts[phase] as number);
      return el(
        'button',
        {
          class: `fnb-toggle fnb-tone-${phaseTone(phase)}`,
          type: 'button',
          'data-phase': phase,
          title: `Show only ${phaseWord(phase)}`,
          'aria-label': `${n} ${phaseWord(phase)}`,
          'aria-pressed': String(phase === chosen),
          onclick: () => this.setFilter({phase: phase === chosen ? null : phase})
        },
        phaseIcon(phase),
        n
      );
    });
  }

  private setFilter(change: Partial<Filter>): void {
    this.outline.setFilter(change);
    this.actions.filterChanged();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      this.outline.clearFilter();
      this.actions.filterChanged();
    }
    if (['Escape', 'Enter', 'ArrowDown'].includes(event.key)) {
      event.preventDefault();
      this.actions.leaveFilter();
    }
    event.stopPropagation();
  }
}
