/**
 * The group graph: one node for each task under each parent's node, and two kinds of edges, of calls and of data.
 *
 *     rows --buildGraph--> nodes and edges --layOut--> places
 *
 * Ten thousand parents of the same node make one node: a graph is as large as the program, not as the run. Pure: no DOM.
 */
import {PHASES, type Flow} from './document.js';
import type {RunModel} from './model.js';

/** More nodes than this are not drawn: a program whose tasks call each other deeply. */
export const MOST_NODES = 400;
export const NODE_WIDTH = 148;
export const NODE_HEIGHT = 44;
const LAYER_GAP = 76;
const NODE_GAP = 16;
/** The room that an edge takes where it passes a layer. */
const LANE_HEIGHT = 12;
const SWEEPS = 6;

export interface GraphNode {
  id: number;
  /** The node of the parent, -1 of the root. */
  parent: number;
  task: number;
  group: number;
  rows: number[];
  /** How many of its actions are in each phase, by index into PHASES. */
  counts: number[];
}

export interface GraphEdge {
  from: number;
  to: number;
  kind: 'call' | 'data';
  /** Of data: which outputs became which inputs, and how many values; of a call empty. */
  values: {output: string; input: string; count: number}[];
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  /** Index of the node of every row, -1 of rows that are not drawn. */
  nodeOf: Int32Array;
  /** Rows of tasks beyond the bound. */
  omitted: number;
}

export function buildGraph(model: RunModel, flows: readonly Flow[]): Graph {
  const {parent, task, group, phase} = model.doc.actions;
  const nodes: GraphNode[] = [];
  const nodeOf = new Int32Array(model.size).fill(-1);
  const known = new Map<number, number>();
  const [groups, tasks] = [model.doc.groups.length + 1, model.doc.tasks.length];
  let omitted = 0;
  for (let row = 0; row < model.size; row++) {
    const above = parent[row] >= 0 ? nodeOf[parent[row]] : -1;
    const key = ((above + 1) * groups + group[row] + 1) * tasks + task[row];
    let id = known.get(key);
    if (id === undefined && nodes.length < MOST_NODES && (above >= 0 || row === 0)) {
      id = nodes.length;
      known.set(key, id);
      const counts = new Array<number>(PHASES.length).fill(0);
      nodes.push({id, parent: above, task: task[row], group: group[row], rows: [], counts});
    }
    if (id === undefined) {
      omitted++;
      continue;
    }
    nodes[id].rows.push(row);
    nodes[id].counts[phase[row]]++;
    nodeOf[row] = id;
  }
  return {nodes, edges: [...callEdges(nodes), ...dataEdges(model, flows, nodeOf)], nodeOf, omitted};
}

function callEdges(nodes: readonly GraphNode[]): GraphEdge[] {
  const called = nodes.filter(({parent}) => parent >= 0);
  return called.map(({id, parent}) => ({from: parent, to: id, kind: 'call', values: []}));
}

function dataEdges(model: RunModel, flows: readonly Flow[], nodeOf: Int32Array): GraphEdge[] {
  const edges = new Map<string, GraphEdge>();
  for (const [source, output, target, input, count] of flows) {
    const from = nodeOf[model.rowOf(source)] ?? -1;
    const to = nodeOf[model.rowOf(target)] ?? -1;
    if (from < 0 || to < 0) continue;
    const key = `${from}/${to}`;
    let edge = edges.get(key);
    if (!edge) edges.set(key, (edge = {from, to, kind: 'data', values: []}));
    edge.values.push({output, input, count});
  }
  return [...edges.values()];
}

/** Where everything stands, in pixels from the upper left corner. */
export interface Layout {
  /** Upper left corners, by node. */
  places: [x: number, y: number][];
  /** For each edge the points that it goes through. */
  paths: [x: number, y: number][][];
  width: number;
  height: number;
}

/** A node, or a lane in which an edge passes a layer. */
interface Stop {
  height: number;
  y: number;
  before: number[];
  after: number[];
}

/**
 * In layers from left to right: a node stands right of its parent and of what its data came from. An edge over several
 * layers gets a lane in each, and everything moves towards its neighbours without overlapping.
 */
