/** How long requests may live: one timer for all of them, and an AbortSignal for each that somebody asks for. */
import { Bag, type BagMember } from '#base/bag.ts';
import type { Clock } from '#base/clock.ts';

/** The end of one request: because the client went, its time was over, or the server stops. */
export class Lifetime implements BagMember {
  bagIndex = -1;
  /** On the clock's monotonic scale; {@link Lifetimes} sets it. */
  deadline = Infinity;
  #controller: AbortController | undefined;
  #reason: unknown;
  #over = false;
  #onOver: ((reason: unknown) => void) | undefined;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#over) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }
  get over(): boolean {
    return this.#over;
  }
  /** Calls back once at the end, before listeners of the signal. */
  onOver(listener: (reason: unknown) => void): void {
    this.#onOver = listener;
  }
  /** The request is answered: nobody needs to hear. */
  finish(): void {
    this.#over = true;
    this.#onOver = undefined;
  }
  end(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason = reason;
    this.#onOver?.(reason);
    this.#controller?.abort(reason);
  }
}

const SWEEP_MS = 1_000;

/** The requests under way. Ends those whose time is over, a second late at most; the timer runs only while there are such with a limit. */
export class Lifetimes {
  readonly #clock: Clock;
  readonly #all = new Bag<Lifetime>();
  readonly #reason: () => unknown;
  #armed = false;

  /** `reason`: why a request ends whose time is over. */
  constructor(clock: Clock, reason: () => unknown) {
    this.#clock = clock;
    this.#reason = reason;
  }
  add(lifetime: Lifetime): void {
    this.#all.add(lifetime);
  }
  /** Of one that was added. */
  limit(lifetime: Lifetime, ms: number): void {
    lifetime.deadline = this.#clock.monotonic() + ms;
    this.#arm();
  }
  remove(lifetime: Lifetime): void {
    this.#all.delete(lifetime);
  }
  endAll(reason: unknown): void {
    for (const lifetime of this.#all) lifetime.end(reason);
  }
  #sweep(): void {
    const now = this.#clock.monotonic();
    let limited = false;
    for (const lifetime of this.#all) {
      if (lifetime.deadline <= now) lifetime.end(this.#reason());
      else limited ||= lifetime.deadline < Infinity;
    }
    this.#armed = false;
    if (limited) this.#arm();
  }
  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(SWEEP_MS, () => this.#sweep());
  }
}
