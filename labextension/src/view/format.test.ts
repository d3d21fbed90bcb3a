import assert from 'node:assert/strict';
import test from 'node:test';
import {bytes, count, duration, instant, plural, ticks} from './format.js';

test('durations read as people say them', () => {
  const said = [0, 0.34, 4, 999.4, 999.6, 1234, 59_949, 59_950, 187_000, 3_599_600, 7_500_000].map(duration);
  const wanted = [
    '0 ms',
    '340 µs',
    '4 ms',
    '999 ms',
    '1.0 s',
    '1.2 s',
    '59.9 s',
    '1 min 00 s',
    '3 min 07 s',
    '1 h 00 min',
    '2 h 05 min'
  ];
  assert.deepEqual(said, wanted);
  assert.equal(duration(null), '–');
});

test('counts, sizes and plurals', () => {
  assert.deepEqual([count(10_000), plural(1, 'action'), plural(11, 'action')], ['10,000', '1 action', '11 actions']);
  assert.deepEqual([0, 999, 1500, 48_213, 3.2e9].map(bytes), ['0 B', '999 B', '1.5 kB', '48 kB', '3.2 GB']);
});

test('ticks are round and inside', () => {
  assert.deepEqual(ticks(0, 4180, 3), [0, 2000, 4000]);
  assert.deepEqual(ticks(130, 270, 3), [150, 200, 250]);
  assert.deepEqual(ticks(5, 5, 3), []);
});

test('instants show the digits that tell neighbours apart', () => {
  assert.deepEqual(
    [instant(0, 500), instant(500, 500), instant(1500, 500), instant(2000, 1000)],
    ['0', '500 ms', '1.5 s', '2 s']
  );
  assert.deepEqual(
    [instant(90_000, 30_000), instant(3_723_000, 60_000), instant(0.25, 0.05)],
    ['1:30', '1:02:03', '0.25 ms']
  );
});
