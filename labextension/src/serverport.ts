/** Serves a view of a run from the Jupyter server: whole documents while the run lives, details when asked for. */
import type {IDisposable} from '@lumino/disposable';
import {Notification} from '@jupyterlab/apputils';
import {ActivityPoll} from './activity.js';
import {words, type RunsServer} from './server.js';
import type {FromKernel, Port, RunDocument, ToKernel} from './view/document.js';

/** The server rests this much longer than it takes to read the run: a large one keeps it from its other work. */
const REST = 4;

export class ServerPort implements Port, IDisposable {
  readonly cannotStart = 'Runs start in a kernel: open a notebook of the project, or use %flyte rerun there.';
  private readonly listeners = new Set<(message: FromKernel) => void>();
  private poll: ActivityPoll | null = null;
  private reading = false;
  private disposed = false;

  /** `wanted` is asked before the run is looked for again. */
  constructor(
    private readonly server: RunsServer,
    private readonly store: string,
    private readonly run: string,
    private readonly seconds: number,
    private readonly wanted: () => boolean
  ) {}

  get isDisposed(): boolean {
    return this.disposed;
  }

  send(message: ToKernel): void {
    if (message.kind === 'hello') void this.tellAll();
    else if (message.kind === 'detail') void this.tellDetail(message.action);
    else if (message.kind === 'graph') void this.tellGraph();
    else if (message.kind === 'abort') void this.abort(message.ask, message.action);
    else if (message.kind === 'answer') void this.answer(message);
  }

  onMessage(listener: (message: FromKernel) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  dispose(): void {
    this.disposed = true;
    this.poll?.dispose();
    this.listeners.clear();
  }

  /** Keeps to a run as long as it lives. */
  follow(doc: RunDocument): void {
    if (!doc.live) this.poll?.dispose();
    else if (!this.poll && !this.disposed) {
      this.poll = new ActivityPoll(this.server, this.store, this.seconds * 1000, this.wanted);
      this.poll.changed.connect(() => void this.tellAll());
    }
  }

  private async tellAll(): Promise<void> {
    if (this.reading) return;
    this.reading = true;
    const begunAt = performance.now();
    try {
      const doc = await this.server.run(this.store, this.run);
      this.tell({kind: 'snapshot', doc});
      this.follow(doc);
      if (this.poll) this.poll.interval = Math.max(this.seconds * 1000, REST * (performance.now() - begunAt));
    } catch (error) {
      this.complain(error);
    } finally {
      this.reading = false;
    }
  }

  private async tellDetail(action: string): Promise<void> {
    try {
      this.tell({kind: 'detail', detail: await this.server.detail(this.store, this.run, action)});
    } catch (error) {
      this.tell({kind: 'unanswered', asked: 'detail', action, why: words(error), again: true});
    }
  }

  private async tellGraph(): Promise<void> {
    try {
      this.tell({kind: 'graph', ...(await this.server.graph(this.store, this.run))});
    } catch (error) {
      this.tell({kind: 'unanswered', asked: 'graph', action: '', why: words(error), again: true});
    }
  }

  private async abort(ask: string, action: string): Promise<void> {
    let refused = '';
    try {
      await this.server.abort(this.store, this.run, action);
    } catch (error) {
      refused = words(error);
    }
    this.tell({kind: 'outcome', ask, did: 'abort', refused});
    await this.tellAll();
  }

  private async answer({ask, action, value}: ToKernel & {kind: 'answer'}): Promise<void> {
    let refused = '';
    try {
      await this.server.answer(this.store, this.run, action, value);
    } catch (error) {
      refused = words(error);
    }
    this.tell({kind: 'outcome', ask, did: 'answer', refused});
    await this.tellAll();
  }

  private tell(message: FromKernel): void {
    this.listeners.forEach(listener => listener(message));
  }

  private complain(error: unknown): void {
    if (!this.disposed) Notification.error(`Run ${this.run}: ${words(error)}`, {autoClose: 8000});
  }
}
