/** What makes a cell a task: the text of its first line. Pure: no DOM. */

/** A cell that runs as a task; what follows the words are its options. */
const TASK = /^%%flyte[ \t]+run\b[^\n]*(\n|$)/;
const OTHER_MAGIC = /^\s*%%/;
const LOADS = /^\s*%(load_ext|reload_ext)[ \t]+flyte_nb\b/m;

/** The text that stands in place of the first `length` characters; `isOn` where the cell becomes a task by that. */
export interface Change {
  length: number;
  text: string;
  isOn: boolean;
}

/** Turns a cell into a task, or back; null for a cell of another language. */
export function toggled(source: string, options: string): Change | null {
  const first = TASK.exec(source);
  if (first) return {length: first[0].length, text: '', isOn: false};
  if (OTHER_MAGIC.test(source)) return null;
  return {length: 0, text: `${['%%flyte run', options.trim()].filter(Boolean).join(' ')}\n`, isOn: true};
}

/** Where a cell that loads the extension belongs: before the first code; -1 where there is one already. */
export function loadPlace(cells: readonly {type: string; source: string}[]): number {
  const code = cells.filter(({type}) => type === 'code');
  if (code.some(({source}) => LOADS.test(source))) return -1;
  return Math.max(
    0,
    cells.findIndex(({type}) => type === 'code')
  );
}
