/** How long requests may live: one timer for all of them, and an AbortSignal for each that somebody asks for. */
import type { Clock } from '#base/clock.ts';

/** The end of one request: because the client went, its time was over, or the server stops. */
export class Lifetime {
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

/** Ends requests whose time is over, a second late at most. The timer runs only while there are requests. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #at = new Map<Lifetime, number>();
  readonly #reason: () => unknown;
  #armed = false;

  constructor(clock: Clock, reason: () => unknown) {
    this.#clock = clock;
    this.#reason = reason;
  }
  add(lifetime: Lifetime, ms: number): void {
    this.#at.set(lifetime, this.#clock.monotonic() + ms);
    this.#arm();
  }
  remove(lifetime: Lifetime): void {
    this.#at.delete(lifetime);
  }
  #sweep(): void {
    const now = this.#clock.monotonic();
    for (const [lifetime, at] of this.#at) {
      if (at > now) continue;
      this.#at.delete(lifetime);
      lifetime.end(this.#reason());
    }
    this.#armed = false;
    if (this.#at.size) this.#arm();
  }
  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(SWEEP_MS, () => this.#sweep());
  }
}
