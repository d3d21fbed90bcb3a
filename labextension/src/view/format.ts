/** Numbers as people read them. */

/** `340 µs`, `4 ms`, `1.2 s`, `3 min 07 s`, `2 h 05 min`; `–` for an unknown duration. */
export function duration(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return '–';
  if (ms < 0) return '0 ms';
  if (ms > 0 && ms < 1) return `${Math.max(1, Math.round(ms * 1000))} µs`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** `10,000` */
export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** `1 action`, `11 actions` */
export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** `512 B`, `1.5 kB`, `3.2 MB`: decimal, as file managers show it. */
export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  let value = n;
  for (const unit of ['kB', 'MB', 'GB', 'TB']) {
    value /= 1000;
    if (value < 999.5 || unit === 'TB') return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${n} B`;
}

/** `14:02:11` in the reader's time zone, with the date unless it is today. */
export function moment(epochMs: number): string {
  const at = new Date(epochMs);
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${time}`;
}

/** About `wanted` round instants in `[from, to]` (1, 2 or 5 times a power of ten apart), in milliseconds. */
export function ticks(from: number, to: number, wanted: number): number[] {
  const span = to - from;
  if (!(span > 0) || wanted < 1) return [];
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(candidate => candidate >= rough) as number;
  const instants: number[] = [];
  for (let k = Math.ceil(from / step); k * step <= to; k++) instants.push(k * step);
  return instants;
}

/** An instant on an axis whose neighbours are `step` apart: `0`, `250 ms`, `2.5 s`, `1:30`. */
export function instant(ms: number, step: number): string {
  if (ms === 0) return '0';
  if (step < 0.9995) return `${trimmed(ms, step)} ms`;
  if (Math.abs(ms) < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 60_000 || step < 1000) return `${trimmed(ms / 1000, step / 1000)} s`;
  const whole = Math.round(ms / 1000);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${pad(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(whole % 60)}`;
}

function trimmed(value: number, step: number): string {
  return value.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
}

function pad(n: number): string {
  return String(n).padStart(2, '0');
}

/** The beginning of a text that is longer than the page can bear, with what is missing. */
export function bounded(text: string, longest: number): string {
  const missing = text.length - longest;
  return missing <= 0 ? text : `${text.slice(0, longest)}… (${count(missing)} more characters)`;
}
