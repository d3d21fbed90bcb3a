/** The panel of runs, tabs of runs, commands, the status bar's item: in JupyterLab, and in Notebook 7 what it has. */
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {ICommandPalette, InputDialog, Notification, WidgetTracker} from '@jupyterlab/apputils';
import {INotebookTracker} from '@jupyterlab/notebook';
import {ISettingRegistry} from '@jupyterlab/settingregistry';
import {IStatusBar} from '@jupyterlab/statusbar';
import {runsIcon, serveIcon} from './icon.js';
import {RunsPanel} from './panel.js';
import {idOf, RunTab, type Look, type RunPlace} from './runtab.js';
import {RunsServer, words} from './server.js';
import {askAboutServing} from './serving.js';
import {StatusItem} from './statusitem.js';
import {StoreWatch} from './storewatch.js';

export const ID = 'flyte-nb:runs';
const SHOW = 'flyte-nb:show-runs';
const OPEN = 'flyte-nb:open-run';
const ABORT = 'flyte-nb:abort-run';
const SERVE = 'flyte-nb:serve-store';
const CATEGORY = 'Flyte';
/** Behind the file browser and the running kernels. */
const RANK = 250;
/** Runs whose names are proposed. */
const PROPOSED = 100;
const LIVE = ['queued', 'waiting_for_resources', 'initializing', 'running', 'paused'];

/** What schema/runs.json describes. */
interface Settings extends Look {
  openOnStart: boolean;
  period: string;
  showStatus: boolean;
}
const DEFAULTS: Settings = {pollSeconds: 1, openOnStart: false, runView: 'tree', period: 'all', showStatus: true};

export const runsPlugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'The side panel with the runs of a project, and tabs that show one.',
  autoStart: true,
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, INotebookTracker, ISettingRegistry, IStatusBar],
  activate: (
    app: JupyterFrontEnd,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    notebooks: INotebookTracker | null,
    registry: ISettingRegistry | null,
    statusBar: IStatusBar | null
  ) => {
    const server = new RunsServer(app.serviceManager.serverSettings);
    const watch = new StoreWatch(server);
    const tabs = new WidgetTracker<RunTab>({namespace: 'flyte-nb-runs'});
    const panel = new RunsPanel(server, watch, {
      open: (store, run) => void app.commands.execute(OPEN, {store, run}),
      serve: () => void app.commands.execute(SERVE)
    });
    const settings = {...DEFAULTS};

    addCommands(app, server, watch, panel, place => {
      const known = tabs.find(tab => tab.id === idOf(place));
      const tab = known ?? new RunTab(server, place, settings);
      if (!known) {
        tab.toggleClass('fnb-down', labShell === null);
        app.shell.add(tab, labShell ? 'main' : 'down', {type: 'Flyte Run'});
        void tabs.add(tab);
      }
      app.shell.activateById(tab.id);
      return tab;
    });
    addServing(app, server, watch);
    for (const command of [SHOW, OPEN, ABORT, SERVE]) palette?.addItem({command, category: CATEGORY});
    app.shell.add(panel, 'left', {rank: RANK, type: 'Flyte Runs'});
    restorer?.add(panel, panel.id);
    void restorer?.restore(tabs, {command: OPEN, args: tab => ({...tab.place}), name: tab => tab.id});
    followNotebooks(app, watch, notebooks);

    if (statusBar) {
      const item = new StatusItem(watch, () => void app.commands.execute(SHOW));
      const isActive = () => settings.showStatus;
      statusBar.registerStatusItem(ID, {item, align: 'left', rank: 4, isActive, activeStateChanged: watch.switched});
    }
    const apply = (read: Settings, isFirst: boolean) => {
      const {period} = settings;
      Object.assign(settings, read);
      watch.interval = settings.pollSeconds;
      watch.want('status', statusBar !== null && settings.showStatus);
      if (settings.period !== period) panel.choosePeriod(settings.period);
      watch.switched.emit();
      if (isFirst && settings.openOnStart) void app.restored.then(() => app.commands.execute(SHOW));
    };
    void readSettings(registry, read => apply(read, false)).then(read => apply(read, true));
  }
};

