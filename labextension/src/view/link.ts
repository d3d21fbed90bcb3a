/** The conversation with the kernel that owns a run: whether it is there, what it was asked, and when to ask again. */
import type {FromKernel, Port} from './document.js';

/** The detail of a selected running action is asked for again this often: its output grows. */
const DETAIL_POLL_MS = 1000;
/** A question that went to a kernel before it could answer beside its cell is asked again after this time. */
const DETAIL_AGAIN_MS = 3000;
/** While the graph of a live run is shown, its data edges are asked for again this often. */
const GRAPH_POLL_MS = 3000;
/** A kernel that has not answered by then is called gone. */
const ANSWER_MS = 2500;

export class Link {
  private port: Port | null = null;
  private detach: () => void = () => undefined;
  private heard = false;
  private waits = false;
  private greeting = 0;
  /** The action whose detail was asked for; empty once it came. */
  private asked = '';
  private askedAt = 0;
  private graphAskedAt = 0;
  private graphAsked = false;

  /** `receive` takes every message; `gaveUp` is told that the kernel did not answer a greeting. */
  constructor(
    private readonly receive: (message: FromKernel) => void,
    private readonly gaveUp: () => void
  ) {}

  /** Talks over another port from now on; with null the kernel is gone. */
  attach(port: Port | null): void {
    this.dispose();
    this.detach = port?.onMessage(message => this.hear(message)) ?? (() => undefined);
    this.port = port;
    this.heard = this.waits = this.graphAsked = false;
    this.asked = '';
  }

  get isOpen(): boolean {
    return this.port !== null;
  }

  /** Whether the kernel has said something: only then does the clock run. */
  get isConnected(): boolean {
    return this.heard;
  }

  /** Whether the kernel has just been greeted and may yet answer. */
  get isGreeted(): boolean {
    return this.waits;
  }

  get awaitsDetail(): boolean {
    return this.asked !== '';
  }

  get awaitsGraph(): boolean {
    return this.graphAsked;
  }

  /** Not soon again before the answer: a kernel that is busy would find a pile of questions. */
  get isDetailDue(): boolean {
    return performance.now() - this.askedAt >= (this.asked === '' ? DETAIL_POLL_MS : DETAIL_AGAIN_MS);
  }

  get isGraphDue(): boolean {
    return performance.now() - this.graphAskedAt >= GRAPH_POLL_MS;
  }

  /** Asks a kernel that may be gone for the run as it stands. */
  greet(run: string): void {
    this.waits = true;
    this.askAll(run);
    this.greeting = window.setTimeout(() => {
      this.waits = false;
      this.gaveUp();
    }, ANSWER_MS);
  }

  /** Asks for every action of the run. */
  askAll(run: string): void {
    this.port?.send({kind: 'hello', run});
  }

  askDetail(action: string): void {
    if (!this.port) return;
    this.asked = action;
    this.askedAt = performance.now();
    this.port.send({kind: 'detail', action});
  }

  /** Asks which outputs became which inputs, unless the answer is outstanding. */
  askGraph(): void {
    if (!this.port || this.graphAsked) return;
    this.graphAsked = true;
    this.graphAskedAt = performance.now();
    this.port.send({kind: 'graph'});
  }

  dispose(): void {
    this.detach();
    window.clearTimeout(this.greeting);
  }

  private hear(message: FromKernel): void {
    this.heard = true;
    if (message.kind === 'detail' && message.detail.action === this.asked) this.asked = '';
    if (message.kind === 'graph') this.graphAsked = false;
    this.receive(message);
  }
}
