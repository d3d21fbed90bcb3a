/**
 * A form: its fields, what is wrong with them, the button that submits it, and the code that it writes.
 *
 *     reader types  -> what is plainly wrong, at once
 *                   -> the kernel is asked (one question at a time) -> what is wrong by the types themselves
 */
import {copyButton, el} from '../dom.js';
import {tokenize} from '../python.js';
import type {Entry, FormAnswer, FormDocument, FormPort, Problem} from './document.js';
import {FormRow} from './row.js';

/** A reader who types is not interrupted: the kernel is asked when a key was followed by none for so long. */
const PAUSE_MS = 60;
/** A kernel that has not answered by then is called busy. */
const BUSY_MS = 600;
const GONE = 'Not connected to the kernel that made this form: run its cell again.';

export interface FormHost {
  /** A run was started. */
  started?(answer: FormAnswer): void;
  /** Puts code into the notebook; where it is missing, the code is copied. */
  insert?(code: string): void;
  /** The reader wants the form away; without it, it stays. */
  close?(): void;
}

let asks = 0;

export class FormView {
  readonly node: HTMLElement;
  private readonly rows: FormRow[];
  private readonly fault = el('p', {class: 'fnb-problem fnb-formfault', role: 'alert', hidden: true});
  private readonly status = el('span', {class: 'fnb-formstatus', role: 'status'});
  private readonly button: HTMLButtonElement;
  private readonly code = el('pre', {class: 'fnb-formcode', tabindex: 0, 'aria-label': 'Python code'});
  private readonly codeBox: HTMLElement;
  private port: FormPort | null = null;
  private detach: () => void = () => undefined;
  private asked = '';
  private isDue = false;
  private pause = 0;
  private busy = 0;
  private wasSubmitted = false;
  /** Whether nobody has said yet if there is a kernel. */
  private isAwaited = true;
  private written = '';

  constructor(
    private readonly doc: FormDocument,
    private readonly host: FormHost
  ) {
    this.rows = doc.fields.map(field => new FormRow(field, doc, () => this.changed()));
    this.button = el('button', {class: 'fnb-button fnb-primary', type: 'submit'}, doc.submit);
    this.codeBox = el('div', {class: 'fnb-formcodebox', hidden: true}, this.code);
    this.codeBox.append(copyButton(() => this.written, 'Copy the code'));
    const close = el('button', {class: 'fnb-button', type: 'button', onclick: () => host.close?.()}, 'Close');
    this.node = el(
      'form',
      {class: 'fnb-form', novalidate: true, 'aria-label': doc.title, onsubmit: (event: Event) => this.submit(event)},
      el('header', {class: 'fnb-formhead'}, el('strong', {class: 'fnb-title'}, doc.title)),
      doc.text !== '' && el('p', {class: 'fnb-formtext'}, doc.text),
      el('div', {class: 'fnb-formrows'}, ...this.rows.map(row => row.node)),
      doc.fields.length === 0 && el('p', {class: 'fnb-muted'}, 'It takes no inputs.'),
      this.codeBox,
      this.fault,
      el('footer', {class: 'fnb-formfoot'}, this.button, host.close ? close : null, this.status)
    );
    this.node.addEventListener('keydown', event => this.onKey(event));
    this.drawPort();
  }

  /** Connects to the kernel that made the form; null when that is gone. */
  attach(port: FormPort | null): void {
    this.isAwaited = false;
    this.detach();
    this.detach = port ? port.onMessage(answer => this.receive(answer)) : () => undefined;
    this.port = port;
    this.asked = '';
    this.drawPort();
    if (port) this.check();
  }

  focus(): void {
    (this.node.querySelector<HTMLElement>('input, select, textarea, button') ?? this.node).focus();
  }

  dispose(): void {
    this.detach();
    window.clearTimeout(this.pause);
    window.clearTimeout(this.busy);
    this.node.remove();
  }

  private get entries(): Record<string, Entry> {
    return Object.fromEntries(this.rows.map(row => [row.field.name, row.entry]));
  }

  private changed(): void {
    this.status.textContent = '';
    this.complain([]);
    window.clearTimeout(this.pause);
    this.pause = window.setTimeout(() => this.check(), PAUSE_MS);
  }

