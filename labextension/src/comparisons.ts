/** Comparisons of two runs in notebook outputs: they need no kernel. */
import type {IRenderMime} from '@jupyterlab/rendermime-interfaces';
import {Widget} from '@lumino/widgets';
import {mountComparison} from './view/compare.js';
import type {ComparisonDocument} from './view/comparison.js';

const MIME = 'application/vnd.flyte.comparison+json';

class ComparisonRenderer extends Widget implements IRenderMime.IRenderer {
  constructor() {
    super();
    this.addClass('fnb-output');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    mountComparison(this.node, model.data[MIME] as unknown as ComparisonDocument);
  }
}

export function comparisonFactory(rank: number): IRenderMime.IRendererFactory {
  return {safe: true, mimeTypes: [MIME], defaultRank: rank, createRenderer: () => new ComparisonRenderer()};
}
