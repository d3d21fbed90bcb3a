/** The head of the explorer: did it work, how long did it take, what failed first and where. */
import {PHASES, type Phase, type RunDocument} from './document.js';
import {chevron, copyButton, el, present, type Child} from './dom.js';
import {count, duration, moment, plural} from './format.js';
import type {Desk} from './desk.js';
import {menuButton} from './menu.js';
import type {RunModel} from './model.js';
import {Pace} from './pace.js';
import {runnable} from './panels.js';
import {phaseIcon, phaseTone, phaseWord} from './phases.js';
import type {Question} from './question.js';
import {Trouble} from './trouble.js';

/** Of more labels these many are shown, and the others on demand. */
const LABELS_SHOWN = 6;

export interface HeaderActions {
  showAction(action: string): void;
  /** Fetches the actions that the document leaves out; null where there is no kernel to ask. */
  loadAll(): (() => void) | null;
}

export class Header {
  readonly node = el('header', {class: 'fnb-header'});
  private readonly line = el('div', {class: 'fnb-headline'});
  private readonly time = el('span', {class: 'fnb-time', title: 'duration'});
  private readonly progress = el('div', {class: 'fnb-progress'});
  private readonly notes = el('div', {class: 'fnb-notes'});
  private readonly trouble: Trouble;
  private readonly identity = el('div', {class: 'fnb-identity'});
  /** Stays as it is while the line is drawn anew: its menu may be open. */
  private readonly tools: HTMLElement;
  private readonly abort: HTMLButtonElement;
  private pace = new Pace();
  private pacedRun = '';
  /** The longest that was said of the pace: the bar beside it does not jump. */
  private paceChars = 0;
  private drawn = '';
  private showsAllLabels = false;

  constructor(
    private readonly model: RunModel,
    private readonly desk: Desk,
    private readonly hello: Question,
    private readonly actions: HeaderActions
  ) {
    this.trouble = new Trouble(hello);
    const onclick = () => desk.confirmAbort();
    this.abort = el('button', {class: 'fnb-button', type: 'button', title: 'Abort the run', onclick, hidden: true});
    const copy = copyButton(
      () => runnable(`flyte_nb.remote.Run.get(${JSON.stringify(model.doc.run)})`),
      'Copy the Python that gets this run'
    );
    const again = menuButton(['Rerun', chevron()], 'Run again', () => desk.runItems());
    this.tools = el('span', {class: 'fnb-tools'}, copy, again, this.abort);
    this.line.append(this.identity, this.tools);
    this.node.append(this.line, this.progress, this.notes, this.trouble.node);
  }

  /** Draws what changed; `now` is in milliseconds since the run's start; `greeted` while the kernel may yet answer. */
  update(now: number, connected: boolean, greeted: boolean): void {
    const {doc} = this.model;
    const aborting = this.desk.isAborting && doc.live;
    const {phase, counts, total, note, error, labels} = doc;
    const hasTrouble = this.hello.trouble !== '';
    const state = [doc.live, connected, greeted, aborting, doc.omitted, this.actions.loadAll() !== null, hasTrouble];
    const signature = JSON.stringify([doc.run, phase, counts, total, note, error, labels, ...state]);
    if (signature !== this.drawn) {
      this.drawn = signature;
      this.identity.replaceChildren(...present(this.headline()));
      this.abort.hidden = !doc.live || !connected;
      this.abort.disabled = aborting;
      this.abort.textContent = aborting ? 'Aborting…' : 'Abort';
      this.notes.replaceChildren(...present(this.noteLines(connected || greeted || hasTrouble)));
      this.progress.replaceChildren(...(doc.live ? [bar(doc), el('span', {class: 'fnb-rate'})] : []));
    }
    this.trouble.update(doc.live && !connected ? 'As last saved' : '');
    this.time.textContent = duration(now);
    if (doc.live) this.drawPace(now);
  }

  /** The root ends last and is not counted. */
  private drawPace(now: number): void {
    const {doc} = this.model;
    if (doc.run !== this.pacedRun) {
      this.pacedRun = doc.run;
      this.pace = new Pace();
      this.paceChars = 0;
    }
    const total = Math.max(0, doc.total - 1);
    const words = this.pace.words(Math.min(total, ended(doc)), total, doc.counts.paused ?? 0, now);
    this.paceChars = Math.max(this.paceChars, words.length);
    const place = this.progress.lastElementChild as HTMLElement;
    place.textContent = words;
    place.style.minWidth = `${this.paceChars}ch`;
  }

