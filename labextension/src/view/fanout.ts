/** What a selected fan-out shows: its phases, how long its actions took, and the first that failed. */
import {PHASES} from './document.js';
import {el} from './dom.js';
import {count, duration, plural} from './format.js';
import type {FanOut, RunModel} from './model.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';

const LISTED = 8;

export function fanOutSummary(
  model: RunModel,
  fanOut: FanOut,
  now: number,
  select: (row: number) => void
): HTMLElement {
  const phases = PHASES.flatMap((phase, k) =>
    fanOut.counts[k] === 0
      ? []
      : [
          el(
            'span',
            {class: `fnb-tally fnb-tone-${phaseTone(phase)}`},
            phaseIcon(phase),
            `${count(fanOut.counts[k])} ${phaseWord(phase)}`
          )
        ]
  );
  const failed = fanOut.rows.filter(row => model.isUnsuccessful(row));
  const timed = fanOut.rows.filter(row => model.durationOf(row, now) !== null);
  const slowest = timed.sort((a, b) => (model.durationOf(b, now) as number) - (model.durationOf(a, now) as number));
  const at = (fraction: number) =>
    duration(model.durationOf(slowest[Math.floor((slowest.length - 1) * (1 - fraction))], now));
  return el(
    'div',
    {class: 'fnb-summary'},
    el('div', {class: 'fnb-tallies'}, ...phases),
    slowest.length > 0 &&
      el(
        'dl',
        {class: 'fnb-facts-grid'},
        ...[
          ['shortest', at(0)],
          ['median', at(0.5)],
          ['95 of 100', at(0.95)],
          ['longest', at(1)]
        ].flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])
      ),
    failed.length > 0 && el('h3', {}, plural(failed.length, 'failure')),
    failed.length > 0 &&
      list(model, failed, row => model.doc.actions.error[row] ?? phaseWord(model.phase(row)), select),
    slowest.length > 0 && el('h3', {}, 'Slowest'),
    slowest.length > 0 && list(model, slowest, row => duration(model.durationOf(row, now)), select)
  );
}

function list(
  model: RunModel,
  rows: number[],
  words: (row: number) => string,
  select: (row: number) => void
): HTMLElement {
  const buttons = rows.slice(0, LISTED).map(row => {
    const label = model.label(row) || model.doc.actions.name[row];
    return el(
      'button',
      {class: 'fnb-link', type: 'button', onclick: () => select(row)},
      phaseIcon(model.phase(row)),
      el('span', {class: 'fnb-label'}, label),
      el('span', {class: model.isUnsuccessful(row) ? 'fnb-error' : 'fnb-muted'}, words(row))
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
