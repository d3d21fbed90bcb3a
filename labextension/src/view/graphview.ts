/**
 * The group graph on the screen: nodes with phase-count bars, dashed edges for calls, arrows for data.
 *
 * It fits its window until the reader zooms (Ctrl with the wheel, buttons, keys) or pans (dragging). Arrow keys go to
 * the nearest node in their direction. The node of the selected action is marked, and what went over its edges is
 * written on them.
 */
import {PHASES} from './document.js';
import {el, layers as layersIcon, present} from './dom.js';
import {count, duration, plural} from './format.js';
import {buildGraph, layOut, NODE_HEIGHT, NODE_WIDTH, type Graph, type GraphNode} from './graph.js';
import {edgeElement} from './graphedges.js';
import type {RunModel} from './model.js';
import type {Question} from './question.js';
import {BY_URGENCY, phaseIcon, phaseTone, phaseWord} from './phases.js';
import {Viewport} from './viewport.js';
import {zoomButtons} from './zoom.js';

const MARGIN = 16;
const LEAST_HEIGHT = 150;
const MOST_HEIGHT = 420;
const LEGEND_HEIGHT = 28;

export type Direction = 'left' | 'right' | 'up' | 'down';

let graphs = 0;

export class GraphView {
  readonly node = el('div', {class: 'fnb-graphpane'});
  readonly focusable = el('div', {
    class: 'fnb-graph',
    tabindex: 0,
    role: 'listbox',
    'aria-label': 'Graph of the run: tasks, calls and data'
  });
  /** The graph has no pages. */
  readonly page = 1;
  private readonly id = `fnb-graph-${++graphs}`;
  private readonly canvas = el('div', {class: 'fnb-graphcanvas', role: 'presentation'});
  private readonly legend = el('div', {class: 'fnb-legend'});
  private readonly viewport: Viewport;
  private graph: Graph = {nodes: [], edges: [], nodeOf: new Int32Array(), omitted: 0};
  private places: [number, number][] = [];
  private elements: HTMLElement[] = [];
  private edges: SVGSVGElement | null = null;
  private built = -1;
  private shape = '';
  private drawnEdges = '';
  private marked = -1;

  constructor(
    private readonly model: RunModel,
    private readonly data: Question,
    private readonly select: (item: number) => void,
    private readonly repaint: () => void
  ) {
    this.viewport = new Viewport(this.focusable, this.canvas);
    this.focusable.append(this.canvas);
    this.node.append(
      this.focusable,
      this.legend,
      zoomButtons({zoom: factor => this.zoom(factor), showAll: () => this.showAll()})
    );
    this.focusable.addEventListener('click', event => this.onClick(event));
  }

  /** Draws what changed. */
  update(selected: number, now: number): void {
    if (this.built !== this.model.version) this.rebuild();
    this.graph.nodes.forEach((node, k) => this.updateNode(this.elements[k], node, now));
    this.mark(this.nodeOfItem(selected));
    this.legend.replaceChildren(...this.legendWords());
    this.viewport.fitUnlessMoved();
  }

  zoom(factor: number): void {
    this.viewport.zoom(factor);
  }

  pan(direction: 1 | -1): void {
    this.viewport.pan(direction);
  }

  showAll(): void {
    this.viewport.showAll();
  }

  /** Brings the marked node into the window. */
  scrollTo(): void {
    const place = this.places[this.marked];
    if (place) this.viewport.reveal([place[0], place[1], NODE_WIDTH, NODE_HEIGHT]);
  }

  /** Selects the nearest node in a direction. */
  walk(direction: Direction): void {
    const from = this.places[this.marked];
    if (!from) return this.selectNode(0);
    const nearest = this.places
      .map(([x, y], id) => ({id, far: distance(direction, x - from[0], y - from[1])}))
      .filter(({far}) => far !== null)
      .sort((a, b) => (a.far as number) - (b.far as number));
    if (nearest.length > 0) this.selectNode(nearest[0].id);
  }

  private rebuild(): void {
    this.built = this.model.version;
    this.graph = buildGraph(this.model, this.model.flows);
    const {nodes, edges} = this.graph;
    const shape = JSON.stringify([
      this.model.doc.run,
      nodes.map(({parent, task, group}) => [parent, task, group]),
      edges.map(({from, to, kind}) => [from, to, kind])
    ]);
    if (shape === this.shape) return;
    this.shape = shape;
    this.layOut();
  }

  private layOut(): void {
    const layout = layOut(this.graph);
    this.places = layout.places;
    this.viewport.setContent(layout.width, layout.height, MARGIN, LEGEND_HEIGHT);
    this.elements = this.graph.nodes.map(({id}) => {
      const [x, y] = layout.places[id];
      const style = `left:${x}px;top:${y}px;width:${NODE_WIDTH}px;height:${NODE_HEIGHT}px`;
      return el('div', {class: 'fnb-node', role: 'option', id: `${this.id}-${id}`, 'data-node': id, style});
    });
    this.edges = edgeElement(this.graph.edges, layout);
    this.canvas.replaceChildren(this.edges, ...this.elements);
    this.marked = -1;
    this.drawnEdges = '';
    const wanted = layout.height + 2 * MARGIN + LEGEND_HEIGHT;
    this.node.style.setProperty('--fnb-content', `${Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, wanted))}px`);
  }

