/** Values that JSON cannot say: a Python expression over the notebook's names, or what an earlier run was given. */
import {el} from '../dom.js';
import {Control, type Surroundings} from './control.js';
import {suggestions} from './inputs.js';

export class Expression extends Control {
  readonly node: HTMLElement;
  readonly target: HTMLInputElement;

  constructor(text: string, around: Surroundings) {
    super(around);
    const placeholder = around.suggestions.length > 0 ? `such as ${around.suggestions[0]}` : 'a Python expression';
    const shared = {class: 'fnb-input fnb-python', type: 'text', autocomplete: 'off', spellcheck: 'false'};
    this.target = el('input', {...shared, placeholder, oninput: () => around.changed()});
    this.target.value = text;
    this.node = el('div', {}, this.target, suggestions(this.target, around.suggestions));
  }

  get value(): string {
    return this.target.value;
  }
}

export class Recorded extends Control {
  readonly node: HTMLElement;
  readonly target: HTMLElement;

  constructor(text: string, around: Surroundings) {
    super(around);
    this.node = this.target = el('div', {class: 'fnb-recorded', role: 'group', tabindex: -1}, 'as recorded: ');
    this.node.append(el('code', {}, text));
  }

  get value(): undefined {
    return undefined;
  }
}
