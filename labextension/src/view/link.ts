/** The conversation with the kernel that owns a run: whether it is there, what it was asked, and when to ask again. */
import type {FromKernel, Port, ToKernel} from './document.js';
import {Question} from './question.js';

/** The detail of a selected running action is asked for again this often: its output grows. */
const DETAIL_POLL_MS = 1000;
/** A question that went to a kernel before it could answer beside its cell is asked again after this time. */
const DETAIL_AGAIN_MS = 3000;
/** While the graph of a live run is shown, its data edges are asked for again this often. */
const GRAPH_POLL_MS = 3000;
/** A kernel that has not answered a greeting by then is called gone. */
const ANSWER_MS = 2500;

export class Link {
  /** What is asked: for every action of the run, for one action's detail, for the data edges. */
  readonly hello: Question;
  readonly detail: Question;
  readonly graph: Question;
  private port: Port | null = null;
  private detach: () => void = () => undefined;
  private heard = false;
  private waits = false;
  private greeting = 0;

  /** `receive` takes every message that is not only for this; `changed` is told that there is another thing to say. */
  constructor(
    private readonly receive: (message: FromKernel) => void,
    private readonly changed: () => void
  ) {
    const send = (message: ToKernel) => this.port?.send(message);
    this.hello = new Question(send, changed, true); // a greeting is expendable
    this.detail = new Question(send, changed);
    this.graph = new Question(send, changed);
  }

  /** Talks over another port from now on; with null the kernel is gone. */
  attach(port: Port | null): void {
    this.dispose();
    this.detach = port?.onMessage(message => this.hear(message)) ?? (() => undefined);
    this.port = port;
    this.heard = this.waits = false;
  }

  get isOpen(): boolean {
    return this.port !== null;
  }

  /** Whether the kernel has said something of the run: only then does the clock run. */
  get isConnected(): boolean {
    return this.heard;
  }

  /** Whether the kernel has just been greeted and may yet answer. */
  get isGreeted(): boolean {
    return this.waits;
  }

  /** Not soon again before the answer: a kernel that is busy would find a pile of questions. */
  get isDetailDue(): boolean {
    const {isOpen, trouble, age} = this.detail;
    return trouble === '' && age >= (isOpen ? DETAIL_AGAIN_MS : DETAIL_POLL_MS);
  }

  get isGraphDue(): boolean {
    return this.graph.trouble === '' && this.graph.age >= GRAPH_POLL_MS;
  }

  /** Asks a kernel that may be gone for the run as it stands. */
  greet(run: string): void {
    this.waits = true;
    this.askAll(run);
    this.greeting = window.setTimeout(() => {
      this.waits = false;
      this.changed();
    }, ANSWER_MS);
  }

  /** Asks for every action of the run. */
  askAll(run: string): void {
    if (this.port) this.hello.ask({kind: 'hello', run});
  }

  askDetail(action: string): void {
    if (this.port) this.detail.ask({kind: 'detail', action});
  }

  /** Asks which outputs became which inputs, unless the answer is outstanding. */
  askGraph(): void {
    if (this.port && !this.graph.isOpen) this.graph.ask({kind: 'graph'});
  }

  dispose(): void {
    this.detach();
    window.clearTimeout(this.greeting);
    [this.hello, this.detail, this.graph].forEach(question => question.forget());
  }

  private hear(message: FromKernel): void {
    if (message.kind === 'unanswered') {
      this.waits = false;
      const question = this[message.asked];
      const isOurs = message.asked !== 'detail' || question.isAbout({kind: 'detail', action: message.action});
      if (isOurs) question.fail(message.why, message.again);
      return;
    }
    this.heard = true;
    if (message.kind === 'snapshot' || message.kind === 'delta') this.hello.forget();
    if (message.kind === 'detail' && this.detail.isAbout({kind: 'detail', action: message.detail.action})) this.detail.forget();
    if (message.kind === 'graph') this.graph.forget();
    this.receive(message);
  }
}