export function layOut(graph: Graph): Layout {
  const layers = layersOf(graph);
  const stops: Stop[] = graph.nodes.map(() => ({height: NODE_HEIGHT, y: 0, before: [], after: []}));
  const columns: number[][] = [];
  graph.nodes.forEach(({id}) => (columns[layers[id]] ??= []).push(id));
  const chains = graph.edges.map(edge => chain(edge, layers, stops, columns));
  order(columns, stops);
  place(columns, stops);
  const top = Math.min(...stops.map(({y}) => y));
  const xOf = (layer: number) => layer * (NODE_WIDTH + LAYER_GAP);
  const places = graph.nodes.map(({id}): [number, number] => [xOf(layers[id]), stops[id].y - top]);
  const middle = (stop: number) => stops[stop].y - top + stops[stop].height / 2;
  const paths = graph.edges.map(({from, to}, k): [number, number][] => [
    [xOf(layers[from]) + NODE_WIDTH, middle(from)],
    ...chains[k].flatMap((stop, step): [number, number][] => {
      const x = xOf(layers[from] + step + 1);
      return [
        [x, middle(stop)],
        [x + NODE_WIDTH, middle(stop)]
      ];
    }),
    [xOf(layers[to]), middle(to)]
  ]);
  return {
    places,
    paths,
    width: columns.length * (NODE_WIDTH + LAYER_GAP) - LAYER_GAP,
    height: Math.max(...stops.map(({y, height}) => y + height)) - top
  };
}

/** Whether an edge goes to what was called later; the others, of loops, do not move anything. */
export function isForward({from, to}: GraphEdge): boolean {
  return from < to;
}

function layersOf({nodes, edges}: Graph): number[] {
  const layers = new Array<number>(nodes.length).fill(0);
  const incoming: number[][] = nodes.map(() => []);
  for (const edge of edges) if (isForward(edge)) incoming[edge.to].push(edge.from);
  // A node is numbered after all that it can come from.
  for (const {id} of nodes) layers[id] = Math.max(-1, ...incoming[id].map(from => layers[from])) + 1;
  return layers;
}

/** Gives an edge its lanes; returns them. */
function chain(edge: GraphEdge, layers: number[], stops: Stop[], columns: number[][]): number[] {
  if (!isForward(edge)) return [];
  const lanes: number[] = [];
  let last = edge.from;
  const link = (stop: number) => {
    stops[last].after.push(stop);
    stops[stop].before.push(last);
    last = stop;
  };
  for (let layer = layers[edge.from] + 1; layer < layers[edge.to]; layer++) {
    const lane = stops.push({height: LANE_HEIGHT, y: 0, before: [], after: []}) - 1;
    columns[layer].push(lane);
    lanes.push(lane);
    link(lane);
  }
  link(edge.to);
  return lanes;
}

/** Sorts every column by the mean place of the neighbours, forwards and backwards: few edges cross. */
function order(columns: number[][], stops: Stop[]): void {
  const rank = new Array<number>(stops.length).fill(0);
  const renumber = (column: number[]) => column.forEach((stop, k) => (rank[stop] = k));
  columns.forEach(renumber);
  const sort = (column: number[], side: 'before' | 'after') => {
    const meanOf = (stop: number) => average(stops[stop][side].map(other => rank[other])) ?? rank[stop];
    const mean = new Map(column.map(stop => [stop, meanOf(stop)]));
    column.sort((a, b) => (mean.get(a) as number) - (mean.get(b) as number));
    renumber(column);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    columns.forEach(column => sort(column, 'before'));
    [...columns].reverse().forEach(column => sort(column, 'after'));
  }
  columns.forEach(column => sort(column, 'before'));
}

/** Moves every stop towards the middle of its neighbours, as far as its column has room. */
function place(columns: number[][], stops: Stop[]): void {
  const settle = (column: number[], wanted: (stop: number) => number) => {
    let free = -Infinity;
    let shift = 0;
    for (const stop of column) {
      const y = wanted(stop) - stops[stop].height / 2;
      stops[stop].y = Math.max(y, free);
      shift += stops[stop].y - y;
      free = stops[stop].y + stops[stop].height + NODE_GAP;
    }
    for (const stop of column) stops[stop].y -= shift / column.length;
  };
  const middle = (stop: number) => stops[stop].y + stops[stop].height / 2;
  columns.forEach(column => settle(column, () => 0));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const side of ['before', 'after'] as const) {
      const swept = side === 'before' ? columns : [...columns].reverse();
      swept.forEach(column => settle(column, stop => average(stops[stop][side].map(middle)) ?? middle(stop)));
    }
  }
}

function average(values: number[]): number | null {
  return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}
