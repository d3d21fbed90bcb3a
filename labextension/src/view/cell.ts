/** What one cell shows: the explorer of one run and, where the cell started several, the list to pick it from. */
import type {Port, RunDocument} from './document.js';
import {el} from './dom.js';
import {Explorer} from './explorer.js';
import {RunList} from './runs.js';
import type {ViewName} from './toolbar.js';

export class CellView {
  readonly node = el('div', {class: 'fnb-root'});
  private readonly list: RunList;
  private readonly explorer: Explorer;
  /** The run that the reader picked; until then the document's own is shown, whichever that is. */
  private picked = '';
  /** Runs that the reader began here; where the cell's display reaches the page, they come with that as well. */
  private readonly begun: RunDocument[] = [];

  /** `switched` is told when another run is shown: a view has the port of one run at a time. */
  constructor(
    private doc: RunDocument,
    private readonly switched: (run: string) => void
  ) {
    this.list = new RunList(run => this.pick(run));
    this.explorer = new Explorer(
      doc,
      head => this.list.renew(head),
      begun => this.adopt(begun)
    );
    this.node.append(this.list.node, this.explorer.node);
    this.list.update(runsOf(doc), doc.runs_omitted ?? 0, this.run);
  }

  /** The run that is shown. */
  get run(): string {
    return this.explorer.run;
  }

  update(doc: RunDocument): void {
    this.doc = doc;
    const runs = this.runs;
    const wanted = this.picked === '' ? doc : runs.find(({run}) => run === this.picked);
    if (wanted) this.show(wanted);
    this.list.update(runs, doc.runs_omitted ?? 0, this.run);
  }

  /** Shows a run that the reader began from one of these. */
  private adopt(doc: RunDocument): void {
    this.begun.push(doc);
    this.picked = '';
    if (doc.run !== this.run) this.show(doc);
    this.list.update(this.runs, this.doc.runs_omitted ?? 0, this.run);
  }

  private get runs(): RunDocument[] {
    const listed = runsOf(this.doc);
    return [...listed, ...this.begun.filter(({run}) => !listed.some(one => one.run === run))];
  }

  attach(port: Port | null): void {
    this.explorer.attach(port);
  }

  showView(view: ViewName): void {
    this.explorer.showView(view);
  }

  dispose(): void {
    this.list.dispose();
    this.explorer.dispose();
    this.node.remove();
  }

  private pick(run: string): void {
    const doc = this.runs.find(listed => listed.run === run);
    if (!doc || run === this.run) return;
    this.picked = run;
    this.show(doc);
    this.explorer.complete();
    this.list.show(run);
  }

  private show(doc: RunDocument): void {
    const switches = doc.run !== this.run;
    if (switches) this.explorer.attach(null);
    this.explorer.update(doc);
    if (switches) this.switched(doc.run);
  }
}

/** All runs that the document carries, in the order in which they started. */
function runsOf(doc: RunDocument): RunDocument[] {
  return (doc.runs ?? [doc]).map(listed => ('actions' in listed ? listed : doc));
}