  /** Asks the kernel; while it has not answered, later. */
  private check(): void {
    if (this.asked !== '') this.isDue = true;
    else this.ask('check');
  }

  private ask(what: 'check' | 'submit'): void {
    if (!this.port) return;
    this.isDue = false;
    this.asked = `${what}-${++asks}`;
    this.port.send({kind: 'form', form: this.doc.form, ask: this.asked, do: what, entries: this.entries});
    window.clearTimeout(this.busy);
    this.busy = window.setTimeout(() => this.say('The kernel is busy: it answers when it can.'), BUSY_MS);
  }

  private receive(answer: FormAnswer): void {
    if (answer.form !== this.doc.form || answer.ask !== this.asked) return;
    this.asked = '';
    window.clearTimeout(this.busy);
    if (this.isDue && !answer.submitted) return this.check(); // what was asked is no longer what stands there
    this.say(answer.text ?? '');
    if (answer.submitted) this.wasSubmitted = answer.problems.length > 0;
    this.complain(answer.problems);
    this.write(answer.problems.length === 0 ? (answer.code ?? '') : '');
    this.drawPort();
    if (answer.submitted && answer.problems.length === 0) this.conclude(answer);
    else if (answer.submitted) this.showFirstProblem();
    if (this.isDue) this.check();
  }

  private conclude(answer: FormAnswer): void {
    if (answer.run) this.host.started?.(answer);
    if (!answer.code) return;
    if (this.host.insert) {
      this.host.insert(answer.code);
      this.say('Inserted below.');
    } else this.say('Copy the code into a cell.');
  }

  private submit(event: Event): void {
    event.preventDefault();
    if (!this.port || this.asked.startsWith('submit')) return;
    this.wasSubmitted = true;
    const missing = this.rows.filter(row => row.isMissing).map(row => row.field.name);
    this.complain(missing.map(field => ({field, path: [], message: 'A value is needed.'})));
    if (missing.length > 0 || this.rows.some(row => row.isMistaken)) return this.showFirstProblem();
    window.clearTimeout(this.pause);
    this.ask('submit');
    this.drawPort();
  }

  /** What is wrong stands at its field; a field that the reader has not reached yet is left alone. */
  private complain(problems: Problem[]): void {
    const mine = (problem: Problem) => this.rows.find(({field}) => field.name === problem.field);
    const general = problems.filter(problem => !mine(problem));
    for (const row of this.rows) {
      const about = problems.filter(problem => mine(problem) === row);
      row.complain(this.wasSubmitted || row.isTouched ? about : []);
    }
    this.fault.hidden = general.length === 0;
    this.fault.textContent = general.map(({message}) => message).join('\n');
  }

  private showFirstProblem(): void {
    const wrong = this.node.querySelector<HTMLElement>('[aria-invalid=true]');
    wrong?.focus();
    const count = this.node.querySelectorAll('[aria-invalid=true]').length;
    if (count > 0) this.say(count === 1 ? 'One field needs a look.' : `${count} fields need a look.`);
  }

  private write(code: string): void {
    if (code === this.written || (code === '' && this.doc.code === '' && this.written === '')) return;
    if (code !== '') {
      this.written = code;
      this.code.replaceChildren(...tokenize(code).map(({kind, text}) => (kind ? el('span', {class: `fnb-py-${kind}`}, text) : text)));
    }
    this.codeBox.hidden = this.written === '';
    this.codeBox.classList.toggle('fnb-stale', code === '');
  }

  private say(text: string): void {
    this.status.textContent = text;
  }

  private drawPort(): void {
    const submitting = this.asked.startsWith('submit');
    this.button.disabled = this.port === null || submitting;
    this.button.title = this.port || this.isAwaited ? '' : GONE;
    this.node.setAttribute('aria-busy', String(submitting));
    if (submitting) this.say('Asking the kernel…');
    if (!this.port) this.say(this.isAwaited ? 'Waiting for the kernel…' : GONE);
  }

  /** What is typed here is the form's own. */
  private onKey(event: KeyboardEvent): void {
    const isModified = event.ctrlKey || event.metaKey || event.altKey;
    if (event.key === 'Escape' && this.host.close) this.host.close();
    if (!isModified) event.stopPropagation();
  }
}
