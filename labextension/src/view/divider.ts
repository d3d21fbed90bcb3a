/** The handle between two panes: dragged with the pointer, or moved with the arrow keys. */
import {el} from './dom.js';

const LEAST = 0.25;
const MOST = 0.8;
const STEP = 0.04;

export class Divider {
  readonly node = el('div', {
    class: 'fnb-divider',
    role: 'separator',
    tabindex: 0,
    'aria-orientation': 'vertical',
    'aria-label': 'Width of the tree'
  });
  private fraction = 0.58;

  /** Sets `--fnb-split`, the first pane's share of the width, on `panes`. */
  constructor(private readonly panes: HTMLElement) {
    this.node.addEventListener('pointerdown', event => {
      this.node.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    this.node.addEventListener('pointermove', event => {
      if (!this.node.hasPointerCapture(event.pointerId)) return;
      const box = this.panes.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width);
    });
    this.node.addEventListener('keydown', event => {
      const step = event.key === 'ArrowLeft' ? -STEP : event.key === 'ArrowRight' ? STEP : 0;
      if (step === 0) return;
      this.move(this.fraction + step);
      event.preventDefault();
      event.stopPropagation();
    });
    this.move(this.fraction);
  }

  private move(fraction: number): void {
    this.fraction = Math.min(MOST, Math.max(LEAST, fraction));
    this.panes.style.setProperty('--fnb-split', `${(100 * this.fraction).toFixed(2)}%`);
    this.node.setAttribute('aria-valuenow', String(Math.round(100 * this.fraction)));
  }
}
