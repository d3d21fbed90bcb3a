import assert from 'node:assert/strict';
import test from 'node:test';
import {controlOf, fits, memberOf, mistake, nameOf, optional, parsed, resolved, type Schema} from './schema.js';

const ROOT: Schema = {
  $defs: {
    Inner: {title: 'Inner', type: 'object', properties: {lr: {type: 'number'}}, required: ['lr']},
    Color: {title: 'Color', type: 'string', enum: ['red', 'blue']}
  }
};
const INNER: Schema = {$ref: '#/$defs/Inner'};

test('a reference means what it points to, with what stands beside it', () => {
  assert.equal(resolved({$ref: '#/$defs/Color', description: 'its colour'}, ROOT).description, 'its colour');
  assert.equal(controlOf(INNER, ROOT), 'record');
  assert.equal(nameOf(INNER, ROOT), 'Inner');
  assert.equal(nameOf({anyOf: [INNER, {type: 'null'}], title: 'Its Title'}, ROOT), 'Inner | None');
});

test('each kind of schema has its control', () => {
  const kinds: [Schema, string][] = [
    [{type: 'integer'}, 'integer'],
    [{type: 'string', format: 'date-time'}, 'text'],
    [{enum: [1, 2], type: 'integer'}, 'choice'],
    [{items: {type: 'integer'}, type: 'array'}, 'list'],
    [{prefixItems: [{type: 'integer'}], type: 'array'}, 'tuple'],
    [{additionalProperties: {type: 'number'}, type: 'object'}, 'table'],
    [{anyOf: [{type: 'integer'}, {type: 'string'}]}, 'union'],
    [{type: 'object', properties: {path: {type: 'string'}}, 'x-flyte-type': 'file'}, 'path'],
    [{}, 'json']
  ];
  for (const [schema, kind] of kinds) assert.equal(controlOf(schema, ROOT), kind);
});

test('one input can say a number or None, but not a text or None', () => {
  assert.deepEqual(optional({anyOf: [{type: 'number'}, {type: 'null'}]}, ROOT), {type: 'number'});
  assert.equal(optional({anyOf: [{type: 'string'}, {type: 'null'}]}, ROOT), null);
});

test('a value picks the member of a union that it is of', () => {
  const members: Schema[] = [{type: 'integer'}, {type: 'string'}, INNER];
  assert.equal(memberOf('x', members, ROOT), 1);
  assert.equal(memberOf({lr: 0.1}, members, ROOT), 2);
  assert.equal(memberOf(undefined, members, ROOT), 0);
  assert.equal(fits({other: 1}, INNER, ROOT), false);
});

test('a text is read as its kind, and left to the kernel where a number would lose digits', () => {
  assert.equal(parsed(' 3 ', 'integer'), 3);
  assert.equal(parsed('12345678901234567890', 'integer'), '12345678901234567890');
  assert.equal(parsed('three', 'integer'), 'three');
  assert.equal(parsed('', 'number'), undefined);
  assert.equal(parsed('', 'text'), '');
  assert.deepEqual(parsed('a.csv', 'path'), {path: 'a.csv'});
  assert.deepEqual(parsed('[1, 2]', 'json'), [1, 2]);
});

test('what is plainly wrong is said without the kernel', () => {
  assert.equal(mistake('three', 'integer'), 'A whole number is needed.');
  assert.equal(mistake('1.5', 'integer'), 'A whole number is needed.');
  assert.equal(mistake('1.5e3', 'number'), '');
  assert.equal(mistake('nan', 'number'), '');
});
