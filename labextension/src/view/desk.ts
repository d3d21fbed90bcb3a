/**
 * What a reader can do to a run: abort, rerun, recover, fork, launch. Asks the kernel and shows what came of it.
 *
 *     menu -> (a question, for abort; the plan, for a fork) -> Port -> outcome: said under the header, or refused there
 */
import type {Outcome, Port, RunDocument, Verb} from './document.js';
import {el, type Child} from './dom.js';
import type {FormAnswer, FormPort} from './form/document.js';
import {FormView} from './form/form.js';
import type {MenuItem} from './menu.js';

const ROOT = 'a0';
const PENDING: Record<Verb, string> = {
  abort: 'Aborting…',
  rerun: 'Starting it again…',
  recover: 'Recovering…',
  plan: 'Comparing the code as it stands with the run…',
  fork: 'Forking…',
  launch: 'Making the form…'
};
/** What takes the recorded code of the run. */
const REPEATS: ReadonlySet<Verb> = new Set(['rerun', 'recover', 'plan']);
/** A kernel that has not answered by then is called busy. */
const BUSY_MS = 1500;

let asks = 0;

export class Desk {
  readonly node = el('div', {class: 'fnb-desk', hidden: true});
  private readonly words = el('div', {class: 'fnb-desksays', role: 'status'});
  private readonly below = el('div', {class: 'fnb-deskbelow'});
  private port: Port | null = null;
  private asked = '';
  private busy = 0;
  private form: FormView | null = null;
  private readonly listeners = new Set<(answer: FormAnswer) => void>();

  /** `doc` gives the run that is shown; `started` takes the document of a run that was begun. */
  constructor(
    private readonly doc: () => RunDocument,
    private readonly started: (doc: RunDocument) => void,
    private readonly changed: () => void
  ) {
    this.node.append(this.words, this.below);
  }

  attach(port: Port | null): void {
    if (!port && this.asked !== '') {
      this.clear();
      this.say('The kernel does not have this run, or is gone.', this.away());
    }
    this.port = port;
    this.form?.attach(port ? this.formPort(port) : null);
  }

  /** An abort of the whole run is over with the run, whether or not that is said. */
  update(): void {
    if (this.asked.startsWith('abort') && !this.doc().live) this.clear();
  }

  /** Forgets what was asked about another run. */
  clear(): void {
    window.clearTimeout(this.busy);
    this.asked = '';
    this.form?.dispose();
    this.form = null;
    this.say();
  }

  get isAborting(): boolean {
    return this.asked.startsWith('abort');
  }

  /** What can be done to the whole run. */
  runItems(): MenuItem[] {
    return [
      this.item('rerun', 'Rerun', 'the recorded code, everything'),
      this.item('recover', 'Recover', 'the recorded code, what finished is reused'),
      this.item('plan', 'Fork…', 'the code as it stands, what did not change is reused'),
      this.item('launch', 'Launch form…', 'the code as it stands, with these inputs')
    ];
  }

  /** What can be done to one action. */
  actionItems(action: string, isTask: boolean, isOver: boolean): MenuItem[] {
    const why = isTask ? '' : 'Only tasks can be run alone.';
    const over = isOver ? 'The action is over.' : '';
    return [
      this.item('rerun', 'Rerun this action alone', 'the recorded code and inputs', action, why),
      this.item('launch', 'Launch form…', 'the code as it stands, with its inputs', action, why),
      this.item('abort', 'Abort this action', '', action, over)
    ];
  }

  /** Asks first: an abort cannot be taken back. */
  confirmAbort(action = ROOT): void {
    const what = action === ROOT ? `run ${this.doc().run}` : `action ${action}`;
    const onclick = () => this.ask('abort', action);
    const yes = el('button', {class: 'fnb-button fnb-danger', type: 'button', onclick}, 'Yes, abort');
    this.say(`Abort ${what}? What has finished stays recorded.`, yes, this.button('Keep it', () => this.say()));
    yes.focus();
  }

  receive(message: Outcome | FormAnswer): void {
    if (message.kind === 'form') return this.listeners.forEach(listener => listener(message));
    if (message.ask !== this.asked) return;
    window.clearTimeout(this.busy);
    this.asked = '';
    if (message.refused !== '') this.say(el('span', {class: 'fnb-refused'}, `Refused: ${message.refused}`), this.away());
    else if (message.plan !== undefined) this.showPlan(message.plan);
    else if (message.form) this.showForm(message);
    else this.say(message.text ?? '', this.away());
    if (message.doc) this.started(message.doc);
    this.changed();
  }

  private item(verb: Verb, label: string, hint: string, action = ROOT, why = ''): MenuItem {
    const act = () => (verb === 'abort' ? this.confirmAbort(action) : this.ask(verb, action));
    return {label, hint, why: why || this.whyNot(verb), act};
  }

  /** Why something cannot be done now; empty where it can. */
  private whyNot(verb: Verb): string {
    if (!this.port) return 'Not connected to a kernel.';
    if (verb !== 'abort' && this.port.cannotStart) return this.port.cannotStart;
    if (this.doc().elsewhere && REPEATS.has(verb)) return 'A backend keeps the code of its runs: flyte.run runs its task again.';
    if (verb === 'recover' && this.doc().live) return 'The run is live: wait for its end, or abort it.';
    if (this.asked !== '') return 'The kernel is still at what was asked before.';
    return '';
  }

  private ask(verb: Verb, action: string): void {
    if (!this.port) return;
    this.form?.dispose();
    this.form = null;
    this.asked = `${verb}-${Date.now()}-${++asks}`;
    this.say(PENDING[verb]);
    window.clearTimeout(this.busy);
    this.busy = window.setTimeout(() => this.say(`${PENDING[verb]} The kernel is busy: it answers when it can.`), BUSY_MS);
    this.port.send({kind: verb, ask: this.asked, action});
    this.changed();
  }

  private showPlan(plan: string): void {
    const go = el('button', {class: 'fnb-button fnb-primary', type: 'button', onclick: () => this.ask('fork', ROOT)}, 'Fork');
    this.say('What a fork would do:', go, this.away('Cancel'));
    this.below.replaceChildren(el('pre', {class: 'fnb-plan', tabindex: 0, 'aria-label': 'Plan of the fork'}, plan));
    go.focus();
  }

  private showForm({form}: Outcome): void {
    if (!form || !this.port) return;
    this.say();
    this.form = new FormView(form, {
      started: answer => {
        this.clear();
        this.say(answer.text ?? '', this.away());
        if (answer.doc) this.started(answer.doc);
      },
      close: () => this.clear()
    });
    this.below.replaceChildren(this.form.node);
    this.node.hidden = false;
    this.form.attach(this.formPort(this.port));
    this.form.focus();
  }

  private formPort(port: Port): FormPort {
    return {
      send: message => port.send(message),
      onMessage: listener => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      }
    };
  }

  /** Says it in place of what was there; without words the desk is empty. */
  private say(...words: Child[]): void {
    this.words.replaceChildren(...words.filter((word): word is Node | string => !!word));
    this.below.replaceChildren();
    this.node.hidden = this.words.childNodes.length === 0;
  }

  private away(label = 'Dismiss'): HTMLElement {
    return this.button(label, () => this.clear());
  }

  private button(label: string, onclick: () => void): HTMLElement {
    return el('button', {class: 'fnb-button', type: 'button', onclick}, label);
  }
}
