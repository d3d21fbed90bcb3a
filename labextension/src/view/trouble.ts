/** A line that says why the kernel did not answer, and has it asked again. */
import {el} from './dom.js';
import type {Question} from './question.js';

export class Trouble {
  readonly node = el('div', {class: 'fnb-trouble', role: 'status', hidden: true});
  private readonly words = el('span');
  private readonly button = el('button', {class: 'fnb-button', type: 'button'});

  constructor(private readonly question: Question) {
    this.button.addEventListener('click', () => question.askAgain());
    this.node.append(this.words, this.button);
  }

  /** Draws what changed; `shown` is what there is to see meanwhile. */
  update(shown = ''): void {
    const {trouble, isOpen} = this.question;
    const words = [shown, trouble].filter(Boolean).join(': ');
    this.node.hidden = trouble === '';
    if (this.words.textContent !== words) this.words.textContent = words;
    this.button.disabled = isOpen;
    this.button.textContent = isOpen ? 'Trying again…' : 'Try again';
  }
}