  private headline(): Child[] {
    const {doc} = this.model;
    const cached = this.model.doc.actions.source.reduce((n, source) => n + (source === 'cache' ? 1 : 0), 0);
    const recovered = doc.counts.recovered ?? 0;
    const facts: Child[] = [
      this.time,
      el('span', {}, plural(doc.total, 'action')),
      recovered > 0 && el('span', {title: 'reused of an earlier run'}, `${count(recovered)} recovered`),
      cached > 0 && el('span', {}, `${count(cached)} cached`),
      doc.environment !== '' && el('span', {title: 'environment'}, doc.environment),
      el('span', {title: 'started', class: 'fnb-started'}, moment(doc.started_at)),
      doc.parent_run !== '' && lineage(doc),
      ...this.labels()
    ];
    return [
      el('span', {class: `fnb-badge fnb-tone-${phaseTone(doc.phase)}`}, phaseIcon(doc.phase), phaseWord(doc.phase)),
      el('strong', {class: 'fnb-title', title: doc.task}, this.model.shortTask(doc.task)),
      el('code', {class: 'fnb-run', title: 'run'}, doc.run),
      el('span', {class: 'fnb-facts'}, ...facts)
    ];
  }

  private labels(): HTMLElement[] {
    const chips = Object.entries(this.model.doc.labels).map(([key, value]) => {
      const words = `${key}=${value}`;
      return el('span', {class: 'fnb-chip', title: `label ${words}`}, words);
    });
    if (this.showsAllLabels || chips.length <= LABELS_SHOWN + 1) return chips;
    const others = chips.splice(LABELS_SHOWN);
    const onclick = () => {
      this.showsAllLabels = true;
      button.replaceWith(...others);
    };
    const words = `${count(others.length)} more labels`;
    const button = el('button', {class: 'fnb-chip fnb-others', type: 'button', onclick}, words);
    return [...chips, button];
  }

  private noteLines(hasKernel: boolean): Child[] {
    const {doc} = this.model;
    const {error} = doc;
    const lines: Child[] = [];
    if (error) {
      const row = this.model.rowOf(error.action);
      const where = [row >= 0 ? `in ${this.model.taskName(row)}` : '', error.place].filter(Boolean).join(', ');
      lines.push(
        el(
          'button',
          {
            class: `fnb-note fnb-note-error fnb-tone-${phaseTone(doc.phase)}`,
            type: 'button',
            title: 'Show the action that failed first',
            onclick: () => this.actions.showAction(error.action)
          },
          phaseIcon(doc.live ? 'failed' : doc.phase),
          el('code', {class: 'fnb-message'}, [error.code, firstLine(error.message)].filter(Boolean).join(': ')),
          where !== '' && el('span', {class: 'fnb-place'}, where)
        )
      );
    }
    if (doc.note) lines.push(el('div', {class: 'fnb-note'}, doc.note));
    if (doc.live && !hasKernel)
      lines.push(el('div', {class: 'fnb-note'}, 'As last saved: not connected to the kernel that runs it.'));
    if (doc.omitted > 0) lines.push(this.omissions(doc));
    return lines;
  }

  /** What a saved document leaves out, and how it is to be had. */
  private omissions({omitted, run}: RunDocument): HTMLElement {
    const load = this.actions.loadAll();
    return el(
      'div',
      {class: 'fnb-note'},
      el('span', {}, `${plural(omitted, 'action')} not saved here. `, el('code', {}, `%flyte show ${run}`), ' draws all.'),
      load && el('button', {class: 'fnb-button', type: 'button', onclick: load}, 'Load all')
    );
  }
}

/** What the run has to do with its parent run. */
function lineage({lineage, parent_run: run}: RunDocument): HTMLElement {
  return lineage
    ? el('span', {title: 'the earlier run'}, `${lineage} ${run}`)
    : el('span', {title: 'the run that started this one'}, `of ${run}`);
}

/** A bar whose segments are the phases of all actions, the ended ones first. */
function bar(doc: RunDocument): HTMLElement {
  const order: Phase[] = [
    'succeeded',
    'recovered',
    'failed',
    'timed_out',
    'aborted',
    'running',
    'paused',
    'initializing'
  ];
  const segments = order
    .filter(phase => (doc.counts[phase] ?? 0) > 0)
    .map(phase => {
      const n = doc.counts[phase] as number;
      return el('i', {
        class: `fnb-tone-${phaseTone(phase)}`,
        style: `flex-grow:${n}`,
        title: `${count(n)} ${phaseWord(phase)}`
      });
    });
  const waiting = Math.max(0, doc.total - order.reduce((n, phase) => n + (doc.counts[phase] ?? 0), 0));
  return el(
    'div',
    {
      class: 'fnb-segments',
      role: 'progressbar',
      'aria-valuenow': ended(doc),
      'aria-valuemax': doc.total,
      'aria-label': 'ended'
    },
    ...segments,
    el('i', {style: `flex-grow:${waiting}`})
  );
}

function ended(doc: RunDocument): number {
  const first = PHASES.indexOf('succeeded');
  return PHASES.slice(first).reduce((n, phase) => n + (doc.counts[phase] ?? 0), 0);
}

function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0];
}
