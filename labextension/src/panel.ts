/** The side panel: all runs of a store, newest first, as they come; a click opens one. */
import type {Message} from '@lumino/messaging';
import {Widget} from '@lumino/widgets';
import {runsIcon, serveIcon} from './icon.js';
import {words, type RunsServer, type StoreName} from './server.js';
import type {StoreWatch} from './storewatch.js';
import {el} from './view/dom.js';
import {count, plural} from './view/format.js';
import {RunHistory, type RunPage} from './view/history.js';
import {HistoryFilters} from './view/historyfilters.js';
import {HistoryList} from './view/historylist.js';

/** Runs that are read at a time. */
const PAGE = 100;
/** Entries that are read again around those in the window. */
const AROUND = 10;
/** What can be filtered by is asked for at most this often. */
const CHOICES_MS = 5_000;
const FOLLOWS = '';

export class RunsPanel extends Widget {
  private readonly history = new RunHistory();
  private readonly filters = new HistoryFilters(() => this.restart());
  private readonly list: HistoryList;
  private readonly picker = el('select', {class: 'fnb-pastselect fnb-pastpicker', 'aria-label': 'Store'});
  private readonly said = el('div', {class: 'fnb-pastsaid', role: 'status', 'aria-live': 'polite'});
  private readonly state = el('div', {class: 'fnb-paststate'});
  private store = '';
  /** Counts what is wanted: answers to earlier questions are dropped. */
  private question = 0;
  private loading = false;
  private renewing = false;
  private problem = '';
  /** The store's revision when it was last read. */
  private revision = '';
  private offeredAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly server: RunsServer,
    private readonly watch: StoreWatch,
    private readonly does: {open: (store: string, run: string) => void; serve: () => void}
  ) {
    super();
    this.id = 'flyte-nb-runs';
    this.title.icon = runsIcon;
    this.title.caption = 'Flyte runs';
    this.addClass('fnb-pastpanel');
    this.list = new HistoryList(this.history, {
      open: run => this.does.open(this.store, run),
      more: () => void this.readOn(),
      rested: () => this.isStale && void this.renew()
    });
    const serve = button('', () => this.does.serve());
    serve.title = 'Serve this store to other programs…';
    serve.setAttribute('aria-label', serve.title);
    serve.append(serveIcon.element({tag: 'span', height: '16px', width: '16px'}));
    const store = el('div', {class: 'fnb-paststore'}, this.picker, serve);
    const head = el('div', {class: 'fnb-pasthead'}, store, this.filters.node, this.said);
    const root = el('div', {class: 'fnb-root fnb-live fnb-past'}, head, this.state, this.list.node);
    this.node.append(root);
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Flyte runs');
    this.picker.addEventListener('change', () => this.watch.pick(this.picker.value || null));
    root.addEventListener('keydown', event => this.onKey(event));
    this.watch.switched.connect(this.onSwitched, this);
    this.watch.changed.connect(this.onChanged, this);
    this.onSwitched();
  }

  /** Chooses the time of which runs are shown at first, by its name in the settings. */
  choosePeriod(name: string): void {
    this.filters.choosePeriod(name);
  }

  override dispose(): void {
    this.watch.switched.disconnect(this.onSwitched, this);
    this.watch.changed.disconnect(this.onChanged, this);
    this.filters.dispose();
    this.list.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.watch.search();
    this.watch.want('panel', true);
    if (this.store !== '' && this.isStale) void this.renew();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.watch.want('panel', false);
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.filters.focus();
  }

  /** Whether the window shows what was read before the store changed. */
  private get isStale(): boolean {
    if (this.history.entries.length === 0) return this.revision !== this.watch.revision;
    const {first, count: shown} = this.list.window;
    return this.history.entries.slice(first, first + shown).some(({revision}) => revision !== this.watch.revision);
  }

  private onSwitched(): void {
    this.drawPicker();
    const store = this.watch.store?.store ?? '';
    if (store === this.store) return this.draw();
    this.store = store;
    this.offeredAt = Number.NEGATIVE_INFINITY;
    this.restart();
  }

  private onChanged(): void {
    if (this.isVisible && !this.loading) void this.renew();
    else this.draw();
  }

  /** Other runs are wanted: begins at the newest. */
  private restart(): void {
    this.question += 1;
    this.history.clear();
    this.list.restart();
    this.loading = this.renewing = false;
    if (this.store !== '') void this.readOn();
    else this.draw();
  }

  /** Reads the page that follows. */
  private async readOn(): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    const {question} = this;
    const {revision} = this.watch;
    const {cursor} = this.history;
    await this.read(cursor, PAGE, page => {
      if (cursor === this.history.cursor) this.history.append(page, revision, performance.now());
    });
    if (question !== this.question) return;
    this.loading = false;
    this.draw();
    void this.offer();
    if (this.isVisible && this.isStale) void this.renew();
  }

  /** Reads what the window shows again. */
  private async renew(): Promise<void> {
    if (this.renewing || this.loading) return;
    this.renewing = true;
    const {question} = this;
    const {revision} = this.watch;
    const window = this.list.window;
    const from = Math.max(0, window.first - AROUND);
    const limit = from === 0 ? PAGE : window.count + 2 * AROUND;
    const begin = this.history.cursorAt(from);
    const told = await this.read(begin, limit, page => this.history.renew(from, page, revision, performance.now()));
    if (question !== this.question) return;
    this.renewing = false;
    this.draw();
    void this.offer();
    if (told && this.isVisible && this.watch.revision !== revision) void this.renew();
  }

  /** Asks for a page; whether it came and was still wanted. */
  private async read(cursor: string, limit: number, take: (page: RunPage) => void): Promise<boolean> {
    const {question} = this;
    const {revision} = this.watch;
    this.draw();
    try {
      const page = await this.server.runs(this.store, {...this.filters.wanted, cursor, limit});
      if (question !== this.question || this.isDisposed) return false;
      this.problem = '';
      this.revision = revision;
      this.list.change(() => take(page));
      return true;
    } catch (error) {
      if (question === this.question) this.problem = words(error);
      return false;
    }
  }

  private async offer(): Promise<void> {
    if (performance.now() - this.offeredAt < CHOICES_MS) return;
    this.offeredAt = performance.now();
    try {
      this.filters.offer(await this.server.choices(this.store));
    } catch (error) {
      this.problem = words(error);
      this.draw();
    }
  }

  private drawPicker(): void {
    const {followed, stores, isFollowing, store} = this.watch;
    const name = followed ? `Of the open notebook: ${followed.title}` : 'Of the open notebook';
    const others = stores.map(each => el('option', {value: each.store, title: each.store}, labelOf(each)));
    this.picker.replaceChildren(el('option', {value: FOLLOWS}, name), ...others);
    this.picker.value = isFollowing ? FOLLOWS : (store?.store ?? FOLLOWS);
    this.picker.title = store?.store ?? '';
  }

  /** Says how many runs there are, or why none are seen. */
  private draw(): void {
    const {entries, total} = this.history;
    const problem = this.problem || this.watch.problem;
    const {liveRuns} = this.watch;
    const live = liveRuns > 0 ? ` · ${count(liveRuns)} live` : '';
    const which = this.filters.isFiltered ? ' found' : live;
    this.said.textContent = entries.length > 0 ? plural(total, 'run') + which : '';
    this.list.node.hidden = entries.length === 0;
    this.state.replaceChildren(...this.stateOf(problem, entries.length));
    this.state.hidden = this.state.childNodes.length === 0;
    this.state.classList.toggle('fnb-fault', problem !== '');
  }

  private stateOf(problem: string, shown: number): (Node | string)[] {
    if (problem !== '') return [el('p', {role: 'alert'}, problem), button('Try again', () => this.retry())];
    if (shown > 0) return [];
    if (this.loading || this.store === '') return [el('p', {}, 'Looking for runs…')];
    if (this.filters.isFiltered)
      return [el('p', {}, 'No run matches.'), button('Show all', () => this.filters.clear())];
    const how = el('p', {}, 'Run a task in a notebook of this project: ', el('code', {}, '%flyte run TASK'), '.');
    return [el('p', {}, el('strong', {}, 'No runs yet')), how];
  }

  private retry(): void {
    this.problem = '';
    void this.watch.search();
    this.restart();
  }

  private onKey(event: KeyboardEvent): void {
    const typing = (event.target as Element).matches('input, select');
    if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    this.filters.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}

/** A project's name, with its place where that says more. */
function labelOf({title, store}: StoreName): string {
  const place = store.replace(/\/?\.flyte_nb$/, '');
  return place === '' || place === title ? title : `${title} (${place})`;
}

function button(title: string, onclick: () => void): HTMLButtonElement {
  return el('button', {class: 'fnb-button', type: 'button', onclick}, title);
}
