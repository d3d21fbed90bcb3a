/** The anywidget module (VS Code, Colab, plain pages): the model's `doc` is drawn, its custom messages are the port. */
import type {AnyModel} from '@anywidget/types';
import asks from '../style/asks.css';
import compare from '../style/compare.css';
import detail from '../style/detail.css';
import explorer from '../style/explorer.css';
import form from '../style/form.css';
import graph from '../style/graph.css';
import views from '../style/views.css';
import {mountComparison} from './view/compare.js';
import type {ComparisonDocument} from './view/comparison.js';
import type {FromKernel, Port, RunDocument} from './view/document.js';
import type {FormDocument} from './view/form/document.js';
import type {FormHost} from './view/form/form.js';
import {mountForm, type MountedForm} from './view/form/mount.js';
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
    const onDocument = () => {
      view.update(model.get('doc'));
      serve(view.run);
    };
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

/** Draws a comparison of two runs into a plain page. */
export function drawComparison(el: HTMLElement, doc: ComparisonDocument): void {
  addStyle(el);
  mountComparison(el, doc);
}

/** Draws a form into a plain page. */
export function drawForm(el: HTMLElement, doc: FormDocument, can: FormHost = {}): MountedForm {
  addStyle(el);
  return mountForm(el, doc, can);
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
  sheet.textContent = [explorer, views, graph, detail, asks, form, compare].join('\n');
  target.append(sheet);
}
