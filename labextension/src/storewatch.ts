/** Which store the side panel and the status bar are about, and what goes on in it. */
import {Signal} from '@lumino/signaling';
import {ActivityPoll} from './activity.js';
import {words, type RunsServer, type StoreName} from './server.js';

/** A store that only the status bar shows is looked at this much more seldom. */
const IN_BACKGROUND = 5;

export class StoreWatch {
  /** Another store is meant, or the list of them has changed. */
  readonly switched = new Signal<this, void>(this);
  /** The store has changed. */
  readonly changed = new Signal<this, void>(this);
  /** The store of the open notebook's project. */
  followed: StoreName | null = null;
  /** Every store that there is. */
  stores: StoreName[] = [];
  /** Why there is no answer; empty while there is. */
  problem = '';
  private picked: StoreName | null = null;
  private notebook = '';
  private poll: ActivityPoll | null = null;
  private seconds = 1;
  private watchers = {panel: false, status: false};

  constructor(private readonly server: RunsServer) {}

  /** The store that is meant: the one that was picked, else that of the open notebook's project. */
  get store(): StoreName | null {
    return this.picked ?? this.followed;
  }

  /** Whether the store goes with the open notebook. */
  get isFollowing(): boolean {
    return this.picked === null;
  }

  get revision(): string {
    return this.poll?.activity.revision ?? '';
  }

  get liveRuns(): number {
    return this.poll?.activity.live_runs ?? 0;
  }

  get runningActions(): number {
    return this.poll?.activity.running_actions ?? 0;
  }

  /** Goes with a notebook, given by its path; empty for the server's own project. */
  follow(notebook: string): Promise<void> {
    this.notebook = notebook;
    return this.find(false);
  }

  /** Looks for all stores that there are. */
  search(): Promise<void> {
    return this.find(true);
  }

  private async find(all: boolean): Promise<void> {
    const {notebook} = this;
    try {
      const {store, stores} = await this.server.stores(notebook, all);
      if (notebook !== this.notebook) return;
      const known = all ? stores : this.stores;
      this.followed = store;
      this.stores = known.some(each => each.store === store.store) ? known : [store, ...known];
      this.problem = '';
    } catch (error) {
      this.problem = words(error);
    }
    this.watch();
  }

  /** Stays with a store; with null goes with the open notebook again. */
  pick(store: string | null): void {
    this.picked = this.stores.find(each => each.store === store) ?? null;
    this.watch();
  }

  /** Looks this often while the panel shows the store. */
  set interval(seconds: number) {
    this.seconds = seconds;
    this.pace();
  }

  /** Says who wants to know; nobody asks the server for what nobody sees. */
  want(who: 'panel' | 'status', wanted: boolean): void {
    const begins = wanted && !this.watchers[who];
    this.watchers[who] = wanted;
    this.pace();
    if (begins) this.poll?.refresh();
  }

  private get isWanted(): boolean {
    return this.watchers.panel || this.watchers.status;
  }

  private get milliseconds(): number {
    return this.seconds * 1000 * (this.watchers.panel ? 1 : IN_BACKGROUND);
  }

  private pace(): void {
    if (this.poll) this.poll.interval = this.milliseconds;
  }

  /** Turns to the store that is meant now. */
  private watch(): void {
    const {store} = this;
    if (store && store.store !== this.poll?.store) {
      this.poll?.dispose();
      this.poll = new ActivityPoll(this.server, store.store, this.milliseconds, () => this.isWanted);
      this.poll.changed.connect(() => this.changed.emit());
      this.poll.failed.connect((_, problem) => {
        this.problem = problem;
        this.changed.emit();
      });
    }
    this.switched.emit();
  }
}
