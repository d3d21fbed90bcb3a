/** A field of a form: its name, type and help, and one of three ways to give its value. */
import {el} from '../dom.js';
import {labelled, type Control, type Surroundings} from './control.js';
import {makeControl} from './controls.js';
import type {Entry, FormDocument, FormField, Problem} from './document.js';
import {Expression, Recorded} from './python.js';

export class FormRow {
  readonly node: HTMLElement;
  isTouched = false;
  private control: Control;
  private readonly slot = el('div', {class: 'fnb-fieldslot'});
  private way: 'json' | 'expression' | 'recorded';

  constructor(
    readonly field: FormField,
    private readonly form: FormDocument,
    private readonly changed: () => void
  ) {
    const {entry, schema} = field;
    this.way = entry.recorded ? 'recorded' : entry.expression !== undefined || !schema ? 'expression' : 'json';
    this.control = this.draw();
    this.node = el('div', {class: 'fnb-formrow', 'data-field': field.name}, this.slot);
  }

  get entry(): Entry {
    if (this.way === 'recorded') return {recorded: true};
    const {value} = this.control;
    if (value === undefined || (this.way === 'expression' && value === '' && !this.field.required)) return {};
    return this.way === 'expression' ? {expression: String(value)} : {json: value};
  }

  /** Whether something is plainly wrong, before the kernel is asked. */
  get isMistaken(): boolean {
    return hasMistake(this.control);
  }

  get isMissing(): boolean {
    const {json, expression, recorded} = this.entry;
    return this.field.required && json === undefined && !recorded && (expression ?? '').trim() === '';
  }

  /** Each problem stands at the part that it is about, those of one part together; what is plainly wrong as well. */
  complain(problems: Problem[]): void {
    const texts = new Map<Control, string[]>();
    for (const {path, message} of problems) {
      const part = partAt(this.control, path);
      texts.set(part, [...(texts.get(part) ?? []), message]);
    }
    const say = (control: Control) => {
      control.complain(control.mistake || (texts.get(control) ?? []).join('\n'));
      control.parts.forEach(say);
    };
    say(this.control);
  }

  private draw(): Control {
    const {field} = this;
    const control = this.makeControl();
    const row = labelled(field.name, control, this.facts(), field.help, field.required);
    const turn = this.turnButton();
    if (turn) row.querySelector('.fnb-fieldname')?.append(turn);
    this.slot.replaceChildren(row);
    return control;
  }

  /** Its type, and its default where that does not stand in the control. */
  private facts(): HTMLElement | null {
    if (!this.form.expressions) return null;
    const {type, default: standard, entry} = this.field;
    const words = standard === '' || 'json' in entry ? type : `${type} = ${standard}`;
    return el('span', {class: 'fnb-type', title: words}, words);
  }

  private makeControl(): Control {
    const {field} = this;
    const around: Surroundings = {
      root: field.schema ?? {},
      id: `fnb-form-${this.form.form}-${field.name}`,
      suggestions: this.way === 'expression' ? field.names : field.suggestions,
      make: makeControl,
      changed: () => {
        this.isTouched = true;
        this.changed();
      }
    };
    if (this.way === 'recorded') return new Recorded(field.recorded, around);
    if (this.way === 'expression') return new Expression(field.entry.expression ?? '', around);
    return makeControl(field.schema ?? {}, field.entry.json, around);
  }

  /** Between a value and an expression, and away from a recorded value. */
  private turnButton(): HTMLElement | null {
    if (this.way !== 'recorded' && (!this.form.expressions || !this.field.schema)) return null;
    const isExpression = this.way === 'expression';
    const title = isExpression ? 'Give a value instead' : 'Give a Python expression instead';
    const button = el(
      'button',
      {
        class: 'fnb-button fnb-quiet fnb-turn',
        type: 'button',
        title: `${this.field.name}: ${title}`,
        'aria-label': `${this.field.name}: ${title}`,
        'aria-pressed': this.way === 'recorded' ? null : String(isExpression),
        onclick: () => this.turn(isExpression && this.field.schema ? 'json' : 'expression')
      },
      'py'
    );
    return button;
  }

  private turn(way: 'json' | 'expression'): void {
    this.way = way;
    this.control = this.draw();
    this.isTouched = false;
    this.control.target.focus();
    this.changed();
  }
}

/** The deepest part that a path leads to; steps that no part has (the member of a union that was tried) are passed. */
function partAt(control: Control, path: (string | number)[]): Control {
  let part = control;
  for (const step of path) part = part.part(step) ?? part;
  return part;
}

function hasMistake(control: Control): boolean {
  return control.mistake !== '' || control.parts.some(hasMistake);
}
