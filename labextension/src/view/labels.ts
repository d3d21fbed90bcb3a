/** What tells siblings apart: their inputs without the parts that all of them share. Pure: no DOM. */

const CUT = '…';
const OPENING = '([{';
const CLOSING = ')]}';

/** The parts of `x=1, y=[2, 3]`: what stands between commas that are in no bracket and no string. */
export function partsOf(label: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let depth = 0;
  let quote = '';
  for (let at = 0; at < label.length; at++) {
    const sign = label[at];
    if (quote !== '') {
      if (sign === '\\') at++;
      else if (sign === quote) quote = '';
    } else if (sign === '"' || sign === "'") quote = sign;
    else if (OPENING.includes(sign)) depth++;
    else if (CLOSING.includes(sign)) depth--;
    else if (depth === 0 && label.startsWith(', ', at)) {
      parts.push(label.slice(from, at));
      from = at + 2;
    }
  }
  parts.push(label.slice(from));
  return parts;
}

/** By position, the parts that these labels share; null where they differ. A part that was cut agrees with its whole. */
export function sharedParts(labels: readonly string[]): (string | null)[] {
  const [first, ...others] = labels.map(partsOf);
  return first.map((part, k) => (others.every(parts => agree(part, parts, k)) ? part : null));
}

/** The label without the shared parts; the whole of it where nothing else is left. */
export function distinct(label: string, shared: readonly (string | null)[]): string {
  const own = partsOf(label).filter((part, k) => shared[k] === undefined || !isSame(part, shared[k]));
  return own.length > 0 ? own.join(', ') : label;
}

function agree(part: string, parts: readonly string[], k: number): boolean {
  if (k < parts.length) return isSame(part, parts[k]);
  return parts[parts.length - 1].endsWith(CUT);
}

function isSame(part: string, other: string | null): boolean {
  if (other === null) return false;
  const cuts = [part, other].filter(text => text.endsWith(CUT)).map(text => text.length - 1);
  const length = Math.min(...cuts);
  return part.slice(0, length) === other.slice(0, length);
}
