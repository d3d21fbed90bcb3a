/** The output of an action: terminal colours, search, and a view that follows new lines while it stands at the end. */
import {parseAnsi, stripAnsi, type Piece} from './ansi.js';
import type {Detail, LogLine} from './document.js';
import {copyButton, el, type Child} from './dom.js';
import {count, moment, plural} from './format.js';
import {pngImage} from './values.js';

const LONGEST_LINE = 4000;
/** Nearer to the end than this many pixels counts as being there. */
const NEAR_END = 8;

export class Logs {
  readonly node = el('div', {class: 'fnb-logs'});
  private readonly lines = el('div', {class: 'fnb-loglines', role: 'log', tabindex: 0, 'aria-label': 'Output'});
  private readonly found = el('span', {class: 'fnb-found', role: 'status'});
  private readonly field = el('input', {
    class: 'fnb-filter',
    type: 'search',
    placeholder: 'Search',
    'aria-label': 'Search the output'
  });
  private detail: Detail | null = null;

  constructor() {
    const copy = copyButton(
      () => (this.detail?.logs ?? []).map(([, , text]) => stripAnsi(text)).join('\n'),
      'Copy the output'
    );
    this.node.append(el('div', {class: 'fnb-logbar'}, this.field, this.found, copy), this.lines);
    this.field.addEventListener('input', () => this.draw());
    this.field.addEventListener('keydown', event => {
      if (event.key !== 'Escape') event.stopPropagation();
    });
  }

  update(detail: Detail): void {
    const before = this.detail;
    const atEnd = this.lines.scrollTop + this.lines.clientHeight >= this.lines.scrollHeight - NEAR_END;
    this.detail = detail;
    if (before?.action !== detail.action) this.field.value = '';
    this.draw();
    if (atEnd && before?.action === detail.action) this.lines.scrollTop = this.lines.scrollHeight;
  }

  private draw(): void {
    const {logs = [], logs_omitted: omitted = 0} = this.detail ?? {};
    const wanted = this.field.value.toLowerCase();
    const shown = logs.filter(line => wanted === '' || plainText(line).toLowerCase().includes(wanted));
    this.found.textContent =
      wanted === '' ? plural(logs.length, 'line') : `${count(shown.length)} of ${plural(logs.length, 'line')}`;
    this.lines.replaceChildren(
      ...(omitted > 0 ? [el('div', {class: 'fnb-more'}, `${plural(omitted, 'earlier line')} not shown`)] : []),
      ...shown.map(line => logLine(line, wanted))
    );
  }
}

function logLine([at, stream, text]: LogLine, wanted: string): HTMLElement {
  const time = el('span', {class: 'fnb-logtime', 'aria-hidden': 'true'}, moment(at).slice(-8));
  const content = stream === 'display' ? display(text) : ansi(text, wanted);
  return el(
    'div',
    {class: `fnb-log${stream === 'stderr' ? ' fnb-stderr' : ''}`, title: stream},
    time,
    el('div', {}, ...content)
  );
}

/** Terminal text as styled spans; parts equal to `wanted` (lower case) are marked. */
export function ansi(text: string, wanted = ''): Child[] {
  const short =
    text.length > LONGEST_LINE
      ? `${text.slice(0, LONGEST_LINE)} … (${plural(text.length - LONGEST_LINE, 'more character')})`
      : text;
  return parseAnsi(short).map(piece => {
    const content = wanted === '' ? [piece.text] : marked(piece.text, wanted);
    const style = inlineStyle(piece);
    const names = classNames(piece);
    if (style === '' && names === '') return wanted === '' ? piece.text : el('span', {}, ...content);
    return el('span', {class: names || null, style: style || null}, ...content);
  });
}

function marked(text: string, wanted: string): Child[] {
  const parts: Child[] = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), el('mark', {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  parts.push(text.slice(from));
  return parts;
}

function classNames(piece: Piece): string {
  const names = (['bold', 'dim', 'italic', 'underline'] as const)
    .filter(name => piece[name])
    .map(name => `fnb-${name}`);
  if (piece.color && !piece.color.startsWith('rgb')) names.push(`fnb-ansi-${piece.color}`);
  if (piece.background && !piece.background.startsWith('rgb')) names.push(`fnb-ansi-on-${piece.background}`);
  return names.join(' ');
}

function inlineStyle({color, background}: Piece): string {
  const parts: string[] = [];
  if (color?.startsWith('rgb')) parts.push(`color:${color}`);
  if (background?.startsWith('rgb')) parts.push(`background:${background}`);
  return parts.join(';');
}

/** A displayed object: its picture or its text; HTML that a task displayed stays unshown. */
function display(json: string): Child[] {
  const bundle = parseBundle(json);
  const picture = pngImage(bundle['image/png'], bundle['text/plain'] ?? 'displayed image');
  if (picture) return [picture];
  return [
    bundle['text/plain'] ?? bundle['text/markdown'] ?? `[displayed: ${Object.keys(bundle).join(', ') || 'nothing'}]`
  ];
}

function parseBundle(json: string): Record<string, string> {
  try {
    const bundle: unknown = JSON.parse(json);
    if (typeof bundle !== 'object' || bundle === null) return {'text/plain': json};
    return Object.fromEntries(
      Object.entries(bundle).map(([mime, data]) => [mime, Array.isArray(data) ? data.join('') : String(data)])
    );
  } catch {
    return {'text/plain': json};
  }
}

function plainText([, stream, text]: LogLine): string {
  return stream === 'display' ? (parseBundle(text)['text/plain'] ?? '') : stripAnsi(text);
}
