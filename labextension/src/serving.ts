/** The dialogs by which a reader serves a store to other programs (`flyte-nb serve`), and stops that. */
import {Clipboard, Dialog, Notification, showDialog} from '@jupyterlab/apputils';
import {Widget} from '@lumino/widgets';
import {words, type RunsServer, type Serving, type StoreName} from './server.js';
import {el} from './view/dom.js';

/** Lines of the server's log that are shown. */
const LOG_LINES = 12;

/** Asks what is to be done about a store, and does it. */
export async function askAboutServing(server: RunsServer, store: StoreName): Promise<void> {
  try {
    const found = await server.serving(store.store);
    if (found.serving) return await showServed(server, store, found);
    const choice = new Choice(store, found);
    const buttons = [Dialog.cancelButton(), Dialog.okButton({label: 'Serve'})];
    const {button} = await showDialog({title: 'Serve Flyte Store', body: choice, buttons});
    if (button.accept) await showServed(server, store, await server.serve(store.store, choice.execute));
  } catch (error) {
    Notification.error(words(error), {autoClose: false});
  }
}

async function showServed(server: RunsServer, store: StoreName, served: Serving): Promise<void> {
  const stop = Dialog.warnButton({label: 'Stop'});
  const buttons = [stop, Dialog.okButton({label: 'Close'})];
  const {button} = await showDialog({title: `Serving ${store.title}`, body: new Served(served), buttons});
  if (button !== stop) return;
  await server.stopServing(store.store);
  Notification.info(`${store.title} is not served any more.`, {autoClose: 4000});
}

/** What serving means, and whether the server may run tasks. */
class Choice extends Widget {
  private readonly box = el('input', {type: 'checkbox'});

  constructor(store: StoreName, {log}: Serving) {
    super();
    this.addClass('fnb-serving');
    const offer =
      `Flyte’s SDK and command line, and flyte_nb in other projects, then read the runs of ${store.title}, ` +
      'abort them, and deploy and fetch tasks. Only programs on the machine of the Jupyter server can call it. ' +
      'It ends with the Jupyter server.';
    this.node.append(
      el('p', {}, offer),
      el('label', {}, this.box, 'Run the tasks that they ask for, as you'),
      ...logOf('The server that was here ended. It said:', log)
    );
  }

  get execute(): boolean {
    return this.box.checked;
  }
}

/** Where a store is served. */
class Served extends Widget {
  constructor({address, execute, log, project}: Serving) {
    super();
    this.addClass('fnb-serving');
    const named = `project=${JSON.stringify(project)}, domain="development"`;
    this.node.append(
      copied('Address', address),
      copied('In Python', `flyte.init(endpoint="${address}", insecure=True, ${named})`),
      el('p', {}, execute ? 'It runs the tasks that clients ask for, as you.' : 'It runs no tasks for clients.'),
      ...logOf('It said:', log.slice(1))
    );
  }
}

/** A line with a button that copies it. */
function copied(title: string, text: string): HTMLElement {
  const copy = el('button', {type: 'button', 'aria-label': `Copy: ${title}`}, 'Copy');
  copy.addEventListener('click', () => {
    Clipboard.copyToSystem(text);
    copy.textContent = 'Copied';
  });
  return el('div', {class: 'fnb-servingline'}, el('span', {}, title), el('code', {}, text), copy);
}

/** The last of what the server said, if it said anything. */
function logOf(title: string, log: readonly string[]): HTMLElement[] {
  return log.length > 0 ? [el('p', {}, title), el('pre', {}, log.slice(-LOG_LINES).join('\n'))] : [];
}
