import type { Clock, Timer } from './clock.ts';

interface Pending {
  readonly at: number;
  readonly fn: () => void;
}

/** A clock that moves only when a test says so. Timers fire in order of their time, then of their setting. */
export class FakeClock implements Clock {
  #now: number;
  readonly #began: number;
  #jumped = 0;
  #pending: Pending[] = [];

  constructor(now = Date.parse('2026-01-02T03:04:05Z')) {
    this.#now = now;
    this.#began = now;
  }
  now(): number {
    return this.#now + this.#jumped;
  }
  /** Sets the time of day forward or back, as an operator does: timers and the monotonic time go on as they were. */
  jump(ms: number): void {
    this.#jumped += ms;
  }
  /** Since the clock was made, so that nothing takes it for the time of day. */
  monotonic(): number {
    return this.#now - this.#began;
  }
  after(ms: number, fn: () => void): Timer {
    const entry = { at: this.#now + Math.max(ms, 0), fn };
    this.#pending.push(entry);
    return { cancel: () => void (this.#pending = this.#pending.filter((p) => p !== entry)) };
  }
  /** Number of timers that are set. */
  get timers(): number {
    return this.#pending.length;
  }
  /** Moves time forward by `ms`, firing what falls due and letting promise callbacks run between timers. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await flushMicrotasks();
      const next = this.#pending.filter((p) => p.at <= end).reduce<Pending | undefined>((a, b) => (a && a.at <= b.at ? a : b), undefined);
      if (!next) break;
      this.#pending = this.#pending.filter((p) => p !== next);
      this.#now = Math.max(this.#now, next.at);
      next.fn();
    }
    this.#now = end;
    await flushMicrotasks();
  }
}

/** Lets everything that is ready to run, run: promise callbacks and `setImmediate`. */
export async function flushMicrotasks(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
