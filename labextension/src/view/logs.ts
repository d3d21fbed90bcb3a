/**
 * The output of an action: terminal colours, search, a choice of stream and level, and a view that follows new lines
 * while it stands at the end.
 */
import {parseAnsi, stripAnsi, type Piece} from './ansi.js';
import type {Detail, LogLine} from './document.js';
import {copyButton, el, icon, type Child} from './dom.js';
import {count, moment, plural} from './format.js';
import {isAtLeast, levelOf} from './loglevels.js';
import {pngImage} from './values.js';

const LONGEST_LINE = 4000;
/** Nearer to the end than this many pixels counts as being there. */
const NEAR_END = 8;

/** What the reader may choose to see: of each choice its words and whether a line belongs to it. */
const CHOICES: Record<string, {words: string; takes: (line: LogLine) => boolean}> = {
  all: {words: 'All output', takes: () => true},
  stdout: {words: 'stdout', takes: ([, stream]) => stream === 'stdout'},
  stderr: {words: 'stderr', takes: ([, stream]) => stream === 'stderr'},
  warnings: {words: 'Warnings, errors', takes: ([, , text]) => isAtLeast(levelOf(text), 'warning')},
  errors: {words: 'Errors', takes: ([, , text]) => isAtLeast(levelOf(text), 'error')}
};

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
  private readonly choice = el(
    'select',
    {class: 'fnb-select', 'aria-label': 'Which output'},
    ...Object.entries(CHOICES).map(([value, {words}]) => el('option', {value}, words))
  );
  private readonly toEnd = el('button', {class: 'fnb-button fnb-toend', type: 'button'}, 'New output ↓');
  private detail: Detail | null = null;

  constructor() {
    const tools = el('span', {class: 'fnb-tools'}, copyButton(() => this.text(), 'Copy the output'), this.saveButton());
    const bar = el('div', {class: 'fnb-logbar'}, this.field, this.choice, this.found, tools);
    this.node.append(bar, this.lines, this.toEnd);
    this.toEnd.hidden = true;
    this.toEnd.addEventListener('click', () => this.follow());
    this.lines.addEventListener('scroll', () => this.isAtEnd && (this.toEnd.hidden = true));
    this.choice.addEventListener('change', () => this.draw());
    this.field.addEventListener('input', () => this.draw());
    this.field.addEventListener('keydown', event => {
      if (event.key !== 'Escape') event.stopPropagation();
    });
  }

  /** Shows the output as it stands; at its end the view stays there, elsewhere it says that more has come. */
  update(detail: Detail): void {
    const before = this.detail;
    const isSame = before?.action === detail.action;
    const atEnd = this.isAtEnd;
    const grew = isSame && detail.logs.at(-1)?.[0] !== before.logs.at(-1)?.[0];
    this.detail = detail;
    if (!isSame) this.field.value = '';
    this.draw();
    if (isSame && atEnd) this.follow();
    this.toEnd.hidden = !grew || atEnd;
  }

  private get isAtEnd(): boolean {
    return this.lines.scrollTop + this.lines.clientHeight >= this.lines.scrollHeight - NEAR_END;
  }

  private follow(): void {
    this.lines.scrollTop = this.lines.scrollHeight;
    this.toEnd.hidden = true;
  }

  private draw(): void {
    const {logs = [], logs_omitted: omitted = 0} = this.detail ?? {};
    const wanted = this.field.value.toLowerCase();
    const {takes} = CHOICES[this.choice.value];
    const shown = logs.filter(line => takes(line) && (wanted === '' || plainText(line).toLowerCase().includes(wanted)));
    const of = shown.length === logs.length ? '' : `${count(shown.length)} of `;
    this.found.textContent = of + plural(logs.length, 'line');
    this.lines.replaceChildren(
      ...(omitted > 0 ? [el('div', {class: 'fnb-more'}, `${plural(omitted, 'earlier line')} not shown`)] : []),
      ...shown.map(line => logLine(line, wanted)),
      ...(shown.length === 0 ? [el('div', {class: 'fnb-more'}, 'No line fits.')] : [])
    );
  }

  /** All lines that are here, without colours. */
  private text(): string {
    return (this.detail?.logs ?? []).map(plainText).join('\n');
  }

  private saveButton(): HTMLElement {
    const title = 'Download the output';
    const arrow = icon('fnb-save', ['path', {d: 'M8 2.5v7.5M4.8 7L8 10.2 11.2 7M3 13.2h10'}]);
    const save = () => download(`${this.detail?.action ?? 'output'}.log`, `${this.text()}\n`);
    const attributes = {class: 'fnb-button fnb-quiet', type: 'button', title, 'aria-label': title, onclick: save};
    return el('button', attributes, arrow);
  }
}

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], {type: 'text/plain'}));
  el('a', {href: address, download: name}).click();
  URL.revokeObjectURL(address);
}

function logLine([at, stream, text]: LogLine, wanted: string): HTMLElement {
  const time = el('span', {class: 'fnb-logtime', 'aria-hidden': 'true'}, moment(at).slice(-8));
  const content = stream === 'display' ? display(text) : ansi(text, wanted);
  const level = stream === 'display' ? null : levelOf(text);
  const names = ['fnb-log', stream === 'stderr' && 'fnb-stderr', level && `fnb-level-${level}`].filter(Boolean);
  const title = level ? `${stream}, ${level}` : stream;
  return el('div', {class: names.join(' '), title}, time, el('div', {}, ...content));
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
