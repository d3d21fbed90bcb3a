/** Long text: its beginning, and all of it when asked for. */
import {el} from './dom.js';
import {plural} from './format.js';

const LINES = 12;
const CHARACTERS = 1200;

/** The text as `draw` shows it; where it is long, its first lines and a button. */
export function folded(text: string, draw: (text: string) => HTMLElement): HTMLElement {
  const lines = text.split('\n');
  const start = lines.slice(0, LINES).join('\n').slice(0, CHARACTERS);
  if (start.length === text.length) return draw(text);
  const [n, noun] = lines.length > LINES ? [lines.length - LINES, 'line'] : [text.length - start.length, 'character'];
  const box = el('div', {class: 'fnb-folded'});
  const show = () => box.replaceChildren(draw(text));
  const more = el('button', {class: 'fnb-button fnb-quiet', type: 'button', onclick: show}, `Show ${plural(n, `more ${noun}`)}`);
  box.append(draw(`${start}…`), more);
  return box;
}
