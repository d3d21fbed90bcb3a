import assert from 'node:assert/strict';
import test from 'node:test';
import {TimeScale} from './timescale.js';

function scaleOf(span: number): TimeScale {
  const scale = new TimeScale();
  scale.fit(span, 100, 200);
  return scale;
}

test('zooming leaves the instant under the pointer where it is', () => {
  const scale = scaleOf(1000);
  scale.zoom(150, 4);
  assert.deepEqual(scale.shown, [187.5, 437.5]);
  assert.equal(scale.x(250), 150);
});

test('zooming out ends at the whole run, which then grows with it', () => {
  const scale = scaleOf(1000);
  scale.zoom(150, 4);
  scale.zoom(150, 0.1);
  assert.equal(scale.isZoomed, false);
  scale.fit(2000, 100, 200);
  assert.deepEqual(scale.shown, [0, 2000]);
});

test('panning stops at the ends', () => {
  const scale = scaleOf(1000);
  scale.zoom(200, 2);
  scale.pan(10_000);
  assert.deepEqual(scale.shown, [500, 1000]);
  scale.pan(-10_000);
  assert.deepEqual(scale.shown, [0, 500]);
});
