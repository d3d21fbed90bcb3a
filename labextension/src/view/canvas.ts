/** Shapes and text on a canvas. */

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

/** The text, cut with an ellipsis to fit. */
export function clipped(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? `${text.slice(0, low)}…` : '';
}
