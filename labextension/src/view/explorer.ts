/**
 * The run explorer: header, toolbar, tree, timeline or graph, and the detail of the selected action, over one model.
 *
 *     kernel --Port--> RunModel --> Outline --> Tree | Timeline        one paint a frame, whatever arrives
 *                         \-------------------> GraphView, Header, Toolbar, DetailPane
 */
import type {FromKernel, Head, Port, RunDocument} from './document.js';
import {Asks} from './asks.js';
import {Desk} from './desk.js';
import {DetailPane} from './detail.js';
import {Divider} from './divider.js';
import {el} from './dom.js';
import {GraphView} from './graphview.js';
import {Header} from './header.js';
import {press, type KeyTarget} from './keys.js';
import {Link} from './link.js';
import {RunModel} from './model.js';
import {Outline} from './outline.js';
import type {Tab} from './panels.js';
import {phaseWord} from './phases.js';
import {Timeline} from './timeline.js';
import {Toolbar, type ViewName} from './toolbar.js';
import {Tree} from './tree.js';

/** Below this width the detail stands under the tree and opens on demand. */
const NARROW_PIXELS = 720;
/** Bars of running actions grow this often; once a second for those who prefer reduced motion. */
const GROWTH_MS = 100;
const REDUCED_GROWTH_MS = 1000;
const NOTHING = Number.MIN_SAFE_INTEGER;

export class Explorer implements KeyTarget {
  readonly node = el('div', {class: 'fnb-explorer'});
  private readonly model: RunModel;
  readonly outline: Outline;
  private readonly header: Header;
  private readonly desk: Desk;
  private readonly asks = new Asks(action => this.reveal(this.model.rowOf(action)));
  private readonly toolbar: Toolbar;
  private readonly tree: Tree;
  private readonly timeline: Timeline;
  private readonly graph: GraphView;
  private readonly detail: DetailPane;
  private readonly body: HTMLElement;
  private readonly views: HTMLElement;
  private readonly announcer = el('div', {class: 'fnb-sr', role: 'status', 'aria-live': 'polite'});
  private readonly teardown: (() => void)[] = [];
  private view: ViewName = 'tree';
  /** The selected action's row or fan-out's item; a row is kept by name across reloads. */
  selected = NOTHING;
  private chosen = false;
  private detailOpen = true;
  private readonly link = new Link(
    message => this.receive(message),
    () => this.repaint()
  );
  private headAt = performance.now();
  private outlined = -1;
  private announced = '';
  private frame = 0;
  /** Whether more is to be painted than the view. */
  private isStale = false;
  /** The clock of the last paint: it stands still while the reader scrolls. */
  private now = 0;
  private timer = 0;

  /** `painted` is told what the header shows, after each paint; `begun` of a run that the reader began from this one. */
  constructor(
    doc: RunDocument,
    private readonly painted: (head: Head) => void = () => undefined,
    begun: (doc: RunDocument) => void = () => undefined
  ) {
    const select = (item: number) => this.select(item, true);
    const toggle = (index: number) => this.toggle(index);
    this.model = new RunModel(doc);
    this.outline = new Outline(this.model);
    this.desk = new Desk(
      () => this.model.doc,
      begun,
      () => this.repaint()
    );
    this.header = new Header(this.model, this.desk, this.link.hello, {
      showAction: action => this.reveal(this.model.rowOf(action)),
      loadAll: () => (this.link.isOpen ? () => this.complete() : null)
    });
    this.toolbar = new Toolbar(this.model, this.outline, {
      showView: view => this.showView(view),
      filterChanged: () => this.repaint(),
      leaveFilter: () => this.current.focusable.focus()
    });
    this.tree = new Tree(this.model, this.outline, {select, toggle}, () => this.repaintView());
    this.timeline = new Timeline(this.model, this.outline, {select, toggle}, () => this.repaintView());
    this.graph = new GraphView(this.model, this.link.graph, select, () => this.repaintView());
    this.detail = new DetailPane(this.model, this.desk, this.link.detail, {
      select: item => this.reveal(item),
      close: () => this.closeDetail(),
      tabChosen: () => this.select(this.selected, true)
    });
    this.views = el('div', {class: 'fnb-views'}, this.tree.node, this.timeline.node, this.graph.node);
    this.body = el('div', {class: 'fnb-body'});
    this.body.append(this.views, new Divider(this.body).node, this.detail.node);
    this.node.append(this.header.node, this.asks.node, this.desk.node, this.toolbar.node, this.body, this.announcer);
    this.node.addEventListener('keydown', event => press(event, this));
    this.watch();
    this.selectByDefault();
    this.schedule();
    this.repaint();
  }

  get run(): string {
    return this.model.doc.run;
  }

