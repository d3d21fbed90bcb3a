/** A control of a form: holds a value as JSON, says what is wrong with it, has a label and a description. */
import {el, type Child} from '../dom.js';
import type {Json, Schema} from './schema.js';

/** What the parts of one field share. */
export interface Surroundings {
  /** With `$defs`, which references mean. */
  root: Schema;
  /** Begins the ids of its elements. */
  id: string;
  suggestions: string[];
  /** Makes the control of a part. */
  make(schema: Schema, value: Json | undefined, around: Surroundings): Control;
  /** Told whenever the reader changes something. */
  changed(): void;
}

let elements = 0;

export abstract class Control {
  abstract readonly node: HTMLElement;
  /** What a label names, and what gets the focus. */
  abstract readonly target: HTMLElement;
  private readonly words = el('p', {class: 'fnb-problem', hidden: true});

  constructor(protected readonly around: Surroundings) {
    this.words.id = `${around.id}-${++elements}`;
  }

  /** Undefined while nothing is given. */
  abstract get value(): Json | undefined;

  /** The part that holds `value[key]`; itself where its parts have no names. */
  part(_key: string | number): Control | null {
    return null;
  }

  /** What is plainly wrong with it, before the kernel is asked. */
  get mistake(): string {
    return '';
  }

  get parts(): Control[] {
    return [];
  }

  /** Says what is wrong; nothing with an empty text. */
  complain(text: string): void {
    this.words.hidden = text === '';
    this.words.textContent = text;
    if (text !== '') this.target.setAttribute('aria-invalid', 'true');
    else this.target.removeAttribute('aria-invalid');
    describe(this.target, this.words.id, text !== '');
  }

  get problem(): HTMLElement {
    return this.words;
  }
}

/** Adds an id to what describes an element, or takes it away. */
export function describe(target: HTMLElement, id: string, describes: boolean): void {
  const ids = (target.getAttribute('aria-describedby') ?? '').split(' ').filter(one => one !== '' && one !== id);
  if (describes) ids.push(id);
  if (ids.length > 0) target.setAttribute('aria-describedby', ids.join(' '));
  else target.removeAttribute('aria-describedby');
}

/** A name with its control: for the properties of a record as for the fields of a form. */
export function labelled(name: string, control: Control, facts: Child, help: string, required: boolean): HTMLElement {
  control.target.id ||= `${control.problem.id}-input`;
  const words = el('p', {class: 'fnb-help', id: `${control.problem.id}-help`}, help);
  if (help !== '') describe(control.target, words.id, true);
  const isGroup = !['INPUT', 'SELECT', 'TEXTAREA'].includes(control.target.tagName);
  const mark = required && el('span', {class: 'fnb-required', title: 'required', 'aria-hidden': 'true'}, '*');
  const label = el(isGroup ? 'span' : 'label', {class: 'fnb-fieldlabel', id: `${control.problem.id}-label`}, name, mark);
  if (isGroup) control.target.setAttribute('aria-labelledby', label.id);
  else label.setAttribute('for', control.target.id);
  if (required && !isGroup) control.target.setAttribute('aria-required', 'true');
  return el(
    'div',
    {class: 'fnb-field'},
    el('div', {class: 'fnb-fieldname'}, label, facts),
    el('div', {class: 'fnb-fieldbody'}, control.node, control.problem, help !== '' && words)
  );
}
