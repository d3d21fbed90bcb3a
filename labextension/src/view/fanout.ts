/** What a selected fan-out shows: its phases, a cell for each action, how long they took, and the first that failed. */
import {PHASES} from './document.js';
import {el, present} from './dom.js';
import {count, duration, plural} from './format.js';
import {HeatStrip} from './heat.js';
import type {FanOut, RunModel} from './model.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';

const LISTED = 8;

export class FanOutPanel {
  readonly node = el('div', {class: 'fnb-summary'});
  private readonly tallies = el('div', {class: 'fnb-tallies'});
  private readonly rest = el('div', {class: 'fnb-summary'});
  private readonly heat: HeatStrip;
  private drawn = '';

  constructor(
    private readonly model: RunModel,
    private readonly select: (row: number) => void
  ) {
    this.heat = new HeatStrip(model, select);
    this.node.append(this.tallies, this.heat.node, this.rest);
  }

  update(fanOut: FanOut, now: number): void {
    this.heat.node.hidden = fanOut.rows.length < 2;
    this.heat.update(fanOut, now);
    const signature = JSON.stringify([this.model.doc.run, fanOut.id, fanOut.counts]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    this.tallies.replaceChildren(...phaseTallies(fanOut));
    this.rest.replaceChildren(...this.lists(fanOut, now));
  }

  private lists(fanOut: FanOut, now: number): (Node | string)[] {
    const failed = fanOut.rows.filter(row => this.model.isUnsuccessful(row));
    const length = (row: number) => this.model.durationOf(row, now) ?? 0;
    const slowest = fanOut.rows
      .filter(row => this.model.durationOf(row, now) !== null)
      .sort((a, b) => length(b) - length(a));
    const at = (fraction: number) => duration(length(slowest[Math.floor((slowest.length - 1) * (1 - fraction))]));
    const facts = [
      ['shortest', 0],
      ['median', 0.5],
      ['95 of 100', 0.95],
      ['longest', 1]
    ] as const;
    return present([
      slowest.length > 0 &&
        el(
          'dl',
          {class: 'fnb-facts-grid'},
          ...facts.flatMap(([name, fraction]) => [el('dt', {}, name), el('dd', {}, at(fraction))])
        ),
      failed.length > 0 && el('h3', {}, plural(failed.length, 'failure')),
      failed.length > 0 &&
        this.links(failed, row => this.model.doc.actions.error[row] ?? phaseWord(this.model.phase(row))),
      slowest.length > 0 && el('h3', {}, 'Slowest'),
      slowest.length > 0 && this.links(slowest, row => duration(length(row)))
    ]);
  }

  private links(rows: number[], words: (row: number) => string): HTMLElement {
    const buttons = rows.slice(0, LISTED).map(row => {
      const label = this.model.label(row) || this.model.doc.actions.name[row];
      return el(
        'button',
        {class: 'fnb-link', type: 'button', onclick: () => this.select(row)},
        phaseIcon(this.model.phase(row)),
        el('span', {class: 'fnb-label'}, label),
        el('span', {class: this.model.isUnsuccessful(row) ? 'fnb-error' : 'fnb-muted'}, words(row))
      );
    });
    const more = rows.length - LISTED;
    return el(
      'div',
      {class: 'fnb-links'},
      ...buttons,
      more > 0 && el('div', {class: 'fnb-more'}, `and ${count(more)} more`)
    );
  }
}

function phaseTallies(fanOut: FanOut): HTMLElement[] {
  return PHASES.flatMap((phase, k) => {
    const n = fanOut.counts[k];
    const words = `${count(n)} ${phaseWord(phase)}`;
    return n === 0 ? [] : [el('span', {class: `fnb-tally fnb-tone-${phaseTone(phase)}`}, phaseIcon(phase), words)];
  });
}
