/** Terminal text as styled pieces: colours and weights are read, other control sequences dropped. Pure: no DOM. */

export interface Piece {
  text: string;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  /** A name of the sixteen (`red`, `bright-red`), or `rgb(...)`; null for the default. */
  color: string | null;
  background: string | null;
}

const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
const CONTROL = new RegExp(
  [
    /\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])/, // CSI: parameters and final letter
    /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?/, // OSC: titles, links
    /\x1b[@-Z\\-_]?/, // other escapes
    /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/ // other controls
  ]
    .map(part => part.source)
    .join('|'),
  'g'
);
const PLAIN = {bold: false, dim: false, italic: false, underline: false, color: null, background: null};

export function parseAnsi(text: string): Piece[] {
  const pieces: Piece[] = [];
  let style: Omit<Piece, 'text'> = {...PLAIN};
  let from = 0;
  const push = (to: number) => {
    if (to > from) pieces.push({...style, text: text.slice(from, to)});
  };
  for (const match of text.matchAll(CONTROL)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === 'm') style = restyled(style, match[1].split(/[;:]/).map(Number));
  }
  push(text.length);
  return pieces;
}

export function stripAnsi(text: string): string {
  return text.replace(CONTROL, '');
}

function restyled(before: Omit<Piece, 'text'>, codes: number[]): Omit<Piece, 'text'> {
  let style = {...before};
  for (let k = 0; k < codes.length; k++) {
    const code = codes[k];
    if (code === 0) style = {...PLAIN};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 39) style.color = null;
    else if (code === 49) style.background = null;
    else if (code >= 30 && code <= 37) style.color = NAMES[code - 30];
    else if (code >= 90 && code <= 97) style.color = `bright-${NAMES[code - 90]}`;
    else if (code >= 40 && code <= 47) style.background = NAMES[code - 40];
    else if (code >= 100 && code <= 107) style.background = `bright-${NAMES[code - 100]}`;
    else if (code === 38 || code === 48) {
      const extended = codes[k + 1] === 5 ? indexed(codes[k + 2]) : rgb(codes.slice(k + 2, k + 5));
      k += codes[k + 1] === 5 ? 2 : 4;
      if (code === 38) style.color = extended;
      else style.background = extended;
    }
  }
  return style;
}

/** One of the 256 colours: the sixteen, a cube of 6 by 6 by 6, 24 greys. */
function indexed(n: number): string | null {
  if (!(n >= 0 && n <= 255)) return null;
  if (n < 8) return NAMES[n];
  if (n < 16) return `bright-${NAMES[n - 8]}`;
  if (n >= 232) return rgb(new Array<number>(3).fill(8 + 10 * (n - 232)));
  const level = (digit: number) => (digit === 0 ? 0 : 55 + 40 * digit);
  return rgb([level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6)]);
}

function rgb(channels: number[]): string | null {
  const valid = channels.length === 3 && channels.every(channel => channel >= 0 && channel <= 255);
  return valid ? `rgb(${channels.join(', ')})` : null;
}
