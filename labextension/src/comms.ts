/**
 * The comms between one notebook's kernel and the runs drawn in it.
 *
 * Either side opens: the kernel when it displays a run, this page when it draws a live run that it has no comm for
 * (after a reload) or when a detail is wanted that the document does not carry. All views of a run share its comm.
 *
 * A kernel that runs a cell says nothing to a page that was just opened, until the cell is over: neither what it is nor
 * what it is asked. Until then the Jupyter server reads the run's record for the page; it also does for a kernel that
 * does not know the run, such as a new one in a notebook that was opened again.
 */
import type {ISessionContext} from '@jupyterlab/apputils';
import type {Kernel, KernelMessage} from '@jupyterlab/services';
import type {CommHandler} from '@jupyterlab/services/lib/kernel/comm';
import type {RunsServer} from './server.js';
import {ServerPort} from './serverport.js';
import type {FromKernel, Port, ToKernel} from './view/document.js';

export const COMM_TARGET = 'flyte_nb.run';
const OFFER_MS = 1000;
/** A kernel that has not said what it is by then runs a cell. */
const SILENCE_MS = 1500;
/** The record of a run is read this often. */
const RECORD_SECONDS = 1;

/** A subshell that has not started by then is not waited for. */
const SUBSHELL_MS = 1000;

/** A comm that serves no view any more is closed after so long: an output that is renewed draws another view at once. */
const UNSEEN_MS = 5000;

type Sendable = Parameters<Kernel.IComm['send']>[0];

/** A message as a comm takes it: plain JSON, which the types of messages are. */
export function sendable(message: ToKernel): Sendable {
  return {...message} as unknown as Sendable;
}

/** Opens a comm where the kernel answers it while a cell runs: on a subshell, once there is one. */
export async function openBesideCells(
  kernel: Kernel.IKernelConnection,
  comm: Kernel.IComm,
  data: Record<string, string>
): Promise<void> {
  const tooLate = new Promise(resolve => setTimeout(resolve, SUBSHELL_MS));
  const {subshellStarted} = comm as Partial<Pick<CommHandler, 'subshellStarted'>>;
  const started = subshellStarted?.catch(() => undefined); // then the main shell answers, between cells
  if (kernel.supportsSubshells) await Promise.race([started, tooLate]);
  if (!comm.isDisposed && !kernel.isDisposed) comm.open(data);
}

/** What is served: it takes the way to the run that it shows, or null when that is gone. */
export interface Served {
  attach(port: Port | null): void;
}

/** One run's views, and the comm that serves them while there is one. */
interface Channel {
  views: Set<Served>;
  comm: Kernel.IComm | null;
  listeners: Set<(message: FromKernel) => void>;
  /** Reads the run's record while the kernel is silent, or where it does not know the run. */
  record: ServerPort | null;
  isUnknown: boolean;
}

export class RunComms {
  private readonly channels = new Map<string, Channel>();
  private kernel: Kernel.IKernelConnection | null = null;
  private readonly opening = new WeakMap<Kernel.IComm, Promise<void>>();
  /** Whether the kernel has told this page what it is: from then on it can be asked while a cell runs. */
  private hasSpoken = false;
  private readonly onTarget = (comm: Kernel.IComm, open: KernelMessage.ICommOpenMsg) => {
    const {run} = open.content.data as {run?: unknown};
    if (typeof run === 'string') this.adopt(run, comm);
  };

  /** `server` reads records of the project of the notebook at `path()`. */
  constructor(
    private readonly context: ISessionContext,
    private readonly server: RunsServer,
    private readonly path: () => string
  ) {
    context.kernelChanged.connect(this.onKernel, this);
    context.statusChanged.connect(this.onStatus, this);
    this.onKernel();
  }

  /** Lets a view be served: what it asks of the kernel opens the comm where there is none. */
  add(view: Served, run: string): void {
    this.channel(run).views.add(view);
    if (!this.isAlive) return;
    if (this.channel(run).record) view.attach(this.channel(run).record);
    else if (this.hasSpoken) view.attach(this.port(run));
    else this.readRecordLater(run);
  }

  remove(view: Served): void {
    for (const [run, channel] of this.channels) {
      channel.views.delete(view);
      if (channel.views.size === 0) this.stopReading(channel);
      if (channel.views.size === 0) this.closeLater(run, channel);
    }
  }

  /** Lets the kernel forget a run that no view shows: of a backend's it would hear all that changes. */
  private closeLater(run: string, channel: Channel): void {
    setTimeout(() => {
      if (channel.views.size > 0 || this.channels.get(run) !== channel) return;
      this.channels.delete(run);
      const {comm} = channel;
      channel.comm = null;
      if (comm && !comm.isDisposed && this.isAlive) comm.close();
    }, UNSEEN_MS);
  }

  dispose(): void {
    this.context.kernelChanged.disconnect(this.onKernel, this);
    this.context.statusChanged.disconnect(this.onStatus, this);
    if (this.kernel && !this.kernel.isDisposed) this.kernel.removeCommTarget(COMM_TARGET, this.onTarget);
    this.dropComms();
    this.channels.clear();
  }

