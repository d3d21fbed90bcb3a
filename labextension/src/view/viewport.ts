/** A window onto content that is larger or smaller than it: fits until the reader zooms or drags. */

/** A press that moves less than this many pixels is a click. */
export const DRAG_THRESHOLD = 4;
/** The part of the window that a key pans by. */
export const PAN_STEP = 0.2;
const LEAST_SCALE = 0.2;
const MOST_SCALE = 2.5;
/** Content that would have to be smaller than this is cut at the right instead. */
const READABLE_SCALE = 0.6;

export class Viewport {
  /** Whether the last press moved the content. */
  wasDragged = false;
  private scale = 1;
  private x = 0;
  private y = 0;
  private moved = false;
  private width = 1;
  private height = 1;
  private margin = 0;
  private below = 0;

  /** `content` is scaled and moved inside `frame`, whose wheel and pointer events are taken. */
  constructor(
    private readonly frame: HTMLElement,
    private readonly content: HTMLElement
  ) {
    frame.addEventListener('wheel', event => this.onWheel(event), {passive: false});
    frame.addEventListener('pointerdown', event => this.onPress(event));
    frame.addEventListener('dblclick', () => this.showAll());
  }

  /** The size of the content, the margin around it and the room to leave below, in pixels. */
  setContent(width: number, height: number, margin: number, below: number): void {
    Object.assign(this, {width, height, margin, below});
    this.content.style.width = `${width}px`;
    this.content.style.height = `${height}px`;
  }

  /** Zooms about the middle: 2 shows half as much. */
  zoom(factor: number): void {
    this.zoomAbout(this.frame.clientWidth / 2, this.frame.clientHeight / 2, factor);
  }

  /** Moves to what is right (1) or left (-1) of the window. */
  pan(direction: 1 | -1): void {
    this.moveTo(this.x - direction * PAN_STEP * this.frame.clientWidth, this.y);
  }

  showAll(): void {
    this.moved = false;
    this.fitUnlessMoved();
  }

  /** All of it in the middle; never larger than it is, and not smaller than can be read. */
  fitUnlessMoved(): void {
    const {clientWidth, clientHeight} = this.frame;
    if (this.moved || clientWidth === 0) return;
    const room = [clientWidth - 2 * this.margin, clientHeight - 2 * this.margin - this.below];
    this.scale = Math.max(READABLE_SCALE, Math.min(1, room[0] / this.width, room[1] / this.height));
    this.x = Math.max(this.margin, (clientWidth - this.width * this.scale) / 2);
    this.y = Math.max(this.margin, (clientHeight - this.below - this.height * this.scale) / 2);
    this.apply();
  }

  /** Moves the content just so far that a rectangle of it is in the window. */
  reveal([x, y, width, height]: [number, number, number, number]): void {
    const {clientWidth, clientHeight} = this.frame;
    const left = this.x + x * this.scale;
    const top = this.y + y * this.scale;
    const dx = shift(left, left + width * this.scale, this.margin, clientWidth - this.margin);
    const dy = shift(top, top + height * this.scale, this.margin, clientHeight - this.margin - this.below);
    if (dx === 0 && dy === 0) return;
    this.moveTo(this.x + dx, this.y + dy);
  }

  private zoomAbout(x: number, y: number, factor: number): void {
    const scale = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, this.scale * factor));
    const ratio = scale / this.scale;
    this.scale = scale;
    this.moveTo(x - (x - this.x) * ratio, y - (y - this.y) * ratio);
  }

  private moveTo(x: number, y: number): void {
    this.moved = true;
    this.x = x;
    this.y = y;
    this.apply();
  }

  private apply(): void {
    this.content.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }

  private onWheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    const box = this.frame.getBoundingClientRect();
    this.zoomAbout(event.clientX - box.left, event.clientY - box.top, Math.exp(-event.deltaY / 300));
    event.preventDefault();
  }

  private onPress(press: PointerEvent): void {
    if (press.button !== 0) return;
    this.wasDragged = false;
    const from = [this.x, this.y];
    const onMove = (event: PointerEvent) => {
      const dx = event.clientX - press.clientX;
      const dy = event.clientY - press.clientY;
      if (!this.wasDragged && Math.hypot(dx, dy) < DRAG_THRESHOLD) return;
      if (!this.wasDragged) this.frame.setPointerCapture(press.pointerId);
      this.wasDragged = true;
      this.moveTo(from[0] + dx, from[1] + dy);
    };
    const onEnd = () => {
      this.frame.removeEventListener('pointermove', onMove);
      this.frame.removeEventListener('pointerup', onEnd);
      this.frame.removeEventListener('pointercancel', onEnd);
    };
    this.frame.addEventListener('pointermove', onMove);
    this.frame.addEventListener('pointerup', onEnd);
    this.frame.addEventListener('pointercancel', onEnd);
  }
}

/** By how much an interval moves to lie between two bounds; its beginning counts more. */
function shift(from: number, to: number, least: number, most: number): number {
  if (from < least) return least - from;
  return to > most ? Math.max(least - from, most - to) : 0;
}
