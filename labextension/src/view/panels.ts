/** The content of the tabs: each a function from a detail to elements. */
import type {Attempt, Detail, Traceback} from './document.js';
import {copyButton, el} from './dom.js';
import {duration, plural} from './format.js';
import {ansi} from './logs.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';
import {tokenize} from './python.js';
import {valueList, valueTable} from './values.js';

/** In this order: what went wrong is what a reader of a failed action came for. */
export const TABS = ['Error', 'Summary', 'Inputs', 'Outputs', 'Logs', 'Report', 'Task'] as const;
export type Tab = (typeof TABS)[number];

export function hasContent(detail: Detail, tab: Tab): boolean {
  const part = partOf(detail, tab);
  return Array.isArray(part) ? part.length > 0 : Boolean(part);
}

/** What a tab shows; it is drawn again when this changed. */
export function partOf(detail: Detail, tab: Tab): unknown {
  switch (tab) {
    case 'Inputs':
      return detail.inputs;
    case 'Outputs':
      return detail.outputs;
    case 'Logs':
      return detail.logs;
    case 'Report':
      return detail.report;
    case 'Task':
      return detail.code;
    case 'Error':
      return detail.error;
    case 'Summary':
      return detail;
  }
}

export function content(detail: Detail, tab: Tab): HTMLElement {
  if (tab === 'Inputs') return valueList(detail.inputs ?? [], k => runnable(inputSnippet(detail, k)));
  if (tab === 'Outputs') return valueList(detail.outputs ?? [], k => runnable(`${detail.snippet}[${k}]`));
  if (tab === 'Report') return report(detail.report ?? '');
  if (tab === 'Error' && detail.error) return errorTab(detail.error);
  return codeTab(detail);
}

/** What there is to say at a glance; `error` is the action's own line, for as long as there is no detail. */
export function summary(
  detail: Detail | null,
  timing: HTMLElement,
  error: string | null,
  waiting: boolean
): HTMLElement {
  if (!detail) {
    const words = waiting ? 'Loading…' : 'Inputs, outputs and logs of this action are not here.';
    const line = error !== null && el('div', {class: 'fnb-errorbox'}, el('code', {}, error));
    return el('div', {class: 'fnb-summary'}, timing, line, el('p', {class: 'fnb-muted'}, words));
  }
  return el(
    'div',
    {class: 'fnb-summary'},
    timing,
    detail.error ? errorBox(detail.error) : null,
    caveats(detail),
    detail.note !== '' && el('p', {class: 'fnb-muted'}, detail.note),
    detail.source !== '' && el('p', {class: 'fnb-muted'}, `The result is ${origin(detail.source)}.`),
    detail.attempts.length > 1 && section('Attempts', attemptTable(detail.attempts)),
    detail.inputs?.length ? section('Inputs', valueTable(detail.inputs)) : null,
    detail.outputs?.length ? section('Outputs', valueTable(detail.outputs)) : null,
    detail.links?.length ? section('Links', linkList(detail.links)) : null,
    detail.snippet !== '' && section('In Python', snippet(runnable(detail.snippet)))
  );
}

/** The Python that fetches one input, from that which fetches all outputs. */
function inputSnippet({snippet, inputs}: Detail, k: number): string {
  return `${snippet.replace(/outputs\(\)$/, 'inputs()')}[${JSON.stringify(inputs?.[k].name ?? '')}]`;
}

/** Where a reused result comes from: `from RUN/ACTION`. */
export function origin(source: string): string {
  return `from ${source.replace('cache:', 'the cache: ')}`;
}

/** A line of Python that names `flyte_nb`, as one that runs in any cell: a notebook may know it by another name. */
export function runnable(code: string): string {
  return `import flyte_nb\n${code}`;
}

/** User HTML is shown only here: a frame without scripts, forms, origin or access to the page. */
function report(html: string): HTMLElement {
  const frame = el('iframe', {class: 'fnb-report', sandbox: '', title: 'Report', referrerpolicy: 'no-referrer'});
  frame.srcdoc = html;
  return frame;
}

