/** Values as the explorer shows them: one renderer for each kind of preview. Everything a task said is a text node. */
import type {Preview, Value} from './document.js';
import {copyButton, el, type Child} from './dom.js';
import {folded} from './folded.js';
import {bytes, count, plural} from './format.js';

const WIDEST_MATRIX = 12;
const BASE64 = /^[A-Za-z0-9+/=\s]+$/;

/** A list of named values, each with its whole preview; `snippet` gives the Python that fetches the k-th. */
export function valueList(values: Value[], snippet: (k: number) => string): HTMLElement {
  return el('div', {class: 'fnb-values'}, ...values.map((value, k) => valueBlock(value, () => snippet(k))));
}

/** A list of named values, one line each. */
export function valueTable(values: Value[]): HTMLElement {
  const rows = values.map(({name, type, preview}) =>
    el(
      'tr',
      {},
      el('th', {scope: 'row'}, el('code', {}, name)),
      el('td', {class: 'fnb-type'}, type),
      el('td', {class: 'fnb-oneline'}, el('code', {title: preview.text}, preview.text))
    )
  );
  return el('table', {class: 'fnb-valuetable'}, el('tbody', {}, ...rows));
}

function valueBlock({name, type, preview, digest}: Value, snippet: () => string): HTMLElement {
  const inline = preview.kind === 'scalar';
  const title = el(
    'h4',
    {title: digest},
    el('code', {}, name),
    ' ',
    el('span', {class: 'fnb-type'}, type),
    inline && el('code', {class: 'fnb-scalar'}, preview.text),
    copyButton(snippet, `Copy the Python that fetches ${name}`)
  );
  return el('section', {class: 'fnb-value'}, title, !inline && renderPreview(preview));
}

export function renderPreview(preview: Preview): HTMLElement {
  switch (preview.kind) {
    case 'text':
      return folded(preview.full ?? preview.text, text => el('pre', {class: 'fnb-text'}, text));
    case 'tree':
    case 'model':
      return tree(preview);
    case 'frame':
      return frame(preview);
    case 'array':
      return array(preview);
    case 'image':
      return image(preview);
    case 'file':
    case 'dir':
      return file(preview);
    default:
      return el('pre', {class: 'fnb-text'}, preview.text);
  }
}

function tree(preview: Preview): HTMLElement {
  const {children = [], length} = preview;
  if (children.length === 0) return el('pre', {class: 'fnb-text'}, preview.text);
  return el('div', {class: 'fnb-branches'}, ...branches(children, length));
}

function branches(children: [string, Preview][], length = children.length): Child[] {
  const more = length - children.length;
  return [
    ...children.map(([key, child]) => branch(key, child)),
    more > 0 && el('div', {class: 'fnb-more'}, `and ${count(more)} more`)
  ];
}

/** One entry of a tree; what is under it is made when it is opened. */
function branch(key: string, preview: Preview): HTMLElement {
  const words = [el('span', {class: 'fnb-key'}, key), el('code', {class: `fnb-leaf-${preview.kind}`}, preview.text)];
  const nested = preview.children && preview.children.length > 0;
  const rich =
    ['frame', 'image', 'array', 'file', 'dir'].includes(preview.kind) ||
    (preview.full ?? '').length > preview.text.length;
  if (!nested && !rich) return el('div', {class: 'fnb-leaf'}, ...words);
  const details = el('details', {}, el('summary', {}, ...words));
  details.addEventListener('toggle', () => details.append(renderPreview(preview)), {once: true});
  return details;
}

function frame({columns = [], rows = [], shape: size, text}: Preview): HTMLElement {
  const head = columns.map(([name, dtype]) =>
    el('th', {scope: 'col', class: numeric(dtype) && 'fnb-number'}, name, el('small', {}, dtype))
  );
  const body = rows.map(cells =>
    el('tr', {}, ...cells.map((cell, k) => el('td', {class: numeric(columns[k]?.[1]) && 'fnb-number'}, cell)))
  );
  const table = el('table', {class: 'fnb-frame'}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...body));
  const [height, width] = size ?? [];
  const hidden = height !== undefined && height > rows.length ? `first ${plural(rows.length, 'row')}` : null;
  const extent =
    height === undefined ? text : `${plural(height, 'row')} × ${plural(width ?? columns.length, 'column')}`;
  return captioned([extent, hidden], el('div', {class: 'fnb-wide'}, table));
}

/** A matrix as a table of the whole rows that its first values fill, any other array as those values. */
function array(preview: Preview): HTMLElement {
  const {shape: size = [], dtype, head = preview.text} = preview;
  const [height, width] = size;
  const values = head.split(',').map(value => value.trim());
  const whole = Math.min(height, Math.floor(values.filter(value => value !== '' && value !== '…').length / width));
  const isMatrix = size.length === 2 && width <= WIDEST_MATRIX && whole > 0;
  if (!isMatrix) return captioned([shape(preview), dtype], el('pre', {class: 'fnb-text'}, head));
  const rows = Array.from({length: whole}, (_, row) => values.slice(row * width, (row + 1) * width));
  const body = rows.map(cells => el('tr', {}, ...cells.map(cell => el('td', {class: 'fnb-number'}, cell))));
  const table = el('table', {class: 'fnb-frame fnb-matrix'}, el('tbody', {}, ...body));
  const hidden = whole < height ? `first ${plural(whole, 'row')}` : null;
  return captioned([shape(preview), dtype, hidden], el('div', {class: 'fnb-wide'}, table));
}

function numeric(dtype: string | undefined): boolean {
  return /^(u?int|float|decimal|double|complex|i\d|u\d|f\d)/i.test(dtype ?? '');
}

function image(preview: Preview): HTMLElement {
  const picture = pngImage(preview.png, preview.text);
  return picture ? captioned([preview.text], picture) : el('pre', {class: 'fnb-text'}, preview.text);
}

/** A picture, or null where the text is not base64. */
export function pngImage(base64: string | undefined, alt: string): HTMLImageElement | null {
  if (!base64 || !BASE64.test(base64)) return null;
  const image = el('img', {class: 'fnb-image', alt});
  image.src = `data:image/png;base64,${base64}`;
  return image;
}

function file(preview: Preview): HTMLElement {
  const facts = [
    preview.files !== undefined ? plural(preview.files, 'file') : null,
    preview.size_bytes !== undefined ? bytes(preview.size_bytes) : null
  ];
  return captioned(facts, el('pre', {class: 'fnb-text'}, preview.path ?? preview.text));
}

function shape({shape: size}: Preview): string | null {
  return size ? size.map(count).join(' × ') : null;
}

function captioned(facts: (string | null | undefined)[], content: HTMLElement): HTMLElement {
  const words = facts.filter(Boolean).join(' · ');
  return el('figure', {}, content, words !== '' && el('figcaption', {}, words));
}
