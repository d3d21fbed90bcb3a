/**
 * How fast a run goes and how long it may still take. Mirrors flyte_nb/remote/progress.py.
 *
 * There is an estimate only while it is honest: as many actions as there are have been known for a while, enough of
 * them ended since, and none waits for a person. A run that calls one task after another never gets one.
 */
import {count, duration} from './format.js';

/** So many actions must have ended, and so much time passed, since the last one was called. */
const ENOUGH_ENDED = 5;
const ENOUGH_MS = 2000;

export class Pace {
  private total = -1;
  private since = 0;
  private before = 0;

  /** `9 of 11 · 3.2/s · about 1 s left`; `now` is in milliseconds since the run's start. */
  words(done: number, total: number, paused: number, now: number): string {
    if (total !== this.total) {
      this.since = now;
      this.before = done;
      this.total = total;
    }
    if (total === 0) return '';
    const words = [`${count(done)} of ${count(total)}`];
    const ended = done - this.before;
    if (ended >= ENOUGH_ENDED && now - this.since >= ENOUGH_MS) {
      const perSecond = (ended / (now - this.since)) * 1000;
      words.push(`${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))}/s`);
      const left = Math.round((total - done) / perSecond);
      if (left > 0 && paused === 0) words.push(`about ${duration(left * 1000)} left`);
    }
    return words.join(' · ');
  }
}
