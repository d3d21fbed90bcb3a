/**
 * Keeps what a notebook saves of a run as new as what its page shows.
 *
 * A kernel renews the display of a run by messages that only the page hears in which its cell was started. A page that
 * was opened later asks for the display once it has heard that the run is over, and puts it into the output.
 */
import type {IRenderMime} from '@jupyterlab/rendermime-interfaces';
import type {Bundle, FromKernel, Port, RunDocument} from './view/document.js';

export const MIME = 'application/vnd.flyte.run+json';
/** The kernel's own renewal, where it reaches this page, is there by then. */
const RENEWED_MS = 1500;

/** The run document of an output. */
export function documentOf(model: IRenderMime.IMimeModel): RunDocument {
  return model.data[MIME] as unknown as RunDocument;
}

export class SavedOutput {
  /** The output; renewed with each display that reaches this page. */
  model: IRenderMime.IMimeModel | null = null;
  private port: Port | null = null;
  private detach: () => void = () => undefined;
  private timer = 0;
  /** The run that the port is of, and the one that is known to be over. */
  private run = '';
  private ended = '';

  /** Listens to the kernel that owns a run; null when it is gone. */
  attach(port: Port | null, run: string): void {
    this.dispose();
    this.run = run;
    this.port = port;
    this.detach = port?.onMessage(message => this.hear(message)) ?? (() => undefined);
    this.askLater();
  }

  dispose(): void {
    this.detach();
    window.clearTimeout(this.timer);
  }

  private hear(message: FromKernel): void {
    if (message.kind === 'bundle') return this.renew(message);
    const head = message.kind === 'snapshot' ? message.doc : message.kind === 'delta' ? message.head : null;
    if (!head || head.live) return;
    this.ended = this.run;
    this.askLater();
  }

  /** The document that would be saved, where it shows a run as live that is over. */
  private get outdated(): RunDocument | null {
    const doc = this.model && documentOf(this.model);
    return doc?.live && doc.run === this.ended ? doc : null;
  }

  private askLater(): void {
    window.clearTimeout(this.timer);
    if (!this.outdated) return;
    this.timer = window.setTimeout(() => {
      const doc = this.outdated;
      if (doc) this.port?.send({kind: 'bundle', runs: (doc.runs ?? []).map(({run}) => run)});
    }, RENEWED_MS);
  }

  private renew({run, data}: Bundle): void {
    if (this.outdated?.run !== run) return;
    this.model?.setData({data: data as IRenderMime.IMimeModel['data'], metadata: this.model.metadata});
  }
}
