/** The button "Run as Flyte task" of the notebook's toolbar: puts `%%flyte run` over the active cell, or takes it off. */
import type {JupyterFrontEnd, JupyterFrontEndPlugin} from '@jupyterlab/application';
import {ICommandPalette, Notification} from '@jupyterlab/apputils';
import {INotebookTracker, type NotebookPanel} from '@jupyterlab/notebook';
import {ISettingRegistry} from '@jupyterlab/settingregistry';
import {taskIcon} from './icon.js';
import {words} from './server.js';
import {loadPlace, toggled} from './view/celltask.js';

const ID = 'flyte-nb:toolbar';
const TOGGLE = 'flyte-nb:run-as-task';

type Cell = NonNullable<INotebookTracker['activeCell']>;

/** What schema/toolbar.json describes. */
interface Settings {
  options: string;
  loadExtension: boolean;
}
const DEFAULTS: Settings = {options: '', loadExtension: true};

export const toolbarPlugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Puts %%flyte run over the active cell.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null
  ) => {
    const settings = {...DEFAULTS};
    app.commands.addCommand(TOGGLE, {
      label: 'Run as Flyte Task',
      caption: 'Run the active cell as a Flyte task (%%flyte run), or as a plain cell again',
      icon: taskIcon,
      isEnabled: () => notebooks.activeCell?.model.type === 'code',
      isToggled: () => toggled(notebooks.activeCell?.model.sharedModel.source ?? '', '')?.isOn === false,
      execute: () => {
        const {currentWidget: panel, activeCell: cell} = notebooks;
        if (panel && cell?.model.type === 'code') toggle(panel, cell, settings);
        app.commands.notifyCommandChanged(TOGGLE);
      }
    });
    palette?.addItem({command: TOGGLE, category: 'Flyte'});
    notebooks.activeCellChanged.connect(() => app.commands.notifyCommandChanged(TOGGLE));
    void follow(registry, settings);
  }
};

/** Keeps the settings as the user has them. */
async function follow(registry: ISettingRegistry | null, settings: Settings): Promise<void> {
  try {
    const found = await registry?.load(ID);
    const read = () => Object.assign(settings, DEFAULTS, found?.composite as Partial<Settings>);
    read();
    found?.changed.connect(read);
  } catch (error) {
    console.warn(`The settings of ${ID} cannot be read, the defaults hold: ${words(error)}`);
  }
}

function toggle(panel: NotebookPanel, cell: Cell, {options, loadExtension}: Settings): void {
  const {sharedModel} = cell.model;
  const change = toggled(sharedModel.source, options);
  if (!change) {
    Notification.warning('Only a Python cell runs as a task: this one begins with a cell magic of its own.');
    return;
  }
  const {editor} = cell;
  const cursor = editor?.getOffsetAt(editor.getCursorPosition()) ?? 0;
  sharedModel.updateSource(0, change.length, change.text);
  editor?.setCursorPosition(
    editor.getPositionAt(Math.max(0, cursor - change.length) + change.text.length) ?? {line: 0, column: 0}
  );
  if (change.isOn && loadExtension) load(panel);
}

/** Sees to it that the kernel knows `%%flyte`, now and when the notebook runs from the top. */
function load(panel: NotebookPanel): void {
  const cells = panel.content.widgets.map(({model}) => ({type: model.type, source: model.sharedModel.source}));
  const place = loadPlace(cells);
  if (place < 0) return;
  const source = '%load_ext flyte_nb';
  panel.content.model?.sharedModel.insertCell(place, {cell_type: 'code', source, metadata: {}, outputs: []});
  panel.sessionContext.session?.kernel?.requestExecute({code: source, silent: true, store_history: false});
}
