/**
 * The timeline: the same lines as the tree, drawn on a canvas that shows only the scrolled window.
 * Light: waiting in the queue; light and coloured: its process being started. Solid: running. A line under a bar: on the
 * critical path. Ctrl with the wheel zooms about the pointer, dragging pans, a double click shows all; so do keys and
 * buttons.
 */
import {block, clipped, fitted, themeColors, type Colors} from './canvas.js';
import {el} from './dom.js';
import {duration, instant, ticks} from './format.js';
import type {RunModel} from './model.js';
import type {Line, Outline} from './outline.js';
import {paintPhase, phaseTone, phaseWord} from './phases.js';
import {TimeScale} from './timescale.js';
import {PAN_STEP} from './viewport.js';
import {zoomButtons} from './zoom.js';

const LINE_HEIGHT = 22;
const AXIS_HEIGHT = 22;
const BAR_HEIGHT = 12;
const INDENT = 12;
const DEEPEST_INDENT = 8;
const RIGHT_MARGIN = 12;
const PIXELS_PER_TICK = 90;
/** A press that moves less than this is a click. */
const DRAG_THRESHOLD = 4;

export interface TimelineActions {
  select(item: number): void;
  toggle(index: number): void;
}

export class Timeline {
  readonly node = el('div', {class: 'fnb-timelinepane'});
  private readonly scroller = el('div', {
    class: 'fnb-scroller',
    tabindex: 0,
    role: 'img',
    'aria-label': 'Timeline of the run'
  });
  private readonly canvas = el('canvas');
  private readonly height = el('div');
  private readonly tip = el('div', {class: 'fnb-tip', role: 'tooltip'});
  private readonly scale = new TimeScale();
  private drag: {x: number; y: number; top: number; shown: [number, number]; moved: boolean} | null = null;
  private now = 0;

  constructor(
    private readonly model: RunModel,
    private readonly outline: Outline,
    private readonly actions: TimelineActions,
    private readonly repaint: () => void
  ) {
    this.scroller.append(this.canvas, this.height);
    this.tip.hidden = true;
    this.node.append(this.scroller, zoomButtons(this), this.tip);
    this.scroller.addEventListener('scroll', repaint);
    this.scroller.addEventListener('wheel', event => this.onWheel(event), {passive: false});
    this.scroller.addEventListener('pointerdown', event => this.onPress(event));
    this.scroller.addEventListener('pointermove', event => this.onMove(event));
    this.scroller.addEventListener('pointerup', event => this.onRelease(event));
    this.scroller.addEventListener('pointerleave', () => (this.tip.hidden = true));
    this.scroller.addEventListener('dblclick', () => this.showAll());
  }

  get focusable(): HTMLElement {
    return this.scroller;
  }

  get page(): number {
    return Math.max(1, Math.floor((this.scroller.clientHeight - AXIS_HEIGHT) / LINE_HEIGHT) - 1);
  }

