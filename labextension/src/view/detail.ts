/** The selected action, in tabs; a tab stands only where it has content. */
import type {Desk} from './desk.js';
import {Kind, type Detail} from './document.js';
import {el, icon, layers, present, type Child} from './dom.js';
import {FanOutPanel} from './fanout.js';
import {duration} from './format.js';
import {Logs} from './logs.js';
import {menuButton} from './menu.js';
import type {RunModel} from './model.js';
import {content, hasContent, origin, partOf, summary, TABS, type Tab} from './panels.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';
import type {Question} from './question.js';
import {Trouble} from './trouble.js';

export interface DetailActions {
  select(item: number): void;
  close(): void;
  tabChosen(): void;
}

let panes = 0;

export class DetailPane {
  readonly node = el('section', {class: 'fnb-detail', 'aria-label': 'Selected action', tabindex: -1});
  private readonly head = el('div', {class: 'fnb-detailhead'});
  private readonly tablist = el('div', {class: 'fnb-tabs', role: 'tablist', 'aria-label': 'Parts of the action'});
  private readonly panel = el('div', {class: 'fnb-panel', role: 'tabpanel', tabindex: 0});
  private readonly trouble: Trouble;
  private readonly logs = new Logs();
  private readonly fanOut: FanOutPanel;
  private readonly id = `fnb-detail-${++panes}`;
  /** What the reader asked for; shown when the action has it. */
  private wanted: Tab | null = null;
  private drawnHead = '';
  private drawnTabs = '';
  private drawnPanel = '';
  private timing: HTMLElement | null = null;

  constructor(
    private readonly model: RunModel,
    private readonly desk: Desk,
    private readonly question: Question,
    private readonly actions: DetailActions
  ) {
    this.trouble = new Trouble(question);
    this.fanOut = new FanOutPanel(model, row => actions.select(row));
    this.panel.id = `${this.id}-panel`;
    this.node.append(this.head, this.trouble.node, this.tablist, this.panel);
    this.tablist.addEventListener('keydown', event => this.onTabKey(event));
  }

  showTab(tab: Tab): void {
    this.wanted = tab;
  }

  focus(): void {
    (this.tablist.querySelector<HTMLElement>('[aria-selected=true]') ?? this.node).focus();
  }

  /** Draws what changed; `asked` while the kernel was asked for the detail and may answer. */
  update(item: number, now: number, asked: boolean): void {
    this.trouble.update();
    if (item < 0) return this.updateFanOut(item, now);
    const waiting = asked && this.question.trouble === '';
    const detail = this.model.details.get(this.model.doc.actions.name[item]) ?? null;
    this.updateHead(item, detail);
    const tabs = TABS.filter(tab => tab === 'Summary' || (detail !== null && hasContent(detail, tab)));
    const shown = this.wanted !== null && tabs.includes(this.wanted) ? this.wanted : tabs[0];
    this.updateTabs(tabs, shown);
    this.updatePanel(item, detail, shown, waiting);
    if (shown === 'Summary' && this.timing) this.timing.replaceChildren(...present(this.timingWords(item, now)));
  }

  private updateFanOut(item: number, now: number): void {
    const fanOut = this.model.fanOuts[-1 - item];
    const [name, rest] = this.model.fanOutWords(fanOut);
    const signature = JSON.stringify([item, name, rest]);
    if (signature !== this.drawnPanel) {
      this.drawnPanel = signature;
      this.drawnHead = this.drawnTabs = '';
      this.head.replaceChildren(
        el('strong', {class: 'fnb-name'}, name),
        el('span', {class: 'fnb-where'}, `${fanOut.group >= 0 ? 'group · ' : ''}${rest}`),
        this.closeButton()
      );
      this.tablist.replaceChildren();
      this.panel.classList.remove('fnb-fill');
      if (!this.panel.contains(this.fanOut.node)) this.panel.replaceChildren(this.fanOut.node);
    }
    this.fanOut.update(fanOut, now);
  }

  private updateHead(row: number, detail: Detail | null): void {
    const {name, attempt, source} = this.model.doc.actions;
    const phase = this.model.phase(row);
    const signature = JSON.stringify([
      name[row],
      phase,
      attempt[row],
      source[row],
      detail?.where,
      detail?.note,
      detail?.source,
      detail?.attempts.length
    ]);
    if (signature === this.drawnHead) return;
    this.drawnHead = signature;
    const attempts = Math.max(attempt[row], detail?.attempts.length ?? 0);
    const facts = [
      phaseWord(phase),
      attempts > 1 ? `attempt ${attempt[row]} of ${attempts}` : '',
      detail?.where && !detail.source ? `in ${detail.where}` : '',
      detail?.source ? origin(detail.source) : '',
      !detail && source[row] === 'cache' ? 'from the cache' : ''
    ];
    const words = facts.filter(Boolean).join(' · ');
    const parts: Child[] = [
      phaseIcon(phase),
      el('strong', {class: 'fnb-name'}, this.model.taskName(row)),
      el('code', {class: 'fnb-action', title: `action ${name[row]}`}, name[row]),
      el('span', {class: 'fnb-where', title: words}, words),
      this.kinButton(row),
      row > 0 && this.menu(row),
      this.closeButton()
    ];
    this.head.replaceChildren(...present(parts));
  }

