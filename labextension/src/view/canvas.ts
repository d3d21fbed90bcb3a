/** Shapes, text and the theme's colours on a canvas. */
import type {Tone} from './phases.js';

export type Colors = Record<Tone | 'text' | 'muted' | 'line' | 'accent' | 'bg', string> & {font: string};

/** The theme's colours as they stand for an element. */
export function themeColors(node: HTMLElement): Colors {
  const style = getComputedStyle(node);
  const read = (name: string) => style.getPropertyValue(`--fnb-${name}`).trim();
  return {
    idle: read('idle'),
    wait: read('wait'),
    run: read('run'),
    ok: read('ok'),
    warn: read('warn'),
    bad: read('bad'),
    text: read('text'),
    muted: read('muted'),
    line: read('line'),
    accent: read('accent'),
    bg: read('bg'),
    font: style.fontFamily
  };
}

/** Sizes a canvas to so many CSS pixels, clears it, and gives its context in those. */
export function fitted(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio || 1;
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** A filled bar with round corners. */
export function block(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  radius: number
): void {
  // Far outside the window the numbers would lose precision: keep the visible part and a margin.
  const from = Math.max(x, -50);
  const to = Math.min(x + width, context.canvas.clientWidth + 50);
  if (to <= from) return;
  context.beginPath();
  context.roundRect(from, y, to - from, height, Math.min(radius, (to - from) / 2));
  context.fill();
}

/** No canvas has room for more characters in a line. */
const LONGEST = 500;

/** The text, cut with an ellipsis to fit. */
export function clipped(context: CanvasRenderingContext2D, text: string, room: number): string {
  const whole = text.slice(0, LONGEST);
  if (whole === text && context.measureText(text).width <= room) return text;
  let low = 0;
  let high = whole.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? `${text.slice(0, low)}…` : '';
}
