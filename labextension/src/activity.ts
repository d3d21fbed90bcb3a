/** Looks every second or so whether a store has changed; not while the page is hidden or nobody wants to know. */
import type {IDisposable} from '@lumino/disposable';
import {Poll} from '@lumino/polling';
import {Signal} from '@lumino/signaling';
import {words, type Activity, type RunsServer} from './server.js';

/** A server that does not answer is asked this seldom in the end. */
const MOST_MS = 30_000;

export class ActivityPoll implements IDisposable {
  /** The store has changed. */
  readonly changed = new Signal<this, void>(this);
  /** The server does not answer, with the reason; or answers again, with an empty one. */
  readonly failed = new Signal<this, string>(this);
  activity: Required<Activity> = {revision: '', live_runs: 0, running_actions: 0};
  private problem = '';
  private readonly poll: Poll;

  /** `wanted` is asked before each look. */
  constructor(
    private readonly server: RunsServer,
    readonly store: string,
    interval: number,
    wanted: () => boolean
  ) {
    this.poll = new Poll({
      auto: false,
      name: `flyte-nb:activity:${store}`,
      factory: () => this.look(),
      frequency: {interval, backoff: true, max: MOST_MS},
      standby: () => document.visibilityState === 'hidden' || !wanted()
    });
    void this.poll.start();
  }

  /** How often it looks, in milliseconds. */
  set interval(interval: number) {
    this.poll.frequency = {...this.poll.frequency, interval};
  }

  /** Looks at once. */
  refresh(): void {
    void this.poll.refresh();
  }

  get isDisposed(): boolean {
    return this.poll.isDisposed;
  }

  dispose(): void {
    this.poll.dispose();
    Signal.clearData(this);
  }

  private async look(): Promise<void> {
    try {
      const found = await this.server.activity(this.store, this.activity.revision);
      if (this.isDisposed) return;
      this.say('');
      if (found.revision === this.activity.revision) return;
      this.activity = {...this.activity, ...found};
      this.changed.emit();
    } catch (error) {
      if (!this.isDisposed) this.say(words(error));
      throw error; // the poll waits longer before it looks again
    }
  }

  private say(problem: string): void {
    if (problem === this.problem) return;
    this.problem = problem;
    this.failed.emit(problem);
  }
}