  /** Leads back to the fan-out that the action stands in. */
  private kinButton(row: number): HTMLElement | false {
    const fanOut = this.model.fanOut(row);
    if (!this.model.hasLine(fanOut)) return false;
    const title = `Show all ${this.model.fanOutWords(fanOut).join(' ')}`;
    const show = () => this.actions.select(-1 - fanOut.id);
    const attributes = {class: 'fnb-button fnb-quiet', type: 'button', title, 'aria-label': title, onclick: show};
    return el('button', attributes, layers());
  }

  /** What can be done to this action alone; the header has what is done to all. */
  private menu(row: number): HTMLElement {
    const {name, kind} = this.model.doc.actions;
    const items = () => this.desk.actionItems(name[row], kind[row] === Kind.Task, this.model.isTerminal(row));
    return menuButton(['⋯'], `Do something to action ${name[row]}`, items);
  }

  private closeButton(): HTMLElement {
    const cross = icon('fnb-cross', ['path', {d: 'M4 4l8 8M12 4l-8 8'}]);
    return el(
      'button',
      {
        class: 'fnb-button fnb-quiet fnb-close',
        type: 'button',
        title: 'Close (Esc)',
        'aria-label': 'Close',
        onclick: () => this.actions.close()
      },
      cross
    );
  }

  private updateTabs(tabs: Tab[], shown: Tab): void {
    const signature = `${tabs.join()} ${shown}`;
    if (signature === this.drawnTabs) return;
    this.drawnTabs = signature;
    const focused = this.tablist.contains(document.activeElement);
    this.tablist.replaceChildren(
      ...tabs.map(tab =>
        el(
          'button',
          {
            class: 'fnb-tab',
            role: 'tab',
            type: 'button',
            'aria-selected': String(tab === shown),
            'aria-controls': this.panel.id,
            tabindex: tab === shown ? 0 : -1,
            onclick: () => this.choose(tab)
          },
          tab
        )
      )
    );
    if (focused) this.tablist.querySelector<HTMLElement>('[aria-selected=true]')?.focus();
  }

  private choose(tab: Tab): void {
    this.wanted = tab;
    this.actions.tabChosen();
  }

  private onTabKey(event: KeyboardEvent): void {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    const tabs = [...this.tablist.children].map(tab => tab.textContent as Tab);
    const at = tabs.findIndex((_, k) => this.tablist.children[k].getAttribute('aria-selected') === 'true');
    this.choose(tabs[(at + step + tabs.length) % tabs.length]);
    event.preventDefault();
    event.stopPropagation();
  }

  private updatePanel(row: number, detail: Detail | null, tab: Tab, waiting: boolean): void {
    const signature = JSON.stringify([
      this.model.doc.actions.name[row],
      tab,
      tab === 'Summary'
        ? [detail, waiting, this.model.doc.actions.error[row], this.model.phase(row)]
        : partOf(detail as Detail, tab)
    ]);
    if (signature === this.drawnPanel) return;
    const sameTab = this.panel.dataset.shown === `${row} ${tab}`;
    const scrolled = sameTab ? this.panel.scrollTop : 0;
    this.drawnPanel = signature;
    this.panel.dataset.shown = `${row} ${tab}`;
    this.panel.classList.toggle('fnb-fill', tab === 'Logs' || tab === 'Report');
    if (tab === 'Logs') {
      this.logs.update(detail as Detail);
      if (!this.panel.contains(this.logs.node)) this.panel.replaceChildren(this.logs.node);
      return;
    }
    this.timing = el('div', {class: 'fnb-timing'});
    const error = this.model.doc.actions.error[row];
    this.panel.replaceChildren(
      tab === 'Summary' ? summary(detail, this.timing, error, waiting) : content(detail as Detail, tab)
    );
    this.panel.scrollTop = scrolled;
  }

  private timingWords(row: number, now: number): Child[] {
    const {queued, init, to} = this.model.waitOf(row, now);
    const ran = this.model.durationOf(row, now);
    const tried = (this.model.doc.actions.tries[row] ?? []).reduce((sum, [from, end]) => sum + end - from, 0);
    const tone = phaseTone(this.model.phase(row));
    return [
      timed('queued', init - queued - tried),
      tried > 0 && timed('earlier attempts', tried),
      init < to && timed('initializing', to - init),
      el(
        'span',
        {class: 'fnb-timebar'},
        el('i', {style: `flex-grow:${init - queued - tried}`}),
        tried > 0 && el('i', {class: 'fnb-try', style: `flex-grow:${tried}`}),
        el('i', {class: 'fnb-tone-wait', style: `flex-grow:${to - init}`}),
        el('i', {class: `fnb-tone-${tone}`, style: `flex-grow:${ran ?? 0}`})
      ),
      ran !== null && timed(this.model.isTerminal(row) ? 'ran' : 'running', ran)
    ];
  }
}

function timed(word: string, ms: number): HTMLElement {
  return el('span', {class: 'fnb-muted'}, `${word} `, el('b', {}, duration(ms)));
}
