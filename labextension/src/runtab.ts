/** A run in the main area: the explorer over what the Jupyter server reads of its store. */
import {MainAreaWidget} from '@jupyterlab/apputils';
import {Widget} from '@lumino/widgets';
import {runsIcon} from './icon.js';
import type {RunsServer} from './server.js';
import {ServerPort} from './serverport.js';
import {mountRun, type MountedRun} from './view/mount.js';
import type {ViewName} from './view/toolbar.js';

/** Which run a tab shows; what is kept of it when the page is reloaded. */
export interface RunPlace {
  store: string;
  run: string;
}

/** What the settings say of tabs. */
export interface Look {
  /** A live run is looked for again this often. */
  pollSeconds: number;
  /** What a tab shows at first. */
  runView: ViewName;
}

class RunView extends Widget {
  private view: MountedRun | null = null;
  private readonly port: ServerPort;

  constructor(
    private readonly server: RunsServer,
    readonly place: RunPlace,
    private readonly look: Look
  ) {
    super();
    this.addClass('fnb-runtab');
    this.title.label = place.run;
    this.title.caption = `Run ${place.run} of ${place.store}`;
    this.title.icon = runsIcon;
    this.title.closable = true;
    this.node.tabIndex = -1;
    this.port = new ServerPort(server, place.store, place.run, look.pollSeconds, () => this.isVisible);
  }

  /** Reads the run, and of its actions the one that is shown first; draws it. */
  async load(): Promise<void> {
    const {store, run} = this.place;
    const doc = await this.server.run(store, run);
    const first = doc.error?.action || doc.actions.name[0];
    if (first) doc.details[first] = await this.server.detail(store, run, first);
    if (this.isDisposed) return;
    this.title.label = `${doc.task.slice(doc.task.lastIndexOf('.') + 1)} ${doc.run}`;
    this.view = mountRun(this.node, doc, this.port);
    this.view.showView(this.look.runView);
  }

  override dispose(): void {
    this.view?.dispose();
    this.port.dispose();
    super.dispose();
  }
}

export class RunTab extends MainAreaWidget<RunView> {
  constructor(server: RunsServer, place: RunPlace, look: Look) {
    const content = new RunView(server, place, look);
    super({content, reveal: content.load()});
    this.id = idOf(place);
    this.toolbar.hide();
  }

  get place(): RunPlace {
    return this.content.place;
  }
}

/** Names the tab of a run: it has one at most. */
export function idOf({store, run}: RunPlace): string {
  return `flyte-nb-run:${store}:${run}`;
}
