/**
 * The heat strip of a fan-out: a cell for each action in call order, by phase or by how long it took. Drawn on a canvas,
 * so that ten thousand cost no more than ten. The pointer tells what a cell is, a click or Enter selects it, arrows go on.
 *
 * Phases differ in form too: failed cells are crossed, running ones half full, waiting ones a dot, aborted ones hollow.
 */
import {fitted, themeColors, type Colors} from './canvas.js';
import type {Phase} from './document.js';
import {el} from './dom.js';
import {duration} from './format.js';
import type {FanOut, RunModel} from './model.js';
import {phaseTone, phaseWord} from './phases.js';

export type Coloring = 'phase' | 'duration';

/** The strip's height where the cells allow it, and the sizes between which they are chosen, in pixels. */
const HEIGHT = 150;
const LEAST_CELL = 3;
const MOST_CELL = 14;
/** Of a live fan-out, painting takes at most this share of the time. */
const PAINTING_SHARE = 0.1;
/** Around the cells, for the frame of the one under the pointer. */
const PADDING = 3;
/** Smaller cells have no room for a form. */
const FORMED_CELL = 5;

export class HeatStrip {
  readonly node = el('div', {class: 'fnb-heatstrip'});
  private readonly frame = el('div', {
    class: 'fnb-heatcells',
    tabindex: 0,
    role: 'slider',
    'aria-label': 'Actions of this fan-out',
    'aria-valuemin': 1
  });
  private readonly canvas = el('canvas');
  /** Frames the cell of the pointer or the keyboard. */
  private readonly cursor = el('i', {class: 'fnb-heatcursor'});
  private readonly caption = el('div', {class: 'fnb-heatcaption fnb-muted'});
  private readonly choices: Record<Coloring, HTMLButtonElement> = {
    phase: this.choice('phase', 'Phase'),
    duration: this.choice('duration', 'Duration')
  };
  private coloring: Coloring = 'phase';
  private fanOut: FanOut | null = null;
  private now = 0;
  /** The cell of the keyboard, and of the pointer while it is there. */
  private at = 0;
  private hovered = -1;
  private drawn = '';
  /** When it was painted last, and how long that took, in milliseconds. */
  private painted = {at: 0, took: 0};

  constructor(
    private readonly model: RunModel,
    private readonly select: (row: number) => void
  ) {
    const heading = el('h3', {}, 'Every action by');
    const group = {class: 'fnb-choices', role: 'group', 'aria-label': 'Colour by'};
    const choices = el('span', group, ...Object.values(this.choices));
    this.node.append(el('div', {class: 'fnb-heathead'}, heading, choices), this.frame, this.caption);
    this.frame.append(this.canvas, this.cursor);
    this.frame.addEventListener('pointermove', event => this.hover(this.cellAt(event)));
    this.frame.addEventListener('pointerleave', () => this.hover(-1));
    this.frame.addEventListener('click', event => this.choose(this.cellAt(event)));
    this.frame.addEventListener('keydown', event => this.onKey(event));
  }

  update(fanOut: FanOut, now: number): void {
    const isSame = this.fanOut?.id === fanOut.id;
    if (!isSame) this.at = 0;
    this.fanOut = fanOut;
    this.now = now;
    const signature = `${this.model.version} ${this.model.epoch} ${fanOut.id} ${this.frame.clientWidth}`;
    if (signature === this.drawn || this.frame.clientWidth === 0) return;
    const began = performance.now();
    const isTooSoon = began - this.painted.at < this.painted.took / PAINTING_SHARE;
    if (isSame && isTooSoon && this.model.doc.live) return;
    this.drawn = signature;
    this.paint();
    this.painted = {at: began, took: performance.now() - began};
  }

  private choice(coloring: Coloring, words: string): HTMLButtonElement {
    const choose = () => {
      this.coloring = coloring;
      this.paint();
    };
    return el('button', {class: 'fnb-toggle fnb-tone-run', type: 'button', onclick: choose}, words);
  }

  private get rows(): readonly number[] {
    return this.fanOut?.rows ?? [];
  }

  /** The side of a cell with the gap after it, and how many stand in a line. */
  private get grid(): {side: number; columns: number} {
    const width = Math.max(1, this.frame.clientWidth - 2 * PADDING);
    const fitting = Math.floor(Math.sqrt((width * HEIGHT) / Math.max(1, this.rows.length)));
    const side = Math.min(MOST_CELL, Math.max(LEAST_CELL, fitting));
    return {side, columns: Math.max(1, Math.floor(width / side))};
  }

  private paint(): void {
    for (const [name, button] of Object.entries(this.choices)) {
      button.setAttribute('aria-pressed', String(name === this.coloring));
    }
    const {side, columns} = this.grid;
    const lines = Math.ceil(this.rows.length / columns);
    const context = fitted(this.canvas, columns * side, lines * side);
    const colors = themeColors(this.node);
    // The smallest have no gap between them.
    const size = side > LEAST_CELL ? side - 1 : side;
    const shade = this.coloring === 'duration' ? this.shades() : null;
    this.rows.forEach((row, k) => {
      const x = (k % columns) * side;
      const y = Math.floor(k / columns) * side;
      const phase = this.model.phase(row);
      if (shade) {
        context.globalAlpha = shade(row);
        context.fillStyle = colors.accent;
        context.fillRect(x, y, size, size);
      } else paintCell(context, colors, phase, x, y, size);
    });
    context.globalAlpha = 1;
    this.describe();
  }

