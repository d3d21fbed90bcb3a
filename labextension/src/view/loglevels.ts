/** The level of a line of output, as Python's logging, warnings and tracebacks write it. Pure: no DOM. */
import {stripAnsi} from './ansi.js';

export type Level = 'error' | 'warning' | 'info' | 'debug';

const RANKS: Record<Level, number> = {debug: 0, info: 1, warning: 2, error: 3};
/** A level stands near the beginning of a line, after a time and a name. */
const HEAD_CHARACTERS = 120;
const FORMS: [Level, RegExp][] = [
  ['error', /\b(ERROR|CRITICAL|FATAL)\b|^Traceback \(most recent call last\)|^[\w.]*(Error|Exception): /],
  ['warning', /\bWARN(ING)?\b|\b\w*Warning: /],
  ['info', /\bINFO\b/],
  ['debug', /\bDEBUG\b/]
];

/** null where the line does not say. */
export function levelOf(text: string): Level | null {
  const head = stripAnsi(text.slice(0, 4 * HEAD_CHARACTERS)).slice(0, HEAD_CHARACTERS);
  return FORMS.find(([, form]) => form.test(head))?.[0] ?? null;
}

export function isAtLeast(level: Level | null, least: Level): boolean {
  return level !== null && RANKS[level] >= RANKS[least];
}
