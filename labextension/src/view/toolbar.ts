/** Between head and body: which view, which phases, which text. */
import {PHASES} from './document.js';
import {el} from './dom.js';
import {count, plural} from './format.js';
import type {RunModel} from './model.js';
import type {Outline} from './outline.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';

export type ViewName = 'tree' | 'timeline';

export interface ToolbarActions {
  showView(view: ViewName): void;
  filterChanged(): void;
  /** Esc or Enter in the filter field. */
  leaveFilter(): void;
}

export class Toolbar {
  readonly node = el('div', {class: 'fnb-toolbar'});
  private readonly tabs: Record<ViewName, HTMLButtonElement>;
  private readonly phases = el('div', {class: 'fnb-phases', role: 'group', 'aria-label': 'Filter by phase'});
  private readonly found = el('span', {class: 'fnb-found', role: 'status'});
  private readonly field = el('input', {
    class: 'fnb-filter',
    type: 'search',
    placeholder: 'Filter ( / )',
    'aria-label': 'Filter actions by task, inputs, error or name',
    spellcheck: 'false'
  });
  private drawn = '';

  constructor(
    private readonly model: RunModel,
    private readonly outline: Outline,
    private readonly actions: ToolbarActions
  ) {
    const tab = (view: ViewName, words: string) =>
      el('button', {class: 'fnb-tab', role: 'tab', type: 'button', onclick: () => actions.showView(view)}, words);
    this.tabs = {tree: tab('tree', 'Tree'), timeline: tab('timeline', 'Timeline')};
    this.node.append(
      el('div', {class: 'fnb-tabs', role: 'tablist', 'aria-label': 'View'}, this.tabs.tree, this.tabs.timeline),
      el('div', {class: 'fnb-filters'}, this.found, this.phases, this.field)
    );
    this.field.addEventListener('input', () => this.setFilter({text: this.field.value.trim()}));
    this.field.addEventListener('keydown', event => this.onKey(event));
  }

  update(view: ViewName): void {
    for (const [name, tab] of Object.entries(this.tabs)) tab.setAttribute('aria-selected', String(name === view));
    const {filter, isFiltered, matches} = this.outline;
    const signature = JSON.stringify([this.model.doc.counts, filter, matches]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    this.field.value = filter.text === this.field.value.trim() ? this.field.value : filter.text;
    this.found.textContent = isFiltered ? plural(matches, 'match').replace('matchs', 'matches') : '';
    const focused = this.phases.querySelector<HTMLElement>(':focus')?.dataset.phase;
    this.phases.replaceChildren(...this.phaseButtons());
    if (focused) this.phases.querySelector<HTMLElement>(`[data-phase=${focused}]`)?.focus();
  }

  focusFilter(): void {
    this.field.focus();
    this.field.select();
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

  private setFilter(change: Partial<Outline['filter']>): void {
    this.outline.setFilter({...this.outline.filter, ...change});
    this.actions.filterChanged();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === 'Escape') this.setFilter({text: '', phase: null});
    if (['Escape', 'Enter', 'ArrowDown'].includes(event.key)) {
      event.preventDefault();
      this.actions.leaveFilter();
    }
    event.stopPropagation();
  }
}