  private updateNode(element: HTMLElement, node: GraphNode, now: number): void {
    const phase = BY_URGENCY.find(one => node.counts[PHASES.indexOf(one)] > 0) ?? 'queued';
    const [from, to] = this.model.extent(node, now);
    const time = duration(node.rows.length === 1 ? this.model.durationOf(node.rows[0], now) : to - from);
    const clock = element.querySelector('.fnb-nodetime');
    const signature = JSON.stringify([phase, node.counts]);
    if (clock && element.dataset.drawn === signature) {
      clock.textContent = time;
      return;
    }
    element.dataset.drawn = signature;
    const task = this.model.doc.tasks[node.task] ?? '';
    const group = this.model.doc.groups[node.group] ?? '';
    const times = node.rows.length > 1 ? `×${count(node.rows.length)}` : '';
    const phases = PHASES.filter((_, k) => node.counts[k] > 0);
    const words = phases.map(one => `${count(node.counts[PHASES.indexOf(one)])} ${phaseWord(one)}`);
    element.title = [task, group && `group ${group}`, words.join(', ')].filter(Boolean).join('\n');
    element.ariaLabel = [this.model.shortTask(task), plural(node.rows.length, 'action'), ...words].join(', ');
    element.replaceChildren(
      el(
        'div',
        {class: 'fnb-nodehead'},
        phaseIcon(phase),
        el('span', {class: 'fnb-name'}, this.model.shortTask(task)),
        times !== '' && el('span', {class: 'fnb-times'}, times)
      ),
      el(
        'div',
        {class: 'fnb-nodefoot'},
        group !== '' && layersIcon(),
        el('span', {class: 'fnb-segments'}, ...this.segments(node)),
        el('span', {class: 'fnb-nodetime'}, time)
      )
    );
  }

  /** A bar of the phases, as wide as their counts. */
  private segments({counts}: GraphNode): HTMLElement[] {
    return BY_URGENCY.flatMap(phase => {
      const n = counts[PHASES.indexOf(phase)];
      return n > 0 ? [el('i', {class: `fnb-tone-${phaseTone(phase)}`, style: `flex-grow:${n}`})] : [];
    });
  }

  private nodeOfItem(item: number): number {
    const row = item >= 0 ? item : (this.model.fanOuts[-1 - item]?.rows[0] ?? -1);
    return this.graph.nodeOf[row] ?? -1;
  }

  private mark(id: number): void {
    const signature = `${id} ${this.built}`;
    if (signature === this.drawnEdges) return;
    this.drawnEdges = signature;
    this.marked = id;
    this.elements.forEach((element, k) => element.setAttribute('aria-selected', String(k === id)));
    if (id >= 0) this.focusable.setAttribute('aria-activedescendant', `${this.id}-${id}`);
    else this.focusable.removeAttribute('aria-activedescendant');
    this.edges?.querySelectorAll<SVGGElement>('g').forEach((group, k) => {
      const {from, to} = this.graph.edges[k];
      group.classList.toggle('fnb-marked', id >= 0 && (from === id || to === id));
    });
  }

  private legendWords(): (Node | string)[] {
    const data = this.graph.edges.filter(({kind}) => kind === 'data').length;
    const {trouble, isOpen} = this.data;
    const unknown = 'which outputs became inputs is not known here';
    const words = this.model.doc.elsewhere
      ? 'a backend does not tell which outputs became inputs'
      : trouble !== ''
        ? unknown
        : isOpen
          ? 'looking for data…'
          : data > 0
            ? ''
            : this.model.flowsAreWhole
              ? 'no output became an input'
              : unknown;
    return present([
      el('span', {class: 'fnb-key-call'}, 'calls'),
      data > 0 && el('span', {class: 'fnb-key-data'}, 'data'),
      words !== '' && el('span', {class: 'fnb-muted', title: trouble || null}, words),
      this.graph.omitted > 0 && el('span', {class: 'fnb-muted'}, `${plural(this.graph.omitted, 'action')} not drawn`)
    ]);
  }

  private onClick(event: MouseEvent): void {
    const id = (event.target as Element).closest<HTMLElement>('[data-node]')?.dataset.node;
    if (id !== undefined && !this.viewport.wasDragged) this.selectNode(Number(id));
  }

  /** Selects what the node stands for: its action, or the fan-out of its most urgent one. */
  private selectNode(id: number): void {
    const node = this.graph.nodes[id];
    if (!node) return;
    const [row] = this.model.byUrgency(node.rows);
    const fanOut = this.model.fanOut(row);
    this.select(fanOut.rows.length === 1 || node.rows.length === 1 ? row : -1 - fanOut.id);
    this.repaint();
    requestAnimationFrame(() => this.scrollTo());
  }
}

/** How far a place is in a direction, sideways counting double; null when it is not in that direction. */
function distance(direction: Direction, dx: number, dy: number): number | null {
  const [along, across] = {left: [-dx, dy], right: [dx, dy], up: [-dy, dx], down: [dy, dx]}[direction];
  return along > 1 ? along + 2 * Math.abs(across) : null;
}
