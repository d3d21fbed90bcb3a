/**
 * The critical path: what a run would have to do faster to end earlier. Pure: no DOM.
 *
 * Going back from the end of an action: of its children, the one that ended last before that instant is on the path, and
 * so is what is critical inside it; then the same again from the instant at which that child was called (`queued`). The
 * root is on the path.
 */
import type {RunModel} from './model.js';

/** The rows on the path; none while the run is live. */
export function criticalRows(model: RunModel): ReadonlySet<number> {
  const path = new Set<number>();
  if (model.doc.live || model.size === 0) return path;
  const {queued, end} = model.doc.actions;
  const pending: [row: number, ended: number][] = [[0, end[0] ?? model.span(model.doc.duration_ms)]];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [row, ended] = next;
    path.add(row);
    let before = ended;
    const finished = model.childrenOf(row).filter(child => end[child] !== null);
    for (const child of finished.sort((a, b) => (end[b] as number) - (end[a] as number))) {
      const over = end[child] as number;
      if (over > before) continue;
      pending.push([child, over]);
      before = queued[child];
    }
  }
  return path;
}
