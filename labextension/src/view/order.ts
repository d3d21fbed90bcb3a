/** In which order siblings stand: as they were called, or by what the reader sorts the tree by. Pure: no DOM. */
import {PHASES} from './document.js';
import type {RunModel} from './model.js';
import {BY_URGENCY} from './phases.js';

export type SortKey = 'call' | 'name' | 'phase' | 'start' | 'duration';

export interface Sort {
  key: SortKey;
  descending: boolean;
}

/** Flyte's own order: as called. */
export const AS_CALLED: Sort = {key: 'call', descending: false};

/** Phases by number: how soon a reader wants to hear of them. */
const RANKS = PHASES.map(phase => BY_URGENCY.indexOf(phase));

/** The items (rows, or `-1 - id` of fan-outs) sorted; equal ones stay as called. */
export function sorted(model: RunModel, items: readonly number[], {key, descending}: Sort): number[] {
  if (key === 'call') return [...items];
  const valueOf = READERS[key];
  const keyed = items.map(item => ({item, value: valueOf(model, item)}));
  const direction = descending ? -1 : 1;
  return keyed.sort((a, b) => direction * compared(a.value, b.value)).map(({item}) => item);
}

const READERS: Record<Exclude<SortKey, 'call'>, (model: RunModel, item: number) => number | string> = {
  name: (model, item) =>
    item >= 0
      ? `${model.taskName(item)} ${model.doc.actions.label[item]}`
      : model.fanOutWords(model.fanOuts[-1 - item]).join(' '),
  phase: (model, item) =>
    item >= 0
      ? RANKS[model.doc.actions.phase[item]]
      : Math.min(...model.fanOuts[-1 - item].counts.flatMap((n, phase) => (n > 0 ? [RANKS[phase]] : []))),
  start: (model, item) =>
    item >= 0 ? model.doc.actions.queued[item] : model.extent(model.fanOuts[-1 - item], model.doc.duration_ms)[0],
  duration: (model, item) => {
    const now = model.doc.duration_ms;
    if (item >= 0) return model.durationOf(item, now) ?? -1;
    const [from, to] = model.extent(model.fanOuts[-1 - item], now);
    return to - from;
  }
};

/** Names as people sort them: `x=2` before `x=10`. */
const collator = new Intl.Collator('en', {numeric: true});

function compared(a: number | string, b: number | string): number {
  return typeof a === 'string' ? collator.compare(a, b as string) : a - (b as number);
}
