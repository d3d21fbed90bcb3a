/** Making elements. Text enters the page as text nodes only: nothing here parses HTML. */

import {bounded} from './format.js';

export type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

/** A text of a megabyte takes a browser minutes to lay out. */
const LONGEST_TEXT = 20_000;
const LONGEST_ATTRIBUTE = 2_000;

/** `el('button', {class: 'fnb-x', onclick: f}, 'text', child)`: functions listen, null and false set nothing. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : bounded(String(value), LONGEST_ATTRIBUTE));
    }
  }
  element.append(...present(children));
  return element;
}

/** The children that are there: what a condition left out is null, undefined or false. */
export function present(children: Child[]): (Node | string)[] {
  const isThere = (child: Child): child is Node | string => child !== null && child !== undefined && child !== false;
  return children.filter(isThere).map(child => (typeof child === 'string' ? bounded(child, LONGEST_TEXT) : child));
}

/** Sets an attribute unless it stands so already, which would cost the browser a look at its styles; null removes it. */
export function setOnce(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** An icon of 16 by 16 units; each shape is an SVG tag with its attributes. */
export function icon(name: string, ...shapes: [string, Record<string, string | number>][]): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', `fnb-icon ${name}`);
  svg.setAttribute('aria-hidden', 'true');
  for (const [tag, attributes] of shapes) {
    const shape = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, String(value));
    svg.append(shape);
  }
  return svg;
}

export const chevron = () => icon('fnb-chevron', ['path', {d: 'M6 4l4 4-4 4'}]);
/** Stands for a group. */
export const layers = () =>
  icon('fnb-layers', ['path', {d: 'M8 2.8l5.5 3L8 8.8l-5.5-3z'}], ['path', {d: 'M2.5 9.4l5.5 3 5.5-3'}]);
const copyIcon = () =>
  icon(
    'fnb-copy',
    ['rect', {x: 5.5, y: 5.5, width: 8, height: 8, rx: 1.5}],
    ['path', {d: 'M10.5 3.2v-.7H4A1.5 1.5 0 0 0 2.5 4v6.5h.7'}]
  );

/** A button that copies a text and says that it did. */
export function copyButton(text: () => string, title: string): HTMLButtonElement {
  const button = el('button', {class: 'fnb-button fnb-quiet', type: 'button', title, 'aria-label': title}, copyIcon());
  button.addEventListener('click', () => {
    void navigator.clipboard.writeText(text()).then(
      () => say(button, 'Copied'),
      () => say(button, 'Not allowed to copy')
    );
  });
  return button;
}

function say(button: HTMLButtonElement, words: string): void {
  const before = [...button.childNodes];
  button.replaceChildren(words);
  window.setTimeout(() => button.replaceChildren(...before), 1200);
}