  /** Shows a newer document of the same or another run; what the kernel told meanwhile is not taken back. */
  update(doc: RunDocument): void {
    const sameRun = doc.run === this.run;
    if (sameRun && this.link.isConnected && doc.live) return;
    const tellsLess = doc.actions.name.length < this.model.size || (this.link.isConnected && doc.previews === false);
    if (sameRun && tellsLess) this.model.conclude(doc);
    else this.load(doc);
    this.afterData();
  }

  /** Connects to the kernel, or with null says that it is gone. */
  attach(port: Port | null): void {
    this.link.attach(port);
    this.desk.attach(port);
    this.asks.attach(port);
    if (port && this.model.doc.live) this.link.greet(this.run);
    if (this.chosen) this.askDetail();
    this.askGraph();
    this.schedule();
    this.repaint();
  }

  /** Asks for what the document leaves out: the reader picked this run. */
  complete(): void {
    this.askDetail();
    if (this.model.doc.omitted > 0) this.link.askAll(this.run);
  }

  dispose(): void {
    this.link.dispose();
    this.desk.clear();
    this.teardown.forEach(end => end());
    cancelAnimationFrame(this.frame);
    window.clearInterval(this.timer);
    this.node.remove();
  }

  private receive(message: FromKernel): void {
    if (message.kind === 'bundle' || message.kind === 'unanswered') return; // for the saved output, and the link
    if (message.kind === 'snapshot') this.load(message.doc);
    else if (message.kind === 'delta') this.model.applyDelta(message);
    else if (message.kind === 'detail') this.model.addDetail(message.detail);
    else if (message.kind === 'graph') this.model.addFlows(message);
    else if (message.kind === 'outcome' && this.asks.receive(message)) return;
    else return this.desk.receive(message);
    this.afterData(message.kind === 'snapshot' || message.kind === 'delta');
  }

  private load(doc: RunDocument): void {
    const name = this.selected >= 0 ? this.model.doc.actions.name[this.selected] : '';
    if (doc.run !== this.run) {
      this.chosen = false;
      this.desk.clear();
    }
    this.model.load(doc);
    const row = this.model.rowOf(name);
    this.selected = row >= 0 ? row : NOTHING;
  }

  private afterData(renewsHead = true): void {
    if (renewsHead) this.headAt = performance.now();
    if (!this.chosen) this.selectByDefault();
    if (!this.model.doc.live) this.askGraph();
    this.schedule();
    this.repaint();
  }

  /** Until the reader chooses: the action that failed first, else the root. */
  private selectByDefault(): void {
    if (this.model.size === 0) return;
    const failed = this.model.doc.error ? this.model.rowOf(this.model.doc.error.action) : -1;
    const row = failed >= 0 && !this.model.doc.live ? failed : 0;
    if (row === this.selected) return;
    this.selected = row;
    this.outline.refresh();
    const at = this.outline.reveal(row);
    requestAnimationFrame(() => this.current.scrollTo(at));
    this.askDetail();
  }

  /** Milliseconds since the run's start. */
  private clock(): number {
    const {live, duration_ms: known} = this.model.doc;
    return live && this.link.isConnected ? known + performance.now() - this.headAt : known;
  }

  /** Whether the kernel was asked for the selected action, or will be with the next tick of the clock. */
  private get expectsDetail(): boolean {
    const {isOpen, detail, isConnected, isGreeted} = this.link;
    return isOpen && (detail.isOpen || (this.model.doc.live && (isConnected || isGreeted)));
  }

  get current(): Tree | Timeline | GraphView {
    return {tree: this.tree, timeline: this.timeline, graph: this.graph}[this.view];
  }

  private get isNarrow(): boolean {
    return this.node.clientWidth > 0 && this.node.clientWidth < NARROW_PIXELS;
  }

  /** Any number of changes, one paint in the next frame. */
  private repaint(): void {
    this.isStale = true;
    this.repaintView();
  }

