/** The anywidget module (VS Code, Colab, plain pages): the model's `doc` is drawn, its custom messages are the port. */
import type {AnyModel} from '@anywidget/types';
import detail from '../style/detail.css';
import explorer from '../style/explorer.css';
import views from '../style/views.css';
import type {FromKernel, Port, RunDocument} from './view/document.js';
import {mountRun, type MountedRun} from './view/mount.js';

interface State {
  doc: RunDocument;
}

export default {
  render({model, el}: {model: AnyModel<State>; el: HTMLElement}): () => void {
    // The model's messages are of its document's own run; of another that the reader picks the document's part is drawn.
    const port = portOf(model);
    const serve = (run: string) => view.attach(run === model.get('doc').run ? port : null);
    const view = drawRun(el, model.get('doc'), port, serve);
    const onDocument = () => view.update(model.get('doc'));
    model.on('change:doc', onDocument);
    return () => {
      model.off('change:doc', onDocument);
      view.dispose();
    };
  }
};

/** Draws a run into a plain page; without a port, what the document carries. */
export function drawRun(
  el: HTMLElement,
  doc: RunDocument,
  port: Port | null = null,
  switched?: (run: string) => void
): MountedRun {
  addStyle(el);
  return mountRun(el, doc, port, switched);
}

function portOf(model: AnyModel<State>): Port {
  return {
    send: message => model.send(message),
    onMessage(listener) {
      const onMessage = (message: FromKernel) => listener(message);
      model.on('msg:custom', onMessage);
      return () => model.off('msg:custom', onMessage);
    }
  };
}

/** Once for each document or shadow root. */
function addStyle(el: HTMLElement): void {
  const root = el.getRootNode();
  const target = root instanceof ShadowRoot ? root : document.head;
  if (target.querySelector('style[data-flyte-nb]')) return;
  const sheet = document.createElement('style');
  sheet.dataset.flyteNb = '';
  sheet.textContent = [explorer, views, detail].join('\n');
  target.append(sheet);
}
