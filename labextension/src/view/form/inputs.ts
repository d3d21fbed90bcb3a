/** Controls of one element: texts and numbers, check boxes, choices. */
import {el} from '../dom.js';
import {choices, EXAMPLES, isObject, mistake, parsed, type ControlKind, type Json, type Schema} from './schema.js';
import {Control, type Surroundings} from './control.js';

const PLACEHOLDERS: Partial<Record<ControlKind, string>> = {json: 'JSON, such as [1, 2]', path: 'a path or an address'};

let lists = 0;

/** Texts, numbers, dates, paths, and JSON where nothing is known. */
export class Text extends Control {
  readonly node: HTMLElement;
  readonly target: HTMLInputElement | HTMLTextAreaElement;
  private isTouched = false;

  constructor(
    schema: Schema,
    private readonly kind: ControlKind,
    value: Json | undefined,
    private readonly isOptional: boolean,
    around: Surroundings
  ) {
    super(around);
    const text = textOf(value, kind);
    const example = isOptional ? 'None' : PLACEHOLDERS[kind] ?? EXAMPLES[schema.format ?? ''];
    const isLong = kind === 'text' && text.includes('\n');
    const shared = {class: 'fnb-input', placeholder: example, autocomplete: 'off', spellcheck: 'false'};
    const isNumber = kind === 'integer' || kind === 'number';
    this.target = isLong
      ? el('textarea', {...shared, rows: Math.min(8, text.split('\n').length)})
      : el('input', {...shared, type: 'text', inputmode: isNumber ? 'decimal' : null});
    this.target.value = text;
    this.isTouched = value !== undefined;
    this.target.addEventListener('input', () => {
      this.isTouched = true;
      around.changed();
    });
    const list = around.suggestions.length > 0 && suggestions(this.target, around.suggestions);
    this.node = list ? el('div', {}, this.target, list) : this.target;
  }

  get value(): Json | undefined {
    if (this.kind === 'text') return this.isTouched ? this.target.value : undefined;
    const value = parsed(this.target.value, this.kind);
    return value === undefined && this.isOptional ? null : value;
  }

  override get mistake(): string {
    return mistake(this.target.value, this.kind);
  }
}

/** A list of suggestions for an input; to be put beside it. */
export function suggestions(input: HTMLElement, texts: string[]): HTMLElement {
  const list = el('datalist', {id: `fnb-suggestions-${++lists}`}, ...texts.map(value => el('option', {value})));
  input.setAttribute('list', list.id);
  return list;
}

function textOf(value: Json | undefined, kind: ControlKind): string {
  if (value === undefined || (value === null && kind !== 'json')) return '';
  if (kind === 'path') return isObject(value) ? String(value.path ?? '') : String(value);
  return kind === 'json' ? JSON.stringify(value) : String(value);
}

export class Checkbox extends Control {
  readonly node: HTMLInputElement;
  readonly target: HTMLElement;

  constructor(value: Json | undefined, around: Surroundings) {
    super(around);
    this.node = this.target = el('input', {type: 'checkbox', class: 'fnb-checkbox', onchange: () => around.changed()});
    (this.node as HTMLInputElement).checked = value === true;
  }

  get value(): Json {
    return this.node.checked;
  }
}

/** One of a few values. */
export class Choice extends Control {
  readonly node: HTMLSelectElement;
  readonly target: HTMLElement;
  private readonly values: (Json | undefined)[];

  constructor(schema: Schema, value: Json | undefined, isOptional: boolean, around: Surroundings) {
    super(around);
    const first = isOptional ? [null] : value === undefined ? [undefined] : [];
    this.values = [...first, ...choices(schema)];
    const at = this.values.findIndex(one => one === value);
    const options = this.values.map((one, k) => el('option', {value: k}, optionText(one)));
    this.node = this.target = el('select', {class: 'fnb-input', onchange: () => around.changed()}, ...options);
    (this.node as HTMLSelectElement).selectedIndex = Math.max(0, at);
  }

  get value(): Json | undefined {
    return this.values[this.node.selectedIndex];
  }
}

function optionText(value: Json | undefined): string {
  if (value === undefined) return 'choose…';
  return value === null ? 'None' : String(value);
}

/** None, which says all. */
export class Nothing extends Control {
  readonly node = el('span', {hidden: true});
  readonly target = this.node;

  get value(): Json {
    return null;
  }
}
