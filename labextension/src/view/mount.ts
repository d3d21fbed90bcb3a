/** The one way in: draws a run document into an element. */
import type {Port, RunDocument} from './document.js';
import {el} from './dom.js';
import {Explorer} from './explorer.js';

/** The version of the run document that this code reads. */
const VERSION = 1;

export interface MountedRun {
  readonly run: string;
  /** Shows a newer document; the same run keeps selection, scroll position and open rows. */
  update(doc: RunDocument): void;
  /** Connects to the kernel that owns the run; null when it is gone. */
  attach(port: Port | null): void;
  dispose(): void;
}

/** Without a port the document's own `details` are all there is to see of an action. */
export function mountRun(host: HTMLElement, doc: RunDocument, port: Port | null = null): MountedRun {
  const problem = problemWith(doc);
  if (problem !== null) {
    const message = el('div', {class: 'fnb-root'}, el('div', {class: 'fnb-fault'}, problem));
    host.replaceChildren(message);
    return {run: '', update: () => undefined, attach: () => undefined, dispose: () => message.remove()};
  }
  const explorer = new Explorer(doc);
  host.replaceChildren(explorer.node);
  if (port) explorer.attach(port);
  return explorer;
}

function problemWith(doc: RunDocument): string | null {
  if (typeof doc !== 'object' || doc === null || !doc.actions?.name) return 'This output is not a run document.';
  if (doc.version > VERSION) {
    return `Saved by a newer flyte_nb (document version ${doc.version}, this one reads ${VERSION}): update flyte_nb.`;
  }
  return null;
}