  /** Depth of colour by duration, on a logarithmic scale from the shortest to the longest. */
  private shades(): (row: number) => number {
    const lengths = this.rows.map(row => this.model.durationOf(row, this.now));
    const known = lengths.filter((length): length is number => length !== null && length > 0).map(Math.log);
    const least = known.reduce((a, b) => Math.min(a, b), Infinity);
    const most = known.reduce((a, b) => Math.max(a, b), -Infinity);
    return row => {
      const length = this.model.durationOf(row, this.now);
      if (length === null) return 0.06;
      return most > least ? 0.15 + (0.85 * (Math.log(Math.max(length, 1e-3)) - least)) / (most - least) : 0.6;
    };
  }

  private describe(): void {
    const cell = this.hovered >= 0 ? this.hovered : this.at;
    const row = this.rows[cell];
    const words = row === undefined ? '' : this.words(row);
    const {side, columns} = this.grid;
    this.cursor.hidden = row === undefined;
    const [left, top] = [PADDING + (cell % columns) * side, PADDING + Math.floor(cell / columns) * side];
    this.cursor.style.cssText = `left:${left}px;top:${top}px;width:${side}px;height:${side}px`;
    this.caption.textContent = words;
    this.frame.setAttribute('aria-valuemax', String(this.rows.length));
    this.frame.setAttribute('aria-valuenow', String(cell + 1));
    this.frame.setAttribute('aria-valuetext', words);
  }

  private words(row: number): string {
    const {error} = this.model.doc.actions;
    const name = `${this.model.taskName(row)} ${this.model.label(row)}`.trim();
    const length = this.model.durationOf(row, this.now);
    const facts = [name, phaseWord(this.model.phase(row)), length === null ? '' : duration(length), error[row] ?? ''];
    return facts.filter(Boolean).join(' · ');
  }

  private cellAt(event: MouseEvent): number {
    const box = this.canvas.getBoundingClientRect();
    const {side, columns} = this.grid;
    const column = Math.floor((event.clientX - box.left) / side);
    const cell = Math.floor((event.clientY - box.top) / side) * columns + column;
    return column >= 0 && column < columns && cell < this.rows.length ? cell : -1;
  }

  private hover(cell: number): void {
    if (cell === this.hovered) return;
    this.hovered = cell;
    this.describe();
  }

  private choose(cell: number): void {
    const row = this.rows[cell];
    if (row === undefined) return;
    this.at = cell;
    this.select(row);
  }

  private onKey(event: KeyboardEvent): void {
    const {side, columns} = this.grid;
    const steps: Record<string, number> = {
      ArrowLeft: this.at - 1,
      ArrowRight: this.at + 1,
      ArrowUp: this.at - columns,
      ArrowDown: this.at + columns,
      Home: 0,
      End: this.rows.length - 1
    };
    if (event.key === 'Enter') this.choose(this.at);
    else if (event.key in steps) {
      this.at = Math.min(this.rows.length - 1, Math.max(0, steps[event.key]));
      this.hovered = -1;
      this.frame.scrollTop = Math.floor(this.at / columns) * side - this.frame.clientHeight / 2;
      this.describe();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function paintCell(
  context: CanvasRenderingContext2D,
  colors: Colors,
  phase: Phase,
  x: number,
  y: number,
  size: number
): void {
  const color = colors[phaseTone(phase)];
  context.fillStyle = context.strokeStyle = color;
  context.globalAlpha = 1;
  if (size < FORMED_CELL) {
    context.globalAlpha = phase === 'succeeded' || phase === 'recovered' ? 0.5 : 1;
    return context.fillRect(x, y, size, size);
  }
  if (phase === 'failed' || phase === 'timed_out') {
    context.fillRect(x, y, size, size);
    context.strokeStyle = colors.bg;
    context.lineWidth = Math.max(1, size / 7);
    context.beginPath();
    context.moveTo(x + size * 0.25, y + size * 0.25);
    context.lineTo(x + size * 0.75, y + size * 0.75);
    context.moveTo(x + size * 0.75, y + size * 0.25);
    context.lineTo(x + size * 0.25, y + size * 0.75);
    return context.stroke();
  }
  if (phase === 'succeeded' || phase === 'recovered') {
    context.globalAlpha = 0.55;
    return context.fillRect(x, y, size, size);
  }
  if (phase === 'running') return context.fillRect(x, y + size / 2, size, size / 2);
  if (phase === 'aborted' || phase === 'paused') {
    context.lineWidth = 1.5;
    return context.strokeRect(x + 1, y + 1, size - 2, size - 2);
  }
  const dot = Math.max(2, size / 4);
  context.fillRect(x + (size - dot) / 2, y + (size - dot) / 2, dot, dot);
}
