/** JupyterLab and Notebook 7: draws run documents in outputs, live while the notebook's kernel runs them. */
import type {JupyterFrontEnd, JupyterFrontEndPlugin} from '@jupyterlab/application';
import {INotebookTracker, type NotebookPanel} from '@jupyterlab/notebook';
import {IRenderMimeRegistry} from '@jupyterlab/rendermime';
import type {IRenderMime} from '@jupyterlab/rendermime-interfaces';
import {Widget} from '@lumino/widgets';
import {RunComms, type Served} from './comms.js';
import {RunsServer} from './server.js';
import {comparisonFactory} from './comparisons.js';
import {formFactory} from './forms.js';
import {runsPlugin} from './runsplugin.js';
import {toolbarPlugin} from './toolbar.js';
import {documentOf, MIME, SavedOutput} from './savedoutput.js';
import type {Port} from './view/document.js';
import {mountRun, problemWith, type MountedRun} from './view/mount.js';

/** Before the widget view that a live bundle also carries: ipywidgets registers that at -10. */
const RANK = -20;

class RunRenderer extends Widget implements IRenderMime.IRenderer, Served {
  private view: MountedRun | null = null;
  private readonly saved = new SavedOutput();

  constructor(private readonly comms: RunComms | null) {
    super();
    this.addClass('fnb-output');
  }

  /** Called again when the output is renewed: the view stays, and so what the reader picked and opened. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const doc = documentOf(model);
    this.saved.model = model;
    if (this.view?.run && problemWith(doc) === null) return this.view.update(doc);
    this.drop();
    this.view = mountRun(this.node, doc, null, () => this.serve());
    this.serve();
  }

  /** Takes the way to the run that it shows; null when that is gone. */
  attach(port: Port | null): void {
    this.view?.attach(port);
    this.saved.attach(port, this.view?.run ?? '');
  }

  /** Connects the view to the run that it shows. */
  private serve(): void {
    if (!this.view?.run) return;
    this.comms?.remove(this);
    this.comms?.add(this, this.view.run);
  }

  override dispose(): void {
    this.drop();
    super.dispose();
  }

  private drop(): void {
    this.comms?.remove(this);
    this.saved.dispose();
    this.view?.dispose();
    this.view = null;
  }
}

function rendererFactory(comms: RunComms | null): IRenderMime.IRendererFactory {
  // Safe: what it draws is text, so it draws in notebooks that are not trusted too.
  return {safe: true, mimeTypes: [MIME], defaultRank: RANK, createRenderer: () => new RunRenderer(comms)};
}

/**
 * Plain keys typed in an explorer are its own (`l`, `e`, arrows), Ctrl+S and Shift+Enter the application's.
 * The mark stands on the target itself: the application looks for it on the way up and would match the target first.
 */
function keepPlainKeys(event: KeyboardEvent): void {
  const {target} = event;
  if (!(target instanceof Element) || !target.closest('.fnb-root')) return;
  const modified = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === 'Enter');
  target.toggleAttribute('data-lm-suppress-shortcuts', !modified);
}

const renderer: JupyterFrontEndPlugin<void> = {
  id: 'flyte-nb:run-renderer',
  description: 'Draws flyte_nb runs in notebook outputs.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry, notebooks: INotebookTracker | null) => {
    const server = new RunsServer(app.serviceManager.serverSettings);
    registry.addFactory(rendererFactory(null));
    registry.addFactory(formFactory(null, RANK));
    registry.addFactory(comparisonFactory(RANK));
    // On the window and on the way down, before the application's listener on the document in either phase.
    window.addEventListener('keydown', keepPlainKeys, {capture: true});
    const serve = (panel: NotebookPanel) => {
      const comms = new RunComms(panel.sessionContext, server, () => panel.context.path);
      panel.content.rendermime.addFactory(rendererFactory(comms));
      panel.content.rendermime.addFactory(formFactory({panel, comms}, RANK));
      panel.disposed.connect(() => comms.dispose());
    };
    notebooks?.forEach(serve);
    notebooks?.widgetAdded.connect((_, panel) => serve(panel));
  }
};

export default [renderer, runsPlugin, toolbarPlugin];
