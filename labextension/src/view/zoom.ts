/** The buttons that zoom the timeline and the graph. */
import {el, icon} from './dom.js';

/** What a key or button zooms by. */
export const ZOOM_STEP = 1.5;

const MINUS = 'M4 8h8';
const PLUS = 'M4 8h8M8 4v8';
const FIT = 'M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3';

export interface Zoomable {
  zoom(factor: number): void;
  showAll(): void;
}

export function zoomButtons(view: Zoomable): HTMLElement {
  return el(
    'div',
    {class: 'fnb-zoom', role: 'group', 'aria-label': 'Zoom'},
    button('Zoom out (-)', MINUS, () => view.zoom(1 / ZOOM_STEP)),
    button('Zoom in (+)', PLUS, () => view.zoom(ZOOM_STEP)),
    button('Show all (0)', FIT, () => view.showAll())
  );
}

function button(title: string, path: string, act: () => void): HTMLElement {
  const attributes = {class: 'fnb-button fnb-quiet', type: 'button', title, 'aria-label': title, onclick: act};
  return el('button', attributes, icon('fnb-sign', ['path', {d: path}]));
}
