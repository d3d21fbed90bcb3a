/** How each phase looks: a word, an icon and a tone (a colour of the theme); never colour alone. */
import type {Phase} from './document.js';
import {icon} from './dom.js';

export type Tone = 'idle' | 'wait' | 'run' | 'ok' | 'warn' | 'bad';

interface Look {
  word: string;
  tone: Tone;
  /** `disc`: a filled circle with the glyph cut out; `ring`: an outline; `dots`: a dotted outline; `arc`: turns. */
  shape: 'disc' | 'ring' | 'dots' | 'arc';
  glyph: string;
}

/** The part of a ring that turns. */
const QUARTER = 'M8 2.25A5.75 5.75 0 0 1 13.75 8';

const LOOKS: Record<Phase, Look> = {
  queued: {word: 'queued', tone: 'idle', shape: 'dots', glyph: ''},
  waiting_for_resources: {word: 'waiting for resources', tone: 'wait', shape: 'ring', glyph: 'M8 5v3.2l2 1.3'},
  initializing: {word: 'initializing', tone: 'wait', shape: 'arc', glyph: ''},
  running: {word: 'running', tone: 'run', shape: 'arc', glyph: ''},
  paused: {word: 'paused', tone: 'warn', shape: 'ring', glyph: 'M6.5 5.8v4.4M9.5 5.8v4.4'},
  succeeded: {word: 'succeeded', tone: 'ok', shape: 'disc', glyph: 'M5.2 8.2l2 2 3.6-4'},
  failed: {word: 'failed', tone: 'bad', shape: 'disc', glyph: 'M5.9 5.9l4.2 4.2M10.1 5.9l-4.2 4.2'},
  aborted: {word: 'aborted', tone: 'warn', shape: 'disc', glyph: 'M6.2 6.2h3.6v3.6H6.2z'},
  timed_out: {word: 'timed out', tone: 'bad', shape: 'disc', glyph: 'M8 4.8v3.4l2.2 1.4'},
  recovered: {word: 'recovered', tone: 'ok', shape: 'ring', glyph: 'M5.2 8.2l2 2 3.6-4'}
};

/** Phases in the order in which a reader wants to hear of them. */
export const BY_URGENCY: readonly Phase[] = [
  ...(['failed', 'timed_out', 'aborted', 'running', 'paused'] as const),
  ...(['queued', 'waiting_for_resources', 'initializing', 'succeeded', 'recovered'] as const)
];

export function phaseWord(phase: Phase): string {
  return LOOKS[phase]?.word ?? phase;
}

export function phaseTone(phase: Phase): Tone {
  return LOOKS[phase]?.tone ?? 'idle';
}

export function phaseIcon(phase: Phase): SVGSVGElement {
  const {shape, glyph, tone} = LOOKS[phase] ?? LOOKS.queued;
  const shapes: Parameters<typeof icon>[1][] = [
    ['circle', {cx: 8, cy: 8, r: shape === 'disc' ? 6.5 : 5.75, class: 'fnb-shape'}]
  ];
  if (shape === 'arc') shapes.push(['path', {d: QUARTER, class: 'fnb-glyph'}]);
  if (glyph) shapes.push(['path', {d: glyph, class: 'fnb-glyph'}]);
  return icon(`fnb-phase fnb-${shape} fnb-tone-${tone}`, ...shapes);
}

/** The same icon on a canvas, centred at (x, y). */
export function paintPhase(
  context: CanvasRenderingContext2D,
  phase: Phase,
  x: number,
  y: number,
  size: number,
  color: string,
  bg: string
): void {
  const {shape, glyph} = LOOKS[phase] ?? LOOKS.queued;
  context.save();
  context.translate(x - size / 2, y - size / 2);
  context.scale(size / 16, size / 16);
  context.lineWidth = 1.8;
  context.lineCap = 'round';
  context.fillStyle = context.strokeStyle = color;
  context.beginPath();
  context.arc(8, 8, shape === 'disc' ? 6.5 : 5.75, 0, 2 * Math.PI);
  if (shape === 'dots') context.setLineDash([0.1, 3.51]);
  if (shape === 'arc') context.globalAlpha = 0.3;
  if (shape === 'disc') context.fill();
  else context.stroke();
  context.globalAlpha = 1;
  context.setLineDash([]);
  if (shape === 'arc') context.stroke(new Path2D(QUARTER));
  if (shape === 'disc') context.strokeStyle = bg;
  if (glyph) context.stroke(new Path2D(glyph));
  context.restore();
}