  scrollTo(index: number): void {
    const top = index * LINE_HEIGHT;
    const {scrollTop, clientHeight} = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + LINE_HEIGHT > scrollTop + clientHeight - AXIS_HEIGHT) {
      this.scroller.scrollTop = top + LINE_HEIGHT - clientHeight + AXIS_HEIGHT;
    }
  }

  /** Zooms about the middle: 2 shows half as much, 0.5 twice as much. */
  zoom(factor: number): void {
    this.scale.zoom(this.gutter + this.plot / 2, factor);
    this.repaint();
  }

  /** Moves the window to later (1) or earlier (-1) times. */
  pan(direction: 1 | -1): void {
    if (this.scale.isZoomed) this.scale.pan(direction * PAN_STEP * this.plot);
    this.repaint();
  }

  showAll(): void {
    this.scale.showAll();
    this.repaint();
  }

  update(selected: number, now: number): void {
    this.now = now;
    const {lines} = this.outline;
    const total = AXIS_HEIGHT + lines.length * LINE_HEIGHT;
    this.node.style.setProperty('--fnb-content', `${total}px`);
    const width = this.scroller.clientWidth;
    const height = Math.min(this.scroller.clientHeight, total);
    if (width === 0 || height === 0) return;
    this.height.style.height = `${total - height}px`;
    this.scale.fit(this.model.span(now), this.gutter, this.plot);
    const context = fitted(this.canvas, width, height);
    context.textBaseline = 'middle';
    const colors = themeColors(this.node);
    const highlight = getComputedStyle(this.tip).outlineColor;
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / LINE_HEIGHT));
    const last = Math.min(lines.length, Math.ceil((top + height) / LINE_HEIGHT));
    this.paintGrid(context, colors, width, height);
    context.save();
    context.beginPath();
    context.rect(0, AXIS_HEIGHT, width, height - AXIS_HEIGHT);
    context.clip();
    for (let index = first; index < last; index++) {
      const y = AXIS_HEIGHT + index * LINE_HEIGHT - top;
      if (lines[index].item === selected) {
        context.fillStyle = highlight;
        context.fillRect(0, y, width, LINE_HEIGHT);
      }
      this.paintLine(context, colors, lines[index], y);
    }
    context.restore();
    this.describe(lines[this.outline.position(selected)]);
  }

  /** Says what is selected; without times, which would change with every frame. */
  private describe(line: Line | undefined): void {
    const parts = !line || line.item < 0 ? [] : [phaseWord(this.model.phase(line.item))];
    if (line && this.model.criticalRows.has(line.item)) parts.push('on the critical path');
    const selected = line ? `; selected: ${[this.words(line).join(' ').trim(), ...parts].join(', ')}` : '';
    const label = `Timeline of the run${selected}`;
    if (this.scroller.ariaLabel !== label) this.scroller.ariaLabel = label;
  }

  private get width(): number {
    return this.scroller.clientWidth;
  }

  /** Width of the names, at the left. */
  private get gutter(): number {
    return Math.round(Math.min(260, this.width * 0.36));
  }

  private get plot(): number {
    return Math.max(20, this.width - this.gutter - RIGHT_MARGIN);
  }

  private paintGrid(context: CanvasRenderingContext2D, colors: Colors, width: number, height: number): void {
    const [from, to] = this.scale.shown;
    const instants = ticks(from, to, Math.max(2, Math.floor(this.plot / PIXELS_PER_TICK)));
    const step = instants.length > 1 ? instants[1] - instants[0] : to - from;
    context.font = `11px ${colors.font}`;
    context.textAlign = 'left';
    for (const at of instants) {
      const x = Math.round(this.scale.x(at)) + 0.5;
      context.strokeStyle = colors.line;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.stroke();
      const words = instant(at, step);
      if (x + 4 + context.measureText(words).width > width) continue;
      context.fillStyle = colors.muted;
      context.fillText(words, x + 4, AXIS_HEIGHT / 2);
    }
    context.strokeStyle = colors.line;
    context.strokeRect(-1, -1, width + 2, AXIS_HEIGHT + 0.5);
  }

  private paintLine(context: CanvasRenderingContext2D, colors: Colors, line: Line, y: number): void {
    const middle = y + LINE_HEIGHT / 2 + 0.5;
    const indent = 10 + INDENT * Math.min(line.depth, DEEPEST_INDENT);
    context.font = `12px ${colors.font}`;
    context.fillStyle = colors.muted;
    context.textAlign = 'center';
    if (line.open !== null) context.fillText(line.open ? '▾' : '▸', indent, middle);
    context.textAlign = 'left';
    let left = indent + 8;
    if (line.item >= 0) {
      const phase = this.model.phase(line.item);
      paintPhase(context, phase, left + 7, middle - 0.5, 13, colors[phaseTone(phase)], colors.bg);
      left += 18;
    }
    const room = this.gutter - left - 6;
    const [name, rest] = this.words(line);
    context.fillStyle = colors.text;
    const shownName = clipped(context, name, room);
    context.fillText(shownName, left, middle);
    const used = context.measureText(`${shownName} `).width;
    context.fillStyle = colors.muted;
    if (room - used > 24) context.fillText(clipped(context, rest, room - used), left + used, middle);
    context.save();
    context.beginPath();
    context.rect(this.gutter, y, this.plot + RIGHT_MARGIN, LINE_HEIGHT);
    context.clip();
    if (line.item >= 0) this.paintAction(context, colors, line.item, y);
    else this.paintFanOut(context, colors, -1 - line.item, y);
    context.restore();
  }

  private words(line: Line): [string, string] {
    if (line.item >= 0) return [this.model.taskName(line.item), this.model.label(line.item)];
    return this.model.fanOutWords(this.model.fanOuts[-1 - line.item]);
  }

  private paintAction(context: CanvasRenderingContext2D, colors: Colors, row: number, y: number): void {
    const {start, end} = this.model.doc.actions;
    const from = start[row];
    const top = y + (LINE_HEIGHT - BAR_HEIGHT) / 2;
    const wait = this.model.waitOf(row, this.now);
    const to = end[row] ?? (this.model.isTerminal(row) ? wait.to : this.now);
    this.paintWait(context, colors.muted, 0.35, wait.queued, wait.init, top);
    this.paintWait(context, colors.wait, 0.8, wait.init, wait.to, top);
    if (from === null) return;
    context.fillStyle = colors[phaseTone(this.model.phase(row))];
    const length = Math.max(2, this.scale.x(to) - this.scale.x(from));
    context.globalAlpha = this.model.childrenOf(row).length > 0 ? 0.55 : 1;
    block(context, this.scale.x(from), top, length, BAR_HEIGHT, 2.5);
    context.globalAlpha = 1;
    this.paintEarlierAttempts(context, colors, row, top);
    if (this.model.criticalRows.has(row)) {
      context.fillStyle = colors.text;
      const called = this.scale.x(wait.queued);
      block(context, called, top + BAR_HEIGHT + 1, this.scale.x(to) - called, 2, 0);
    }
    this.paintCaption(context, colors, row, this.scale.x(from), length, y);
  }

  private paintWait(
    context: CanvasRenderingContext2D,
    color: string,
    alpha: number,
    from: number,
    to: number,
    top: number
  ): void {
    const length = this.scale.x(to) - this.scale.x(from);
    if (length < 0.5) return;
    context.fillStyle = color;
    context.globalAlpha = alpha;
    block(context, this.scale.x(from), top + BAR_HEIGHT / 2 - 2, length, 4, 1);
    context.globalAlpha = 1;
  }

  /** Attempts before the last stand before its bar, in the colour of failure. */
  private paintEarlierAttempts(context: CanvasRenderingContext2D, colors: Colors, row: number, top: number): void {
    for (const [start, end] of this.model.doc.actions.tries[row] ?? []) {
      const length = Math.max(2, this.scale.x(end) - this.scale.x(start) - 1);
      context.fillStyle = colors.bad;
      context.globalAlpha = 0.55;
      block(context, this.scale.x(start), top + 2, length, BAR_HEIGHT - 4, 2);
      context.globalAlpha = 1;
    }
  }

  /** The duration after the bar; where there is no room, before it or in it. */
  private paintCaption(
    context: CanvasRenderingContext2D,
    colors: Colors,
    row: number,
    x: number,
    length: number,
    y: number
  ): void {
    const {queued, attempt, error} = this.model.doc.actions;
    const words = [duration(this.model.durationOf(row, this.now))];
    if (attempt[row] > 1) words.push(`attempt ${attempt[row]}`);
    if (error[row] !== null) words.push(error[row] as string);
    context.font = `11px ${colors.font}`;
    const room = this.gutter + this.plot + RIGHT_MARGIN - (x + length) - 8;
    const text = clipped(context, words.join(' · '), Math.max(room, 60));
    const wide = context.measureText(text).width;
    const middle = y + LINE_HEIGHT / 2 + 0.5;
    const waited = this.scale.x(queued[row]);
    context.fillStyle = error[row] !== null ? colors.bad : colors.muted;
    if (wide <= room) context.fillText(text, x + length + 5, middle);
    else if (waited - this.gutter > wide + 8) context.fillText(text, waited - wide - 5, middle);
    else if (length > wide + 12) {
      context.fillStyle = colors.bg;
      context.fillText(text, x + length - wide - 6, middle);
    }
  }

  /** How many ran at once, as height, and red marks below where one failed. */
  private paintFanOut(context: CanvasRenderingContext2D, colors: Colors, id: number, y: number): void {
    const fanOut = this.model.fanOuts[id];
    const [from, to] = this.scale.shown;
    const [began, ended] = this.model.extent(fanOut, this.now);
    const x0 = Math.max(this.gutter, this.scale.x(began));
    const x1 = Math.min(this.gutter + this.plot, this.scale.x(ended));
    const bins = Math.max(1, Math.min(400, Math.round((x1 - x0) / 3)));
    const heat = this.model.heat(fanOut, Math.max(from, began), Math.min(to, ended), bins, this.now);
    const wide = (x1 - x0) / bins;
    for (let bin = 0; bin < bins; bin++) {
      const strength = heat.running[bin] / heat.most;
      const tall = strength === 0 ? 0 : Math.max(2, strength * (LINE_HEIGHT - 9));
      context.fillStyle = colors.ok;
      context.fillRect(x0 + bin * wide, y + LINE_HEIGHT - 6 - tall, Math.max(1, wide - 0.5), tall);
      context.fillStyle = colors.bad;
      if (heat.failed[bin]) context.fillRect(x0 + bin * wide, y + LINE_HEIGHT - 5, wide, 3);
    }
  }

  private onWheel(event: WheelEvent): void {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.ctrlKey || event.metaKey) this.scale.zoom(this.pointer(event)[0], Math.exp(-event.deltaY / 300));
    else if (sideways && this.scale.isZoomed) this.scale.pan(event.deltaX);
    else return;
    event.preventDefault();
    this.repaint();
  }

  private onPress(event: PointerEvent): void {
    if (event.button !== 0) return;
    const [x, y] = this.pointer(event);
    this.drag = {x, y, top: this.scroller.scrollTop, shown: this.scale.shown, moved: false};
    this.scroller.setPointerCapture(event.pointerId);
  }

  private onMove(event: PointerEvent): void {
    const [x, y] = this.pointer(event);
    if (!this.drag) return this.showTip(x, y);
    const dx = x - this.drag.x;
    const dy = y - this.drag.y;
    if (Math.hypot(dx, dy) >= DRAG_THRESHOLD) this.drag.moved = true;
    if (!this.drag.moved) return;
    this.tip.hidden = true;
    this.scale.pan(-dx, this.drag.shown);
    this.scroller.scrollTop = this.drag.top - dy;
    this.repaint();
  }

  private onRelease(event: PointerEvent): void {
    const pressed = this.drag;
    this.drag = null;
    if (!pressed || pressed.moved) return;
    const [x, y] = this.pointer(event);
    const index = this.lineAt(y);
    const line = this.outline.lines[index];
    if (!line) return;
    if (line.open !== null && (line.item < 0 || x < 18 + INDENT * Math.min(line.depth, DEEPEST_INDENT)))
      this.actions.toggle(index);
    this.actions.select(line.item);
  }

  private pointer(event: MouseEvent): [number, number] {
    const box = this.scroller.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private lineAt(y: number): number {
    return y < AXIS_HEIGHT ? -1 : Math.floor((y - AXIS_HEIGHT + this.scroller.scrollTop) / LINE_HEIGHT);
  }

  private showTip(x: number, y: number): void {
    const line = this.outline.lines[this.lineAt(y)];
    this.tip.hidden = !line;
    if (!line) return;
    this.tip.textContent = this.tipWords(line);
    const left = Math.min(x + 14, Math.max(0, this.width - this.tip.offsetWidth - 4));
    const below = y + 18 + this.tip.offsetHeight <= this.scroller.clientHeight;
    this.tip.style.transform = `translate(${left}px, ${below ? y + 18 : Math.max(0, y - this.tip.offsetHeight - 8)}px)`;
  }

  private tipWords(line: Line): string {
    if (line.item < 0) {
      const [name, times] = this.words(line);
      return `${name} ${times}`;
    }
    const row = line.item;
    const {start, label, error, note} = this.model.doc.actions;
    const began = start[row];
    const wait = this.model.waitOf(row, this.now);
    const times = [`queued ${duration(wait.init - wait.queued)}`];
    if (wait.init < wait.to) times.push(`initializing ${duration(wait.to - wait.init)}`);
    if (began !== null) times.push(`ran ${duration(this.model.durationOf(row, this.now))}`);
    if (this.model.criticalRows.has(row)) times.push('on the critical path');
    const title = `${this.model.taskName(row)} ${label[row]}`.trim();
    return [`${title} · ${phaseWord(this.model.phase(row))}`, times.join(', '), note[row], error[row]].filter(Boolean).join('\n');
  }
}
