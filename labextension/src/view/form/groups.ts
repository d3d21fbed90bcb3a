/** Controls that are made of others: lists, dictionaries, records, unions. */
import {el} from '../dom.js';
import {alternatives, isObject, memberOf, nameOf, resolved, type Json, type Schema} from './schema.js';
import {Control, labelled, type Surroundings} from './control.js';

/** Several values in order: all of one kind, or each of its own where the length is fixed. */
export class Items extends Control {
  readonly node: HTMLElement;
  readonly target: HTMLElement;
  private readonly list = el('div', {class: 'fnb-items'});
  private controls: Control[] = [];
  private readonly kinds: Schema[] | null;
  private readonly kind: Schema;
  private isGiven: boolean;

  constructor(schema: Schema, value: Json | undefined, around: Surroundings) {
    super(around);
    this.kinds = schema.prefixItems ?? null;
    this.kind = typeof schema.items === 'object' ? schema.items : {};
    this.isGiven = value !== undefined;
    const add = el('button', {class: 'fnb-button', type: 'button', onclick: () => this.grow()}, 'Add');
    this.node = this.target = el('div', {role: 'group', class: 'fnb-group', tabindex: -1}, this.list, !this.kinds && add);
    const values = Array.isArray(value) ? value : [];
    (this.kinds ?? values).forEach((_, k) => this.put(values[k]));
  }

  get value(): Json | undefined {
    const values = this.controls.map(control => control.value);
    if (!this.isGiven && values.every(value => value === undefined)) return undefined;
    return values.map(value => value ?? null);
  }

  override part(key: string | number): Control | null {
    return this.controls[Number(key)] ?? null;
  }

  override get parts(): Control[] {
    return this.controls;
  }

  private grow(): void {
    this.isGiven = true;
    this.put(undefined).target.focus();
    this.around.changed();
  }

  private put(value: Json | undefined): Control {
    const control = this.around.make(this.kinds?.[this.controls.length] ?? this.kind, value, this.around);
    control.target.setAttribute('aria-label', `item ${this.controls.length + 1}`);
    this.controls.push(control);
    const line = el('div', {class: 'fnb-item'}, el('div', {class: 'fnb-itembody'}, control.node, control.problem));
    if (!this.kinds) line.append(removeButton(() => this.drop(control, line)));
    this.list.append(line);
    return control;
  }

  private drop(control: Control, line: HTMLElement): void {
    this.controls = this.controls.filter(one => one !== control);
    this.controls.forEach((one, k) => one.target.setAttribute('aria-label', `item ${k + 1}`));
    line.remove();
    (this.node.lastElementChild as HTMLElement).focus();
    this.around.changed();
  }
}

/** A dict: a name and a value a line. */
export class Table extends Control {
  readonly node: HTMLElement;
  readonly target: HTMLElement;
  private readonly list = el('div', {class: 'fnb-items'});
  private lines: {name: HTMLInputElement; control: Control}[] = [];
  private readonly kind: Schema;
  private isGiven: boolean;

  constructor(schema: Schema, value: Json | undefined, around: Surroundings) {
    super(around);
    this.kind = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
    this.isGiven = value !== undefined;
    const add = el('button', {class: 'fnb-button', type: 'button', onclick: () => this.grow()}, 'Add');
    this.node = this.target = el('div', {role: 'group', class: 'fnb-group', tabindex: -1}, this.list, add);
    if (isObject(value)) Object.entries(value).forEach(([name, one]) => this.put(name, one));
  }

  get value(): Json | undefined {
    if (!this.isGiven && this.lines.length === 0) return undefined;
    return Object.fromEntries(this.lines.map(({name, control}) => [name.value, control.value ?? null]));
  }

  override part(key: string | number): Control | null {
    return this.lines.find(({name}) => name.value === String(key))?.control ?? null;
  }

  override get parts(): Control[] {
    return this.lines.map(({control}) => control);
  }

