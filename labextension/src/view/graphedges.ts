/** The edges of the group graph as SVG. What went over an edge is its title; its label while a node of it is marked. */
import {count} from './format.js';
import {isForward, NODE_HEIGHT, NODE_WIDTH, type GraphEdge, type Layout} from './graph.js';

const SVG = 'http://www.w3.org/2000/svg';
/** How far below its nodes an edge goes back. */
const LOOP_DEPTH = 34;
/** How far it swings out at either end. */
const LOOP_WIDTH = 40;
/** Lines of a label; an edge over which more went says how many. */
const LABEL_LINES = 3;

export function edgeElement(edges: readonly GraphEdge[], {paths, places, width, height}: Layout): SVGSVGElement {
  const svg = shape('svg', {class: 'fnb-edges', width, height, 'aria-hidden': 'true'});
  edges.forEach((edge, k) => {
    const group = shape('g', {class: `fnb-edge fnb-edge-${edge.kind}`});
    const path = isForward(edge) ? through(paths[k]) : back(places[edge.from], places[edge.to]);
    const words = edge.values.map(({output, input, count: n}) => `${output} → ${input}${times(n)}`);
    const title = shape('title', {});
    title.textContent = words.join('\n');
    group.append(title, shape('path', {d: path, class: 'fnb-edgeline'}));
    if (edge.kind === 'data') {
      const [x, y] = isForward(edge) ? (paths[k].at(-1) as [number, number]) : entry(places[edge.to]);
      group.append(shape('path', {d: `M${x - 7} ${y - 4}L${x} ${y}l-7 4`, class: 'fnb-arrow'}));
      group.append(...label(words, isForward(edge) ? halfway(paths[k]) : below(places[edge.from], places[edge.to])));
    }
    svg.append(group);
  });
  return svg;
}

function times(n: number): string {
  return n > 1 ? ` ×${count(n)}` : '';
}

function label(words: string[], [x, y]: [number, number]): SVGElement[] {
  const more = words.length - LABEL_LINES + 1;
  const shown = more > 1 ? [...words.slice(0, LABEL_LINES - 1), `and ${more} more`] : words;
  return shown.map((text, k) => {
    const line = shape('text', {x, y: y - 5 - 13 * (shown.length - 1 - k)});
    line.textContent = text;
    return line;
  });
}

/** A smooth line through the points. */
function through(points: [number, number][]): string {
  const [[x0, y0], ...others] = points;
  let [x, y] = [x0, y0];
  const curves = others.map(([x2, y2]) => {
    const middle = (x + x2) / 2;
    const curve = `C${middle} ${y} ${middle} ${y2} ${x2} ${y2}`;
    [x, y] = [x2, y2];
    return curve;
  });
  return `M${x0} ${y0}${curves.join('')}`;
}

/** An edge that goes back, or to its own node: under the nodes. */
function back(from: [number, number], to: [number, number]): string {
  const [x, y] = [from[0] + NODE_WIDTH, from[1] + NODE_HEIGHT / 2];
  const [x2, y2] = entry(to);
  const [, depth] = below(from, to);
  const down = `C${x + LOOP_WIDTH} ${y} ${x + LOOP_WIDTH} ${depth} ${x} ${depth}`;
  const up = `C${x2 - LOOP_WIDTH} ${depth} ${x2 - LOOP_WIDTH} ${y2} ${x2} ${y2}`;
  return `M${x} ${y}${down}L${x2} ${depth}${up}`;
}

function entry([x, y]: [number, number]): [number, number] {
  return [x, y + NODE_HEIGHT / 2];
}

function halfway(points: [number, number][]): [number, number] {
  const k = Math.floor((points.length - 1) / 2);
  const [[x, y], [x2, y2]] = [points[k], points[k + 1]];
  return [(x + x2) / 2, (y + y2) / 2];
}

function below(from: [number, number], to: [number, number]): [number, number] {
  return [(from[0] + NODE_WIDTH + to[0]) / 2, Math.max(from[1], to[1]) + NODE_HEIGHT / 2 + LOOP_DEPTH];
}

function shape<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
