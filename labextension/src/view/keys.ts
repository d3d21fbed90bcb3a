/** What the keys do in an explorer: docs/explorer.md lists them. */
import {GraphView} from './graphview.js';
import type {Outline} from './outline.js';
import type {Tab} from './panels.js';
import {Timeline} from './timeline.js';
import type {Tree} from './tree.js';
import {ZOOM_STEP} from './zoom.js';

/** What an explorer lets the keys see and do. */
export interface KeyTarget {
  readonly current: Tree | Timeline | GraphView;
  readonly outline: Outline;
  readonly selected: number;
  isInDetail(target: HTMLElement): boolean;
  /** Goes to the line at this place; to the last for one beyond it. */
  walk(index: number): void;
  toggle(index: number): void;
  reveal(item: number): void;
  showTab(tab: Tab): void;
  focusFilter(): void;
  enterDetail(): void;
  leaveDetail(): void;
  leaveView(): void;
}

type Key = () => void;
type Keys = Record<string, Key>;

/** Does what a key asks for; a key that means nothing here goes on to the page. */
export function press(event: KeyboardEvent, on: KeyTarget): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches('input, textarea')) return;
  const act = keysAt(target, on)[event.key];
  if (!act) return;
  act();
  event.preventDefault();
  event.stopPropagation();
}

function keysAt(target: HTMLElement, on: KeyTarget): Keys {
  if (on.isInDetail(target)) return {...everywhere(on), Escape: () => on.leaveDetail()};
  if (target !== on.current.focusable) return everywhere(on);
  return {...everywhere(on), ...viewKeys(on), Enter: () => on.enterDetail(), Escape: () => on.leaveView()};
}

function everywhere(on: KeyTarget): Keys {
  return {
    '/': () => on.focusFilter(),
    l: () => on.showTab('Logs'),
    e: () => on.reveal(on.outline.nextError(on.selected))
  };
}

function viewKeys(on: KeyTarget): Keys {
  const {current} = on;
  if (current instanceof GraphView) return {...graphKeys(current), ...zoomKeys(current)};
  const zooms = current instanceof Timeline ? zoomKeys(current) : {};
  return {...lineKeys(on, current.page), ...zooms};
}

function lineKeys(on: KeyTarget, page: number): Keys {
  const {outline} = on;
  const at = outline.position(on.selected);
  const line = outline.lines[at];
  return {
    ArrowDown: () => on.walk(at + 1),
    ArrowUp: () => on.walk(Math.max(0, at - 1)),
    PageDown: () => on.walk(at + page),
    PageUp: () => on.walk(Math.max(0, at - page)),
    Home: () => on.walk(0),
    End: () => on.walk(outline.lines.length - 1),
    ArrowRight: () => (line?.open === false ? on.toggle(at) : line?.open && on.walk(at + 1)),
    ArrowLeft: () => (line?.open && !outline.isFiltered ? on.toggle(at) : on.walk(outline.parent(at))),
    ' ': () => on.toggle(at)
  };
}

function graphKeys(graph: GraphView): Keys {
  return {
    ArrowDown: () => graph.walk('down'),
    ArrowUp: () => graph.walk('up'),
    ArrowRight: () => graph.walk('right'),
    ArrowLeft: () => graph.walk('left')
  };
}

function zoomKeys(view: Timeline | GraphView): Keys {
  return {
    '+': () => view.zoom(ZOOM_STEP),
    '=': () => view.zoom(ZOOM_STEP),
    '-': () => view.zoom(1 / ZOOM_STEP),
    '0': () => view.showAll(),
    ',': () => view.pan(-1),
    '.': () => view.pan(1)
  };
}
