/** The one way in: draws a run document into an element. */
import {CellView} from './cell.js';
import type {Port, RunDocument} from './document.js';
import {el} from './dom.js';
import type {ViewName} from './toolbar.js';

/** The version of the run document that this code reads. */
const VERSION = 1;

export interface MountedRun {
  /** The run that is shown; empty where the document could not be read. */
  readonly run: string;
  /** Shows a newer document of the same cell; the same run keeps selection, scroll position and open rows. */
  update(doc: RunDocument): void;
  /** Connects to the kernel that owns the shown run; null when it is gone. */
  attach(port: Port | null): void;
  /** Turns to the tree, the timeline or the graph. */
  showView(view: ViewName): void;
  dispose(): void;
}

/**
 * Without a port the document's own `details` are all there is to see of an action. `switched` is called when the view
 * turns to another run of its cell: it has lost its port then, and takes that run's.
 */
export function mountRun(
  host: HTMLElement,
  doc: RunDocument,
  port: Port | null = null,
  switched: (run: string) => void = () => undefined
): MountedRun {
  const problem = problemWith(doc);
  if (problem !== null) {
    const message = el('div', {class: 'fnb-root'}, el('div', {class: 'fnb-fault'}, problem));
    host.replaceChildren(message);
    const nothing = () => undefined;
    return {run: '', update: nothing, attach: nothing, showView: nothing, dispose: () => message.remove()};
  }
  const view = new CellView(doc, switched);
  host.replaceChildren(view.node);
  if (port) view.attach(port);
  return view;
}

/** Why a document cannot be drawn; null when it can. */
export function problemWith(doc: RunDocument): string | null {
  if (typeof doc !== 'object' || doc === null || !doc.actions?.name) return 'This output is not a run document.';
  if (doc.version > VERSION) {
    return `Saved by a newer flyte_nb (document version ${doc.version}, this one reads ${VERSION}): update flyte_nb.`;
  }
  return null;
}