/** The settings as they stand; `changed` is told of later ones. */
async function readSettings(registry: ISettingRegistry | null, changed: (read: Settings) => void): Promise<Settings> {
  try {
    const found = await registry?.load(ID);
    if (!found) return DEFAULTS;
    const read = () => ({...DEFAULTS, ...(found.composite as Partial<Settings>)});
    found.changed.connect(() => changed(read()));
    return read();
  } catch (error) {
    console.warn(`The settings of ${ID} cannot be read, the defaults hold: ${words(error)}`);
    return DEFAULTS;
  }
}

/** Goes with the notebook that is open: its project's store is meant. */
function followNotebooks(app: JupyterFrontEnd, watch: StoreWatch, notebooks: INotebookTracker | null): void {
  const {contents} = app.serviceManager;
  const follow = () => {
    const path = notebooks?.currentWidget?.context.path ?? '';
    void watch.follow(contents.driveName(path) === '' ? path : '');
  };
  notebooks?.currentChanged.connect(follow);
  follow();
}

function addCommands(
  app: JupyterFrontEnd,
  server: RunsServer,
  watch: StoreWatch,
  panel: RunsPanel,
  open: (place: RunPlace) => RunTab
): void {
  app.commands.addCommand(SHOW, {
    label: 'Show Flyte Runs',
    caption: 'Show the runs of the project of the open notebook',
    icon: runsIcon,
    execute: () => app.shell.activateById(panel.id)
  });
  app.commands.addCommand(OPEN, {
    label: 'Open Flyte Run…',
    caption: 'Show a run in a tab of its own',
    execute: async args => {
      const store = typeof args.store === 'string' ? args.store : watch.store?.store;
      if (store === undefined) return Notification.warning(watch.problem || 'No store of runs is known yet.');
      const run = typeof args.run === 'string' ? args.run : await askForRun(server, store, 'Open a run', 'Open', []);
      return run === null ? undefined : open({store, run});
    }
  });
  app.commands.addCommand(ABORT, {
    label: 'Abort Flyte Run…',
    caption: 'End a live run with all that it runs',
    execute: async () => {
      const store = watch.store?.store;
      if (store === undefined) return Notification.warning(watch.problem || 'No store of runs is known yet.');
      try {
        const run = await askForRun(server, store, 'Abort a live run', 'Abort', LIVE);
        if (run !== null) await server.abort(store, run);
      } catch (error) {
        Notification.error(words(error));
      }
    }
  });
}

function addServing(app: JupyterFrontEnd, server: RunsServer, watch: StoreWatch): void {
  app.commands.addCommand(SERVE, {
    label: 'Serve Flyte Store…',
    caption: 'Let other programs read the runs of this project, and stop that again',
    icon: serveIcon,
    execute: () => {
      const {store, problem} = watch;
      if (store) return askAboutServing(server, store);
      return Notification.warning(problem || 'No store of runs is known yet.');
    }
  });
}

/** Asks for the name of a run; null when the reader thinks better of it, or none is in one of the phases. */
async function askForRun(
  server: RunsServer,
  store: string,
  title: string,
  okLabel: string,
  phase: readonly string[]
): Promise<string | null> {
  const {runs} = await server.runs(store, {phase, limit: PROPOSED});
  if (runs.length === 0) {
    Notification.info(phase.length > 0 ? 'No run is live.' : 'There are no runs yet.');
    return null;
  }
  const items = runs.map(({run, task}) => `${run} · ${task}`);
  const label = phase.length > 0 ? 'Run' : 'Run, or its name';
  const {value} = await InputDialog.getItem({title, label, okLabel, items, editable: phase.length === 0});
  return value?.split(' · ', 1)[0].trim() || null;
}
