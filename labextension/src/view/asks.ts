/**
 * The questions for which a run waits: a card each, under the header, until the answer is recorded.
 *
 *     head.questions -> cards -> Port {kind: 'answer'} -> outcome: refused there, or the next head lacks the question
 */
import type {Outcome, Port, Question} from './document.js';
import {el, setOnce} from './dom.js';
import {duration} from './format.js';
import {phaseIcon} from './phases.js';

const UNREACHABLE = 'Not connected to the kernel that asks: answer with ';
/** What a field of each type takes, and which keys a phone shows for it. */
const FIELDS = {
  int: {placeholder: 'a whole number', inputmode: 'numeric'},
  float: {placeholder: 'a number', inputmode: 'decimal'},
  str: {placeholder: 'text', inputmode: 'text'}
};

type Answer = (ask: string, action: string, value: boolean | string) => void;

let numbers = 0;

/** One question, and where its answer is given. What is typed stays while others come and go. */
class Card {
  readonly node: HTMLElement;
  private readonly fields = el('fieldset', {class: 'fnb-askfields'});
  private readonly says = el('div', {class: 'fnb-asksays', role: 'status'});
  private readonly left = el('span', {class: 'fnb-askleft'});
  private readonly input: HTMLInputElement | null = null;
  /** Names the answer on its way; empty while there is none. */
  private asked = '';

  constructor(
    readonly question: Question,
    private readonly answer: Answer,
    show: (action: string) => void
  ) {
    const {name, prompt, description, type, action} = question;
    const id = `fnb-ask-${++numbers}`;
    if (type === 'bool') this.fields.append(this.button('Approve', true, 'fnb-primary'), this.button('Reject', false, ''));
    else {
      const attributes = {class: 'fnb-input fnb-askinput', type: 'text', autocomplete: 'off', spellcheck: 'false'};
      this.input = el('input', {...attributes, ...FIELDS[type], 'aria-labelledby': id});
      this.input.addEventListener('keydown', event => this.onKey(event));
      this.fields.append(this.input, el('button', {class: 'fnb-button fnb-primary', type: 'submit'}, 'Answer'));
    }
    const title = 'Show the action that waits';
    this.node = el(
      'form',
      {class: 'fnb-ask', 'aria-label': `Question ${name}`, onsubmit: (event: Event) => this.submit(event)},
      el(
        'div',
        {class: 'fnb-askwords'},
        el('button', {class: 'fnb-askname', type: 'button', title, onclick: () => show(action)}, phaseIcon('paused'), name),
        el('p', {class: 'fnb-askprompt', id}, prompt),
        description !== '' && el('p', {class: 'fnb-askmore'}, description)
      ),
      el('div', {class: 'fnb-askanswer'}, this.fields, this.left),
      this.says
    );
  }

  /** `now` is in milliseconds since the run's start. */
  update(now: number, connected: boolean, run: string): void {
    const {until, action} = this.question;
    const words = until === null ? '' : `${duration(Math.max(0, Math.ceil((until - now) / 1000)) * 1000)} left`;
    if (this.left.textContent !== words) this.left.textContent = words;
    setOnce(this.fields, 'disabled', connected && this.asked === '' ? null : '');
    const isUnreachable = this.says.textContent?.startsWith(UNREACHABLE) ?? false;
    if (connected && isUnreachable) this.says.replaceChildren();
    if (!connected && !isUnreachable) {
      this.says.replaceChildren(UNREACHABLE, el('code', {}, `%flyte signal ${run} ${action} VALUE`));
    }
  }

  /** Whether the outcome was of this card's answer. */
  receive({ask, refused}: Outcome): boolean {
    if (ask !== this.asked) return false;
    this.asked = '';
    this.says.replaceChildren(refused === '' ? '' : el('span', {class: 'fnb-refused'}, refused));
    if (refused !== '') {
      this.fields.removeAttribute('disabled');
      this.input?.setAttribute('aria-invalid', 'true');
      this.input?.focus();
    }
    return true;
  }

  private button(label: string, value: boolean, look: string): HTMLElement {
    return el('button', {class: `fnb-button ${look}`, type: 'button', onclick: () => this.give(value)}, label);
  }

  /** JupyterLab keeps Enter in an output from sending the form. */
  private onKey(event: KeyboardEvent): void {
    if (event.key === 'Enter' && !event.isComposing) this.submit(event);
  }

  private submit(event: Event): void {
    event.preventDefault();
    if (this.input) this.give(this.input.value);
  }

  private give(value: boolean | string): void {
    if (this.asked !== '') return;
    this.asked = `answer-${Date.now()}-${++numbers}`;
    this.input?.removeAttribute('aria-invalid');
    this.says.textContent = 'Answering…';
    setOnce(this.fields, 'disabled', '');
    this.answer(this.asked, this.question.action, value);
  }
}

export class Asks {
  readonly node = el('div', {class: 'fnb-asks', hidden: true});
  private cards: Card[] = [];
  private port: Port | null = null;

  /** `show` selects the action of a condition. */
  constructor(private readonly show: (action: string) => void) {}

  attach(port: Port | null): void {
    this.port = port;
  }

  /** Draws the questions that are open; `now` is in milliseconds since the run's start. */
  update(questions: readonly Question[], now: number, connected: boolean, run: string): void {
    const shown = this.cards.map(card => card.question.action);
    if (questions.length !== shown.length || questions.some(({action}, k) => action !== shown[k])) this.deal(questions);
    this.cards.forEach(card => card.update(now, connected && this.port !== null, run));
  }

  /** Whether the outcome was of an answer that was given here. */
  receive(outcome: Outcome): boolean {
    return this.cards.some(card => card.receive(outcome));
  }

  /** A card for each question; those that are there stay in the page, with what is typed in them. */
  private deal(questions: readonly Question[]): void {
    const known = new Map(this.cards.map(card => [card.question.action, card]));
    const answer: Answer = (ask, action, value) => this.port?.send({kind: 'answer', ask, action, value});
    this.cards = questions.map(question => known.get(question.action) ?? new Card(question, answer, this.show));
    known.forEach(card => !this.cards.includes(card) && card.node.remove());
    this.cards.forEach((card, k) => {
      if (this.node.children[k] !== card.node) this.node.insertBefore(card.node, this.node.children[k] ?? null);
    });
    this.node.hidden = this.cards.length === 0;
  }
}
