/** The status bar's item: how many actions run in the store. A click shows the runs. */
import {Widget} from '@lumino/widgets';
import {runsIcon} from './icon.js';
import type {StoreWatch} from './storewatch.js';
import {el} from './view/dom.js';
import {count, plural} from './view/format.js';

export class StatusItem extends Widget {
  private readonly number = el('span');
  private readonly button: HTMLButtonElement;

  constructor(
    private readonly watch: StoreWatch,
    show: () => void
  ) {
    super();
    this.addClass('fnb-status');
    this.button = el('button', {type: 'button', onclick: show});
    this.button.append(runsIcon.element({tag: 'span', height: '14px', width: '14px'}), this.number);
    this.node.append(this.button);
    watch.changed.connect(this.draw, this);
    watch.switched.connect(this.draw, this);
    this.draw();
  }

  override dispose(): void {
    this.watch.changed.disconnect(this.draw, this);
    this.watch.switched.disconnect(this.draw, this);
    super.dispose();
  }

  private draw(): void {
    const {runningActions, liveRuns, store, problem} = this.watch;
    this.node.classList.toggle('fnb-busy', runningActions > 0);
    this.number.textContent = problem ? '–' : count(runningActions);
    const what = `${plural(runningActions, 'action')} running in ${plural(liveRuns, 'run')}`;
    const title = problem || `${what}${store ? ` of ${store.title}` : ''}: show the runs`;
    this.button.title = title;
    this.button.setAttribute('aria-label', `Flyte: ${title}`);
  }
}
