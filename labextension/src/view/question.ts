/** One kind of question to the kernel, asked again by itself until it is answered; meanwhile it says what is wrong. */
import type {ToKernel} from './document.js';

/** A kernel that has not answered by then is called busy. */
const LATE_MS = 10_000;
const BUSY = 'The kernel has not answered yet: it may be busy.';
/** How soon it is asked again: each time twice as late, up to the longest. */
const PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;

export class Question {
  /** Why there is no answer; empty while nothing went wrong. */
  trouble = '';
  /** Whether an answer may still come. */
  isOpen = false;
  private message: ToKernel | null = null;
  private askedAt = -Infinity;
  private tries = 0;
  private timer = 0;

  /** `changed` is told when there is another thing to say; one who is `patient` waits for an answer without an end. */
  constructor(
    private readonly send: (message: ToKernel) => void,
    private readonly changed: () => void,
    private readonly patient = false
  ) {}

  /** How long ago it was asked last, in milliseconds. */
  get age(): number {
    return performance.now() - this.askedAt;
  }

  isAbout(message: ToKernel): boolean {
    return JSON.stringify(this.message) === JSON.stringify(message);
  }

  ask(message: ToKernel): void {
    if (!this.isAbout(message)) this.forget();
    this.message = message;
    this.askedAt = performance.now();
    if (!this.isOpen) {
      this.isOpen = true;
      if (!this.patient) this.wait(LATE_MS, () => this.fail(BUSY, true));
    }
    this.send(message);
  }

  /** Asks what was asked last. */
  askAgain(): void {
    if (this.message) this.ask(this.message);
    this.changed();
  }

  /** There is no answer; `again` where there may be one later. */
  fail(why: string, again: boolean): void {
    this.isOpen = false;
    this.trouble = why;
    if (again) this.wait(Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** this.tries++), () => this.askAgain());
    else window.clearTimeout(this.timer);
    this.changed();
  }

  /** It is answered, or nobody wants to know any more. */
  forget(): void {
    window.clearTimeout(this.timer);
    this.message = null;
    this.isOpen = false;
    this.trouble = '';
    this.tries = 0;
  }

  private wait(milliseconds: number, then: () => void): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(then, milliseconds);
  }
}
