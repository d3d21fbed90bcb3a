/** Forms in notebook outputs: each has a comm to the kernel that made it, opened when the form is drawn. */
import type {ISessionContext} from '@jupyterlab/apputils';
import type {Kernel} from '@jupyterlab/services';
import {NotebookActions, type NotebookPanel} from '@jupyterlab/notebook';
import type {IRenderMime} from '@jupyterlab/rendermime-interfaces';
import {Widget} from '@lumino/widgets';
import {openBesideCells, sendable, type RunComms} from './comms.js';
import type {RunDocument} from './view/document.js';
import type {FormAnswer, FormDocument, FormPort} from './view/form/document.js';
import {mountForm, type MountedForm} from './view/form/mount.js';
import {mountRun, type MountedRun} from './view/mount.js';

export const FORM_MIME = 'application/vnd.flyte.form+json';
const COMM_TARGET = 'flyte_nb.form';

/** A notebook, and the comms of the runs in it. */
export interface FormPlace {
  panel: NotebookPanel;
  comms: RunComms;
}

interface CellWithOutputs {
  outputArea: {future: unknown};
}

class FormRenderer extends Widget implements IRenderMime.IRenderer {
  private readonly formHost = document.createElement('div');
  private readonly runHost = document.createElement('div');
  private view: MountedForm | null = null;
  private run: MountedRun | null = null;
  private comm: Kernel.IComm | null = null;
  private form = '';

  constructor(private readonly place: FormPlace | null) {
    super();
    this.addClass('fnb-output');
    this.node.append(this.formHost, this.runHost);
    place?.panel.sessionContext.kernelChanged.connect(this.connect, this);
    place?.panel.sessionContext.statusChanged.connect(this.onStatus, this);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const doc = model.data[FORM_MIME] as unknown as FormDocument;
    const {place} = this;
    this.view?.dispose();
    this.form = doc.form;
    this.view = mountForm(this.formHost, doc, {
      started: ({doc}) => doc && this.drawRun(doc),
      insert: place ? code => insertBelow(place.panel, this.node, code) : undefined
    });
    this.connect();
  }

  override dispose(): void {
    this.place?.panel.sessionContext.kernelChanged.disconnect(this.connect, this);
    this.place?.panel.sessionContext.statusChanged.disconnect(this.onStatus, this);
    this.comm?.dispose();
    this.dropRun();
    this.view?.dispose();
    super.dispose();
  }

  private onStatus(_: ISessionContext, status: Kernel.Status): void {
    if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) this.view?.attach(null);
  }

  /** A kernel that did not make the form closes the comm at once; one that runs a cell answers when that is over. */
  private connect(): void {
    const kernel = this.place?.panel.sessionContext.session?.kernel;
    if (!kernel || kernel.isDisposed) return this.view?.attach(null);
    const comm = kernel.createComm(COMM_TARGET);
    const listeners = new Set<(answer: FormAnswer) => void>();
    const port: FormPort = {
      send: message => void comm.send(sendable(message)),
      onMessage: listener => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      }
    };
    comm.onMsg = message => {
      const data = message.content.data as {kind?: string};
      if (data.kind === 'ready') this.view?.attach(port);
      else listeners.forEach(listener => listener(data as FormAnswer));
    };
    comm.onClose = () => {
      if (this.comm === comm) this.view?.attach(null);
    };
    this.comm = comm;
    void openBesideCells(kernel, comm, {form: this.form});
  }

  /** The cell's own display draws the run; after a reload the page no longer gets that, and the run is drawn here. */
  private drawRun(doc: RunDocument): void {
    if (!this.place || isServed(this.place.panel, this.node)) return;
    const {comms} = this.place;
    this.dropRun();
    const serve = () => {
      if (!this.run) return;
      comms.remove(this.run);
      comms.add(this.run, this.run.run);
    };
    this.run = mountRun(this.runHost, doc, null, serve);
    serve();
  }

  private dropRun(): void {
    if (!this.run) return;
    this.place?.comms.remove(this.run);
    this.run.dispose();
    this.run = null;
  }
}

/** Factory of form renderers; outside a notebook a form is drawn, and can do nothing. */
export function formFactory(place: FormPlace | null, rank: number): IRenderMime.IRendererFactory {
  return {safe: true, mimeTypes: [FORM_MIME], defaultRank: rank, createRenderer: () => new FormRenderer(place)};
}

/** Whether the kernel's messages to the cell in which an element stands reach this page. */
function isServed(panel: NotebookPanel, inside: HTMLElement): boolean {
  const cell = panel.content.widgets.find(({node}) => node.contains(inside)) as Partial<CellWithOutputs> | undefined;
  return !!cell?.outputArea?.future;
}

/** A new code cell below that in which an element stands. */
function insertBelow(panel: NotebookPanel, inside: HTMLElement, code: string): void {
  const notebook = panel.content;
  const at = notebook.widgets.findIndex(cell => cell.node.contains(inside));
  if (at >= 0) notebook.activeCellIndex = at;
  NotebookActions.insertBelow(notebook);
  notebook.activeCell?.model.sharedModel.setSource(code.trimEnd());
}
