/** How many are in a phase: its icon and the number. */
import type {Phase} from './document.js';
import {el} from './dom.js';
import {count} from './format.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';

/** Nothing where none is in that phase. */
export function tally(phase: Phase, n: number): HTMLElement[] {
  if (n === 0) return [];
  const title = `${count(n)} ${phaseWord(phase)}`;
  return [el('span', {class: `fnb-tally fnb-tone-${phaseTone(phase)}`, title}, phaseIcon(phase), count(n))];
}
