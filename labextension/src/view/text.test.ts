import assert from 'node:assert/strict';
import test from 'node:test';
import {parseAnsi, stripAnsi} from './ansi.js';
import {tokenize} from './python.js';

const ESC = '\x1b';

test('colours and weights of terminal text are read', () => {
  const [plain, red, bold, reset] = parseAnsi(`a${ESC}[31mb${ESC}[1mc${ESC}[0md`);
  assert.deepEqual(
    [plain.color, red.color, bold.color, bold.bold, reset.color, reset.bold],
    [null, 'red', 'red', true, null, false]
  );
  assert.equal(parseAnsi(`${ESC}[94mx`)[0].color, 'bright-blue');
  assert.equal(parseAnsi(`${ESC}[38;5;208mx`)[0].color, 'rgb(255, 135, 0)');
  assert.equal(parseAnsi(`${ESC}[48;2;1;2;3mx`)[0].background, 'rgb(1, 2, 3)');
});

test('control sequences other than styles are dropped', () => {
  const text = `${ESC}[2J${ESC}[1;1Ha${ESC}]0;title\x07b${ESC}[?25lc\x00\x08d${ESC}`;
  assert.equal(stripAnsi(text), 'abcd');
  assert.equal(
    parseAnsi(text)
      .map(piece => piece.text)
      .join(''),
    'abcd'
  );
});

test('a broken colour is no colour', () => {
  assert.equal(parseAnsi(`${ESC}[38;5;999mx`)[0].color, null);
  assert.equal(parseAnsi(`${ESC}[38;2;1mx`)[0].color, null);
});

test('the tokens of a source are the whole source', () => {
  const source =
    '@env.task\nasync def fit(x: int = 3) -> str:\n    """Doc\n    string."""\n    return f"é{x}" + \'open\n# end';
  const tokens = tokenize(source);
  assert.equal(tokens.map(token => token.text).join(''), source);
  const kinds = Object.fromEntries(tokens.filter(token => token.kind).map(token => [token.text.trim(), token.kind]));
  assert.deepEqual(
    [kinds['@env.task'], kinds['async'], kinds['fit'], kinds['3'], kinds['f"é{x}"'], kinds['# end']],
    ['decorator', 'keyword', 'definition', 'number', 'string', 'comment']
  );
});
