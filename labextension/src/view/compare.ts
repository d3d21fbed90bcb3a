/** Two runs side by side: what was different, and every action in both, with what differs in it. */
import type {Change, ComparedRow, ComparedRun, ComparisonDocument, Side} from './comparison.js';
import {PHASES} from './document.js';
import {el, layers, type Child} from './dom.js';
import {count, duration, moment, plural} from './format.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';

const VERSION = 1;
const INDENT = 14;

/** Draws a comparison into an element, in place of what was there. */
export function mountComparison(host: HTMLElement, doc: ComparisonDocument): void {
  const problem = problemWith(doc);
  const view = problem === null ? comparison(doc) : el('div', {class: 'fnb-fault'}, problem);
  host.replaceChildren(el('div', {class: 'fnb-root'}, view));
}

function problemWith(doc: ComparisonDocument): string | null {
  if (typeof doc !== 'object' || doc === null || !Array.isArray(doc.rows)) return 'This output is not a comparison.';
  return doc.version > VERSION ? 'Saved by a newer flyte_nb: update flyte_nb to see this comparison.' : null;
}

function comparison(doc: ComparisonDocument): HTMLElement {
  const table = el('div', {class: 'fnb-scroller fnb-compared', tabindex: 0, role: 'region', 'aria-label': 'Actions'});
  const some = doc.rows.some(({differs}) => differs.length > 0);
  const all = el('input', {type: 'checkbox', checked: !some});
  const draw = () => table.replaceChildren(actionTable(doc, all.checked));
  all.addEventListener('change', draw);
  draw();
  const listed = el('label', {class: 'fnb-muted'}, all, ' Also what is the same');
  return el(
    'div',
    {class: 'fnb-comparison'},
    el('header', {class: 'fnb-header fnb-sides'}, runHead(doc.left), runHead(doc.right)),
    doc.differences.length > 0 && el('div', {class: 'fnb-given'}, changeTable(doc.differences)),
    el('div', {class: 'fnb-toolbar fnb-comparedbar'}, el('strong', {}, sameWords(doc)), some && listed),
    table,
    doc.rows.length < doc.total &&
      el('div', {class: 'fnb-more fnb-comparedmore'}, `${plural(doc.total - doc.rows.length, 'action')} not listed`)
  );
}

function runHead(run: ComparedRun): HTMLElement {
  const facts = [duration(run.duration_ms), plural(run.total, 'action'), moment(run.started_at)];
  return el(
    'div',
    {class: 'fnb-side'},
    el(
      'div',
      {class: 'fnb-identity'},
      el('span', {class: `fnb-badge fnb-tone-${phaseTone(run.phase)}`}, phaseIcon(run.phase), phaseWord(run.phase)),
      el('strong', {class: 'fnb-title', title: run.task}, run.task),
      el('code', {class: 'fnb-run', title: 'run'}, run.run)
    ),
    el('div', {class: 'fnb-muted'}, facts.join(' · ')),
    run.error !== null && el('code', {class: 'fnb-error fnb-clipped', title: run.error}, run.error)
  );
}

function sameWords({same, total}: ComparisonDocument): string {
  if (same === total) return total === 1 ? 'The only action is the same' : `All ${count(total)} actions are the same`;
  const different = total - same;
  const rest = same > 0 ? `, ${count(same)} ${same === 1 ? 'is' : 'are'} the same` : '';
  return `${plural(different, 'action')} ${different === 1 ? 'differs' : 'differ'}${rest}`;
}

/** Name, what it was on the left, what it is on the right. */
function changeTable(changes: Change[]): HTMLElement {
  const rows = changes.map(([name, left, right]) =>
    el('tr', {}, el('th', {scope: 'row'}, name), el('td', {}, value(left)), el('td', {}, '→ ', value(right)))
  );
  return el('table', {class: 'fnb-valuetable fnb-changes'}, el('tbody', {}, ...rows));
}

function value(text: string): HTMLElement {
  return text === '' ? el('span', {class: 'fnb-muted'}, '–') : el('code', {title: text}, text);
}

/** The actions that differ with what they stand under, or all. */
function actionTable({rows, left, right}: ComparisonDocument, all: boolean): HTMLElement {
  const shown = new Set<number>();
  rows.forEach(({differs}, row) => {
    if (!all && differs.length === 0) return;
    for (let at = row; at >= 0 && !shown.has(at); at = rows[at].parent) shown.add(at);
  });
  const depths: number[] = [];
  for (const {parent} of rows) depths.push(parent >= 0 ? depths[parent] + 1 : 0);
  const longest = Math.max(1, ...rows.flatMap(row => [row.left?.duration ?? 0, row.right?.duration ?? 0]));
  const body = rows.flatMap((row, k) => (shown.has(k) ? [actionRow(row, depths[k], longest)] : []));
  return el(
    'table',
    {class: 'fnb-comparetable'},
    el(
      'thead',
      {},
      el('tr', {}, ...['Action', left.run, right.run].map(words => el('th', {scope: 'col'}, words)))
    ),
    el('tbody', {}, ...body)
  );
}

function actionRow(row: ComparedRow, depth: number, longest: number): HTMLElement {
  const {task, group, left, right, inputs, outputs, differs} = row;
  const label = (right ?? left)?.label ?? '';
  const title = group === '' ? task : `${task} in group ${group}`;
  const changes = [...inputs, ...outputs.map(([name, ...both]): Change => [`output ${name}`, ...both])];
  return el(
    'tr',
    {class: differs.length === 0 ? 'fnb-same' : null},
    el(
      'th',
      {scope: 'row', style: `padding-left:${12 + INDENT * Math.min(depth, 12)}px`},
      el(
        'div',
        {class: 'fnb-comparedname'},
        group !== '' && layers(),
        el('span', {class: 'fnb-name', title}, task.split('.').at(-1) ?? task),
        label !== '' && el('code', {class: 'fnb-label', title: label}, label)
      ),
      changes.length > 0 && changeTable(changes)
    ),
    sideCell(left, longest, ''),
    sideCell(right, longest, differs.includes('duration') ? ratio(left, right) : '')
  );
}

function sideCell(side: Side | null, longest: number, note: string): HTMLElement {
  if (!side) return el('td', {class: 'fnb-muted'}, 'not in this run');
  const phase = PHASES[side.phase];
  const width = `width:${((100 * (side.duration ?? 0)) / longest).toFixed(2)}%`;
  const facts: Child[] = [
    phaseIcon(phase),
    el('span', {class: 'fnb-sr'}, phaseWord(phase)),
    el('span', {class: 'fnb-number'}, duration(side.duration)),
    el('span', {class: 'fnb-meter'}, el('i', {class: `fnb-tone-${phaseTone(phase)}`, style: width})),
    note !== '' && el('span', {class: 'fnb-note-ratio'}, note)
  ];
  return el(
    'td',
    {},
    el('div', {class: 'fnb-comparedside', title: `${side.action} ${phaseWord(phase)}`}, ...facts),
    side.error !== null && el('code', {class: 'fnb-error fnb-clipped', title: side.error}, side.error)
  );
}

/** `2.4× as long`, `3.1× faster` */
function ratio(left: Side | null, right: Side | null): string {
  const [before, after] = [left?.duration ?? 0, right?.duration ?? 0];
  if (before <= 0 || after <= 0) return '';
  return after > before ? `${(after / before).toFixed(1)}× as long` : `${(before / after).toFixed(1)}× faster`;
}