  /** For what was scrolled or zoomed: nothing has changed but where the reader looks. */
  private repaintView(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      try {
        this.paint();
      } catch (error) {
        this.showFault(error);
      }
    });
  }

  private paint(): void {
    if (this.isStale) this.paintAround();
    this.current.update(this.selected, this.now);
  }

  /** Everything but the view: it is drawn by the same clock until more changes than where the reader looks. */
  private paintAround(): void {
    this.isStale = false;
    const {doc, version, structure} = this.model;
    const now = (this.now = this.clock());
    // What is visible changes with the rows, under a filter with whatever it may look at.
    const outlined = this.outline.isFiltered ? version : structure;
    if (this.outlined !== outlined) {
      this.outlined = outlined;
      this.outline.refresh();
    }
    this.node.dataset.run = doc.run;
    const {isConnected, isGreeted} = this.link;
    this.node.classList.toggle('fnb-live', doc.live && isConnected);
    this.body.classList.toggle('fnb-detailed', this.detailOpen && this.selected !== NOTHING);
    this.tree.node.hidden = this.view !== 'tree';
    this.timeline.node.hidden = this.view !== 'timeline';
    this.graph.node.hidden = this.view !== 'graph';
    this.desk.update();
    this.asks.update(doc.questions ?? [], now, isConnected, doc.run);
    this.header.update(now, isConnected, isGreeted);
    this.toolbar.update(this.view);
    if (this.selected !== NOTHING) this.detail.update(this.selected, now, this.expectsDetail);
    const words = `Run ${doc.run} ${phaseWord(doc.phase)}`;
    if (this.announced !== words) this.announcer.textContent = this.announced = words;
    this.painted({...doc, duration_ms: now});
  }

  /** A fault of the explorer is shown in the explorer. */
  private showFault(error: unknown): void {
    const words = error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error);
    this.body.replaceChildren(el('pre', {class: 'fnb-fault'}, `The explorer could not draw this run.\n${words}`));
  }

  private select(item: number, byReader: boolean): void {
    if (byReader) {
      this.chosen = true;
      this.detailOpen = true;
    }
    this.selected = item;
    this.askDetail();
    this.repaint();
  }

  /** Selects an action, whatever hides its line, or a fan-out; -1 is none: the first fan-out is the root's own. */
  reveal(item: number): void {
    if (item === -1) return;
    this.outline.refresh();
    const at = item >= 0 ? this.outline.reveal(item) : this.outline.position(item);
    this.select(item, true);
    // The line may be new: scroll once the tree has its height.
    if (at >= 0) requestAnimationFrame(() => this.current.scrollTo(at));
  }

  toggle(index: number): void {
    this.outline.toggle(index);
    this.repaint();
  }

  showView(view: ViewName): void {
    this.view = view;
    this.askGraph();
    this.repaint();
    // What is selected was perhaps selected in another view.
    const at = this.outline.position(this.selected);
    if (at >= 0 || view === 'graph') requestAnimationFrame(() => this.current.scrollTo(at));
  }

  private closeDetail(): void {
    this.detailOpen = false;
    this.current.focusable.focus();
    this.repaint();
  }

  private askDetail(): void {
    if (this.selected >= 0 && !this.model.isKnown(this.selected))
      this.link.askDetail(this.model.doc.actions.name[this.selected]);
    else this.link.detail.forget();
  }

  /** Which outputs became which inputs is looked for only while someone looks at it. */
  private askGraph(): void {
    if (this.view === 'graph' && !this.model.flowsAreWhole && !this.model.doc.elsewhere) this.link.askGraph();
  }

  /** The clock of a live run: growing bars, and the growing output of the selected action. */
  private schedule(): void {
    const wanted = this.model.doc.live && this.link.isConnected;
    if (!wanted) window.clearInterval(this.timer);
    if (!wanted) this.timer = 0;
    else this.timer ||= window.setInterval(() => this.tick(), reducedMotion() ? REDUCED_GROWTH_MS : GROWTH_MS);
  }

  private tick(): void {
    if (document.visibilityState === 'hidden') return;
    if (this.link.isGraphDue) this.askGraph();
    const grows = this.selected >= 0 && this.detailOpen && !this.model.isTerminal(this.selected);
    if (grows && this.link.isDetailDue) this.askDetail();
    this.repaint();
  }

  private watch(): void {
    let narrow: boolean | null = null;
    const sized = new ResizeObserver(() => {
      if (this.node.clientWidth > 0 && narrow !== this.isNarrow) {
        narrow = this.isNarrow;
        this.node.classList.toggle('fnb-narrow', narrow);
        this.detailOpen = !narrow;
      }
      this.repaint();
    });
    sized.observe(this.node);
    sized.observe(this.views);
    // The canvas does not restyle itself when the theme changes.
    const themed = new MutationObserver(() => this.repaint());
    themed.observe(document.body, {attributes: true});
    this.teardown.push(
      () => sized.disconnect(),
      () => themed.disconnect()
    );
  }

  isInDetail(target: HTMLElement): boolean {
    return this.detail.node.contains(target);
  }

  focusFilter(): void {
    this.toolbar.focusFilter();
  }

  walk(index: number): void {
    const at = Math.min(index, this.outline.lines.length - 1);
    if (at < 0) return;
    this.chosen = true;
    this.select(this.outline.lines[at].item, false);
    this.current.scrollTo(at);
  }

  enterDetail(): void {
    this.detailOpen = true;
    this.repaint();
    requestAnimationFrame(() => this.detail.focus());
  }

  leaveDetail(): void {
    if (this.isNarrow) this.closeDetail();
    else this.current.focusable.focus();
  }

  leaveView(): void {
    if (this.outline.isFiltered) this.outline.clearFilter();
    else if (this.isNarrow) this.detailOpen = false;
    this.repaint();
  }

  showTab(tab: Tab): void {
    this.detail.showTab(tab);
    this.select(this.selected, true);
  }
}

function reducedMotion(): boolean {
  return window.matchMedia('(prefers-reduced-motion: reduce)').matches;
}
