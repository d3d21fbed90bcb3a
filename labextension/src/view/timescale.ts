/** The part of the run's time that the timeline shows, and where an instant stands in it. Pure: no DOM. */

const SHORTEST_MS = 0.02;

export class TimeScale {
  /** The shown part, in milliseconds since the run's start; null shows all of it, also while it grows. */
  private part: [number, number] | null = null;
  private span = 1;
  private left = 0;
  private width = 1;

  /** Where the axis ends, and the pixels that it has. */
  fit(span: number, left: number, width: number): void {
    this.span = span;
    this.left = left;
    this.width = width;
  }

  get shown(): [number, number] {
    return this.part ?? [0, this.span];
  }

  get isZoomed(): boolean {
    return this.part !== null;
  }

  x(ms: number): number {
    const [from, to] = this.shown;
    return this.left + ((ms - from) / (to - from)) * this.width;
  }

  /** Shows `1 / factor` as much and leaves the instant at pixel `x` where it is. */
  zoom(x: number, factor: number): void {
    const [from, to] = this.shown;
    const length = Math.min(this.span, Math.max(SHORTEST_MS, (to - from) / factor));
    const fraction = Math.min(1, Math.max(0, (x - this.left) / this.width));
    this.show(from + fraction * (to - from - length), length);
  }

  /** Moves `shown`, as it was when the pointer went down, by so many pixels. */
  pan(pixels: number, [from, to] = this.shown): void {
    this.show(from + (pixels / this.width) * (to - from), to - from);
  }

  showAll(): void {
    this.part = null;
  }

  private show(from: number, length: number): void {
    const start = Math.min(Math.max(0, from), this.span - length);
    this.part = length >= this.span ? null : [start, start + length];
  }
}
