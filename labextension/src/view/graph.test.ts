import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Flow} from './document.js';
import {buildGraph, layOut, MOST_NODES, NODE_HEIGHT, NODE_WIDTH} from './graph.js';
import {RunModel} from './model.js';
import {runDocument, siblings, type Row} from './testing.js';

const graphOf = (rows: Row[], flows: Flow[] = []) => buildGraph(new RunModel(runDocument(rows)), flows);

test('actions of one task under one parent are a node that counts their phases', () => {
  const graph = graphOf([...siblings(30, k => ({phase: k < 4 ? 'failed' : 'succeeded'})), {name: 'x', task: 2}]);
  assert.deepEqual(
    graph.nodes.map(({rows}) => rows.length),
    [1, 30, 1]
  );
  assert.deepEqual([graph.nodes[1].counts[5], graph.nodes[1].counts[6]], [26, 4]);
  assert.equal(graph.nodeOf[3], 1);
});

test('parents of the same node share the nodes of their children; groups have their own', () => {
  const rows = [{name: 'p'}, {name: 'q'}, {name: 'c', parent: 1, task: 2}, {name: 'd', parent: 2, task: 2}];
  assert.equal(graphOf(rows).nodes.length, 3);
  assert.equal(graphOf([...rows, {name: 'e', parent: 1, task: 2, group: 0}]).nodes.length, 4);
});

test('flows between actions of the same nodes are one edge with all that went over it', () => {
  const flows: Flow[] = [
    ['s0', 'o0', 'x', 'parts', 3],
    ['s1', 'o1', 'x', 'rest', 1],
    ['gone', 'o0', 'x', 'parts', 1]
  ];
  const {edges} = graphOf([...siblings(3), {name: 'x', task: 2}], flows);
  const data = edges.filter(({kind}) => kind === 'data');
  assert.equal(data.length, 1);
  assert.deepEqual(
    data[0].values.map(({input, count}) => [input, count]),
    [
      ['parts', 3],
      ['rest', 1]
    ]
  );
});

test('a node stands right of its parent and of what its data came from', () => {
  const graph = graphOf([{name: 'a'}, {name: 'b', task: 2}], [['a', 'o0', 'b', 'x', 1]]);
  const {places} = layOut(graph);
  assert.ok(places[0][0] < places[1][0] && places[1][0] < places[2][0]);
});

test('data that goes back in a loop moves nothing', () => {
  const rows: Row[] = [{name: 'a'}, {name: 'b', task: 2}];
  const flows: Flow[] = [
    ['b', 'o0', 'a', 'x', 1],
    ['a', 'o0', 'a', 'x', 2]
  ];
  const {places} = layOut(graphOf(rows, flows));
  assert.equal(places[1][0], places[2][0]);
});

test('no two nodes overlap, and all lie within the size', () => {
  const tasks = Array.from({length: 40}, (_, k) => `env.t${k}`);
  const rows: Row[] = tasks.map((_, k) => ({name: `r${k}`, task: k, parent: k % 7 === 0 ? 0 : Math.floor(k / 2)}));
  const graph = buildGraph(new RunModel(runDocument(rows, {tasks})), [['r3', 'o0', 'r30', 'x', 1]]);
  const {places, width, height} = layOut(graph);
  for (const [x, y] of places) {
    assert.ok(x >= 0 && y >= 0 && x + NODE_WIDTH <= width && y + NODE_HEIGHT <= height + 1e-6);
  }
  places.forEach(([x, y], k) =>
    places.slice(k + 1).forEach(([x2, y2]) => assert.ok(x !== x2 || Math.abs(y - y2) >= NODE_HEIGHT))
  );
});

test('a program of more nodes than can be read is cut, and what is left out counted', () => {
  const rows = Array.from({length: 1000}, (_, k) => ({name: `r${k}`, parent: k}));
  const graph = graphOf(rows);
  assert.equal(graph.nodes.length, MOST_NODES);
  assert.equal(graph.omitted, 1001 - MOST_NODES);
});
