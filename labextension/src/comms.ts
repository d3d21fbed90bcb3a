/**
 * The comms between one notebook's kernel and the runs drawn in it.
 *
 * Either side opens: the kernel when it displays a run, this page when it draws a live run that it has no comm for
 * (after a reload) or when a detail is wanted that the document does not carry. All views of a run share its comm.
 */
import type {ISessionContext} from '@jupyterlab/apputils';
import type {Kernel, KernelMessage} from '@jupyterlab/services';
import type {FromKernel, Port, ToKernel} from './view/document.js';
import type {MountedRun} from './view/mount.js';

export const COMM_TARGET = 'flyte_nb.run';
const OFFER_MS = 1000;

/** One run's views, and the comm that serves them while there is one. */
interface Channel {
  views: Set<MountedRun>;
  comm: Kernel.IComm | null;
  listeners: Set<(message: FromKernel) => void>;
}

export class RunComms {
  private readonly channels = new Map<string, Channel>();
  private kernel: Kernel.IKernelConnection | null = null;
  private readonly onTarget = (comm: Kernel.IComm, open: KernelMessage.ICommOpenMsg) => {
    const {run} = open.content.data as {run?: unknown};
    if (typeof run === 'string') this.adopt(run, comm);
  };

  constructor(private readonly context: ISessionContext) {
    context.kernelChanged.connect(this.onKernel, this);
    context.statusChanged.connect(this.onStatus, this);
    this.onKernel();
  }

  /** Lets a view be served: what it asks of the kernel opens the comm where there is none. */
  add(view: MountedRun, run: string): void {
    this.channel(run).views.add(view);
    if (this.isAlive) view.attach(this.port(run));
  }

  remove(view: MountedRun): void {
    for (const [run, channel] of this.channels) {
      channel.views.delete(view);
      if (channel.views.size === 0 && !channel.comm) this.channels.delete(run);
    }
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
    if (!channel) this.channels.set(run, (channel = {views: new Set(), comm: null, listeners: new Set()}));
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
    for (const [run, {views}] of this.channels) views.forEach(view => view.attach(this.port(run)));
  }

  /** A restarted kernel keeps its connection and the registered target, and forgets every comm. */
  private onStatus(_: ISessionContext, status: Kernel.Status): void {
    if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) this.dropComms();
  }

  private dropComms(): void {
    for (const channel of this.channels.values()) {
      channel.comm = null;
      channel.views.forEach(view => view.attach(null));
    }
  }

  /**
   * A comm that the kernel opened: every view starts over with it. One that the page opened before stays open, unused:
   * the kernel may be answering it, on a subshell that closing would end under its feet.
   */
  private adopt(run: string, comm: Kernel.IComm): void {
    this.use(run, comm);
    this.channel(run).views.forEach(view => view.attach(this.port(run)));
  }

  /** Opens a comm unless the kernel, which offers one when it displays a run, is faster. */
  private greetLater(run: string, message: ToKernel): void {
    setTimeout(() => {
      const channel = this.channels.get(run);
      if (channel && channel.views.size > 0 && !channel.comm) this.open(run)?.send({...message});
    }, OFFER_MS);
  }

  private open(run: string): Kernel.IComm | null {
    if (!this.kernel || !this.isAlive) return null;
    const comm = this.kernel.createComm(COMM_TARGET);
    this.use(run, comm);
    comm.open({run});
    return comm;
  }

  private use(run: string, comm: Kernel.IComm): void {
    const channel = this.channel(run);
    channel.comm = comm;
    comm.onMsg = message => {
      const content = message.content.data as unknown as FromKernel;
      channel.listeners.forEach(listener => listener(content));
    };
    // A kernel that does not know the target or the run closes at once: the views stay as drawn.
    comm.onClose = () => {
      if (channel.comm !== comm) return;
      channel.comm = null;
      channel.views.forEach(view => view.attach(null));
    };
  }

  private port(run: string): Port {
    const channel = this.channel(run);
    return {
      send: (message: ToKernel) => {
        const known = channel.comm && !channel.comm.isDisposed ? channel.comm : null;
        if (!known && message.kind === 'hello') this.greetLater(run, message);
        else (known ?? this.open(run))?.send({...message});
      },
      onMessage: listener => {
        channel.listeners.add(listener);
        return () => channel.listeners.delete(listener);
      }
    };
  }
}