  private channel(run: string): Channel {
    let channel = this.channels.get(run);
    const empty = (): Channel => ({views: new Set(), comm: null, listeners: new Set(), record: null, isUnknown: false});
    if (!channel) this.channels.set(run, (channel = empty()));
    return channel;
  }

  private get isAlive(): boolean {
    return this.kernel !== null && !this.kernel.isDisposed && this.kernel.status !== 'dead';
  }

  private onKernel(): void {
    const kernel = this.context.session?.kernel ?? null;
    if (kernel === this.kernel) return;
    this.dropComms();
    this.kernel = kernel;
    if (!kernel) return;
    kernel.registerCommTarget(COMM_TARGET, this.onTarget);
    this.hasSpoken = false;
    void kernel.info.then(() => this.onSpoken(kernel));
    for (const run of this.channels.keys()) this.readRecordLater(run);
  }

  private onSpoken(kernel: Kernel.IKernelConnection): void {
    if (kernel !== this.kernel) return;
    this.hasSpoken = true;
    for (const [run, channel] of this.channels) {
      this.stopReading(channel);
      if (!channel.comm) channel.views.forEach(view => view.attach(this.port(run)));
    }
  }

  private readRecordLater(run: string): void {
    setTimeout(() => void this.readRecord(run), SILENCE_MS);
  }

  private async readRecord(run: string): Promise<void> {
    const channel = this.channels.get(run);
    const isSilent = () => (!this.hasSpoken || channel?.isUnknown) && !channel?.comm;
    const isWanted = () => channel === this.channels.get(run) && isSilent() && this.isAlive;
    if (!channel || channel.record || !isWanted()) return;
    try {
      const {store} = await this.server.stores(this.path(), false);
      await this.server.run(store.store, run);
      if (channel.record || !isWanted()) return;
      channel.record = new ServerPort(this.server, store.store, run, RECORD_SECONDS, () => channel.views.size > 0);
      channel.views.forEach(view => view.attach(channel.record));
    } catch {
      // No such record, or no such server: the views stay as they were saved, which they say.
    }
  }

  private stopReading(channel: Channel): void {
    channel.isUnknown = false;
    channel.record?.dispose();
    channel.record = null;
  }

  /** A restarted kernel keeps its connection and the registered target, and forgets every comm. */
  private onStatus(_: ISessionContext, status: Kernel.Status): void {
    if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) this.dropComms();
  }

  private dropComms(): void {
    for (const channel of this.channels.values()) {
      channel.comm = null;
      this.stopReading(channel);
      channel.views.forEach(view => view.attach(null));
    }
  }

  /**
   * A comm that the kernel opened: every view starts over with it. One that the page opened before stays open, unused:
   * the kernel may be answering it, on a subshell that closing would end under its feet.
   */
  private adopt(run: string, comm: Kernel.IComm): void {
    this.use(run, comm);
    this.stopReading(this.channel(run));
    this.channel(run).views.forEach(view => view.attach(this.port(run)));
  }

  /** Opens a comm unless the kernel, which offers one when it displays a run, is faster. */
  private greetLater(run: string, message: ToKernel): void {
    setTimeout(() => {
      const channel = this.channels.get(run);
      if (channel && channel.views.size > 0 && !channel.comm) this.tell(this.open(run), message);
    }, OFFER_MS);
  }

  private open(run: string): Kernel.IComm | null {
    if (!this.kernel || !this.isAlive) return null;
    const comm = this.kernel.createComm(COMM_TARGET);
    this.use(run, comm);
    const opening = openBesideCells(this.kernel, comm, {run});
    this.opening.set(comm, opening);
    void opening.then(() => this.opening.delete(comm));
    return comm;
  }

  private tell(comm: Kernel.IComm | null, message: ToKernel): void {
    const opening = comm && this.opening.get(comm);
    if (opening) void opening.then(() => this.tell(comm, message));
    else if (comm && !comm.isDisposed) comm.send(sendable(message));
  }

  private use(run: string, comm: Kernel.IComm): void {
    const channel = this.channel(run);
    channel.comm = comm;
    let isKnown = false;
    comm.onMsg = message => {
      isKnown = true;
      const content = message.content.data as unknown as FromKernel;
      channel.listeners.forEach(listener => listener(content));
    };
    // A kernel that does not know the target or the run closes at once: then its record is all there is.
    comm.onClose = () => {
      if (channel.comm !== comm) return;
      channel.comm = null;
      channel.views.forEach(view => view.attach(null));
      channel.isUnknown = !isKnown;
      if (!isKnown) void this.readRecord(run);
    };
  }

  private port(run: string): Port {
    const channel = this.channel(run);
    return {
      send: (message: ToKernel) => {
        const known = channel.comm && !channel.comm.isDisposed ? channel.comm : null;
        if (!known && message.kind === 'hello') this.greetLater(run, message);
        else this.tell(known ?? this.open(run), message);
      },
      onMessage: listener => {
        channel.listeners.add(listener);
        return () => channel.listeners.delete(listener);
      }
    };
  }
}