/** Links that the task declares; an address that no browser should follow is text. */
function linkList(links: [string, string][]): HTMLElement {
  const items = links.map(([name, address]) =>
    /^https?:\/\//i.test(address)
      ? el('a', {href: address, target: '_blank', rel: 'noopener noreferrer', title: address}, name)
      : el('span', {}, `${name}: `, el('code', {}, address))
  );
  return el('div', {class: 'fnb-tasklinks'}, ...items);
}

/** What a task asks for and does not get where it runs. */
function caveats({isolation_reason: reason}: Detail): HTMLElement | false {
  const words = whyHere(reason).caveats;
  return words !== '' && el('p', {class: 'fnb-caveat'}, words);
}

/** The reason for an isolation, and what does not hold there. */
function whyHere(reason = ''): {why: string; caveats: string} {
  const [why, ...caveats] = reason.split('; ');
  return {why, caveats: caveats.join('; ')};
}

/** The first line of a message; further ones, such as the last output of a lost process, are folded. */
function errorBox({code, message, place}: Traceback, open = false): HTMLElement {
  const [first, ...rest] = message.trimEnd().split('\n');
  return el(
    'div',
    {class: 'fnb-errorbox'},
    el('code', {}, [code, first].filter(Boolean).join(': ')),
    rest.length > 0 &&
      el(
        'details',
        {class: 'fnb-morelines', open},
        el('summary', {}, plural(rest.length, 'more line')),
        el('pre', {}, ...ansi(rest.join('\n')))
      ),
    place !== '' && el('div', {class: 'fnb-place'}, place)
  );
}

function errorTab(error: Traceback): HTMLElement {
  const text = error.traceback;
  // Of an error that no line of the user's raised there is only the message.
  if (!text.includes('Traceback')) return el('div', {class: 'fnb-summary'}, errorBox(error, true));
  const trace = el('pre', {class: 'fnb-traceback'}, ...ansi(text));
  const facts = error.kind === '' ? null : el('span', {class: 'fnb-muted'}, `${error.kind} error`);
  const bar = el(
    'div',
    {class: 'fnb-logbar'},
    facts,
    copyButton(() => text, 'Copy the traceback')
  );
  return el('div', {class: 'fnb-summary'}, errorBox(error), bar, trace);
}

function codeTab(detail: Detail): HTMLElement {
  const {code, isolation, isolation_reason: reason} = detail;
  if (!code) return el('div');
  const facts = [
    ...(code.signature ? [['signature', code.signature]] : []),
    ...(isolation ? [['isolation', `${isolation}: ${whyHere(reason).why}`]] : []),
    ...(code.place ? [['place', code.place]] : []),
    ...Object.entries(code.settings),
    ...(code.digest ? [['digest', code.digest]] : [])
  ];
  const source = tokenize(code.source).map(({kind, text}) =>
    kind === null ? text : el('span', {class: `fnb-py-${kind}`}, text)
  );
  return el(
    'div',
    {class: 'fnb-summary'},
    el(
      'dl',
      {class: 'fnb-facts-grid'},
      ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, el('code', {}, value))])
    ),
    caveats(detail),
    code.source !== '' && el('pre', {class: 'fnb-code'}, ...source)
  );
}

function attemptTable(attempts: Attempt[]): HTMLElement {
  const rows = attempts.map(({attempt, phase, start, end, error}) =>
    el(
      'tr',
      {},
      el('th', {scope: 'row'}, String(attempt)),
      el('td', {class: `fnb-tone-${phaseTone(phase)}`}, phaseIcon(phase), phaseWord(phase)),
      el('td', {class: 'fnb-number'}, start !== null && end !== null ? duration(end - start) : ''),
      el('td', {class: 'fnb-oneline'}, error !== null && el('code', {class: 'fnb-error', title: error}, error))
    )
  );
  return el('table', {class: 'fnb-valuetable'}, el('tbody', {}, ...rows));
}

function section(title: string, body: HTMLElement): HTMLElement {
  return el('section', {}, el('h3', {}, title), body);
}

function snippet(code: string): HTMLElement {
  return el(
    'div',
    {class: 'fnb-snippet'},
    // Where it does not fit in a line it breaks before the action.
    el('pre', {}, ...code.split(/(?=\[)/).flatMap((part, k) => (k === 0 ? [part] : [el('wbr'), part]))),
    copyButton(() => code, 'Copy')
  );
}