  override get mistake(): string {
    const names = this.lines.map(({name}) => name.value);
    const twice = names.find((name, k) => names.indexOf(name) !== k);
    return twice === undefined ? '' : `${JSON.stringify(twice)} is there twice.`;
  }

  private grow(): void {
    this.isGiven = true;
    this.put('', undefined).focus();
    this.around.changed();
  }

  private put(key: string, value: Json | undefined): HTMLInputElement {
    const {changed} = this.around;
    const name = el('input', {class: 'fnb-input fnb-keyinput', type: 'text', 'aria-label': 'name', oninput: () => changed()});
    name.value = key;
    const control = this.around.make(this.kind, value, this.around);
    control.target.setAttribute('aria-label', 'value');
    const entry = {name, control};
    this.lines.push(entry);
    const body = el('div', {class: 'fnb-itembody'}, control.node, control.problem);
    const line = el('div', {class: 'fnb-item'}, name, body, removeButton(() => this.drop(entry, line)));
    this.list.append(line);
    return name;
  }

  private drop(entry: {name: HTMLInputElement; control: Control}, line: HTMLElement): void {
    this.lines = this.lines.filter(one => one !== entry);
    line.remove();
    (this.node.lastElementChild as HTMLElement).focus();
    this.around.changed();
  }
}

/** The properties of a dataclass or a model. */
export class Fields extends Control {
  readonly node = el('div', {role: 'group', class: 'fnb-group fnb-record', tabindex: -1});
  readonly target = this.node;
  private readonly controls = new Map<string, Control>();

  constructor(schema: Schema, value: Json | undefined, around: Surroundings) {
    super(around);
    const given = isObject(value) ? value : {};
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const inner = {...around, suggestions: property.suggestions ?? []};
      const control = around.make(property, given[name] ?? property.default, inner);
      this.controls.set(name, control);
      const isRequired = (schema.required ?? []).includes(name);
      const type = el('span', {class: 'fnb-type'}, nameOf(property, around.root));
      this.node.append(labelled(name, control, type, resolved(property, around.root).description ?? '', isRequired));
    }
  }

  get value(): Json {
    const given = [...this.controls].map(([name, control]) => [name, control.value] as const);
    return Object.fromEntries(given.filter((pair): pair is [string, Json] => pair[1] !== undefined));
  }

  override part(key: string | number): Control | null {
    return this.controls.get(String(key)) ?? null;
  }

  override get parts(): Control[] {
    return [...this.controls.values()];
  }
}

/** One of several kinds: which, and then its control. */
export class Union extends Control {
  readonly node: HTMLElement;
  readonly target: HTMLSelectElement;
  private readonly members: Schema[];
  private readonly slot = el('div', {class: 'fnb-itembody'});
  private control: Control;

  constructor(schema: Schema, value: Json | undefined, around: Surroundings) {
    super(around);
    this.members = alternatives(schema);
    const options = this.members.map((member, k) => el('option', {value: k}, nameOf(member, around.root)));
    this.target = el('select', {class: 'fnb-input fnb-keyinput', onchange: () => this.turn()}, ...options);
    this.target.selectedIndex = memberOf(value, this.members, around.root);
    this.control = this.draw(value);
    this.node = el('div', {class: 'fnb-item'}, this.target, this.slot);
  }

  get value(): Json | undefined {
    return this.control.value;
  }

  /** The kernel names the member that it tried before the place inside it. */
  override part(key: string | number): Control | null {
    return this.control.part(key);
  }

  override get parts(): Control[] {
    return [this.control];
  }

  private turn(): void {
    this.control = this.draw(undefined);
    this.around.changed();
  }

  private draw(value: Json | undefined): Control {
    const control = this.around.make(this.members[this.target.selectedIndex], value, this.around);
    control.target.setAttribute('aria-label', 'value');
    this.slot.replaceChildren(control.node, control.problem);
    return control;
  }
}

function removeButton(onclick: () => void): HTMLElement {
  return el('button', {class: 'fnb-button fnb-quiet', type: 'button', title: 'Remove', 'aria-label': 'Remove', onclick}, '×');
}
