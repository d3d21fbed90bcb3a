/** The one way in: draws a form document into an element. */
import {el} from '../dom.js';
import type {FormDocument, FormPort} from './document.js';
import {FormView, type FormHost} from './form.js';

/** The version of the form document that this code reads. */
const VERSION = 1;

export interface MountedForm {
  /** Connects to the kernel that made the form; null when it is gone. */
  attach(port: FormPort | null): void;
  dispose(): void;
}

export function mountForm(host: HTMLElement, doc: FormDocument, can: FormHost = {}): MountedForm {
  const problem = problemWith(doc);
  const form = problem === '' ? new FormView(doc, can) : null;
  const root = el('div', {class: 'fnb-root fnb-formroot'}, form ? form.node : el('div', {class: 'fnb-fault'}, problem));
  host.replaceChildren(root);
  return {
    attach: port => form?.attach(port),
    dispose: () => {
      form?.dispose();
      root.remove();
    }
  };
}

function problemWith(doc: FormDocument): string {
  if (typeof doc !== 'object' || doc === null || !Array.isArray(doc.fields)) return 'This output is not a form.';
  if (doc.version > VERSION) return `Made by a newer flyte_nb (form version ${doc.version}): update flyte_nb.`;
  return '';
}
