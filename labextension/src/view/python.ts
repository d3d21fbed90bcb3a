/** Python source as coloured pieces: enough of the language to read a task by. Pure: no DOM. */

export interface Token {
  text: string;
  /** null for plain text. */
  kind: 'keyword' | 'string' | 'comment' | 'number' | 'decorator' | 'definition' | null;
}

const KEYWORDS =
  'False None True and as assert async await break class continue def del elif else except finally for from global ' +
  'if import in is lambda nonlocal not or pass raise return try while with yield';
const KEYWORD = new Set(KEYWORDS.split(' '));
const STRING = [/"""[^]*?(?:"""|$)/, /'''[^]*?(?:'''|$)/, /"(?:\\.|[^"\\\n])*"?/, /'(?:\\.|[^'\\\n])*'?/];
const TOKEN = new RegExp(
  [
    /(#[^\n]*)/.source,
    `((?:\\b[rRbBuUfFtT]{1,2})?(?:${STRING.map(form => form.source).join('|')}))`,
    /(^[ \t]*@[\w.]+)/.source,
    /(\b(?:0[xXoObB][\da-fA-F_]+|\d[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?j?)\b)/.source,
    /([^\W\d]\w*)/.source
  ].join('|'),
  'gm'
);

export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let from = 0;
  let previous = '';
  const plain = (to: number) => {
    if (to > from) tokens.push({text: source.slice(from, to), kind: null});
  };
  for (const match of source.matchAll(TOKEN)) {
    const [text, comment, string, decorator, number, word] = match;
    const kind: Token['kind'] = comment
      ? 'comment'
      : string
        ? 'string'
        : decorator
          ? 'decorator'
          : number
            ? 'number'
            : KEYWORD.has(word)
              ? 'keyword'
              : previous === 'def' || previous === 'class'
                ? 'definition'
                : null;
    previous = word ?? '';
    if (kind === null) continue;
    plain(match.index);
    tokens.push({text, kind});
    from = match.index + text.length;
  }
  plain(source.length);
  return tokens;
}
