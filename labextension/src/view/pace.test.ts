import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Pace} from './pace.js';

test('a fan-out whose number is known gets an estimate once enough has ended', () => {
  const pace = new Pace();
  assert.equal(pace.words(0, 100, 0, 10), '0 of 100');
  assert.equal(pace.words(10, 100, 0, 1010), '10 of 100');
  assert.equal(pace.words(25, 100, 0, 2510), '25 of 100 · 10/s · about 8.0 s left');
  assert.equal(pace.words(100, 100, 0, 10_010), '100 of 100 · 10/s');
});

test('a run that calls one task after another gets none', () => {
  const pace = new Pace();
  for (let k = 1; k < 60; k++) assert.equal(pace.words(k - 1, k, 0, k * 1000), `${k - 1} of ${k}`);
});

test('what was reused before does not count as speed', () => {
  const pace = new Pace();
  pace.words(90, 100, 0, 0);
  assert.equal(pace.words(95, 100, 0, 5000), '95 of 100 · 1.0/s · about 5.0 s left');
});

test('a person who is asked cannot be estimated', () => {
  const pace = new Pace();
  pace.words(0, 10, 1, 0);
  assert.equal(pace.words(5, 10, 1, 5000), '5 of 10 · 1.0/s');
});

test('a run with nothing but its root says nothing', () => assert.equal(new Pace().words(0, 0, 0, 5000), ''));
