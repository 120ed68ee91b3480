import type { Clock, Timer } from '#base/clock.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Delay of the first retry. Default 5 ms, doubled with each failure of the same key. */
  readonly baseDelayMs?: number;
  /** Longest delay between retries. Default 1,000 s. */
  readonly maxDelayMs?: number;
}

/**
 * Keys waiting to be worked on. A key is in the queue at most once; one added while it is being worked on comes back when
 * that work is `done`, so that no two workers hold the same key. Upstream's counterpart: client-go's rate-limiting queue.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #baseMs: number;
  readonly #maxMs: number;
  /** In arrival order. */
  readonly #ready = new Set<string>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #delayed = new Map<string, { at: number; timer: Timer }>();
  #waiters: ((key: string | undefined) => void)[] = [];
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#baseMs = options.baseDelayMs ?? 5;
    this.#maxMs = options.maxDelayMs ?? 1_000_000;
  }
  get length(): number {
    return this.#ready.size;
  }
  /** True when nothing is ready, being worked on or waiting for its time. */
  get idle(): boolean {
    return this.#ready.size === 0 && this.#working.size === 0 && this.#delayed.size === 0;
  }

  add(key: string): void {
    if (this.#closed) return;
    if (this.#working.has(key)) return void this.#again.add(key);
    if (this.#ready.has(key)) return;
    const waiter = this.#waiters.shift();
    if (!waiter) return void this.#ready.add(key);
    this.#working.add(key);
    waiter(key);
  }
  /** Adds the key after `ms`; an earlier time that is already set stays. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return;
    if (ms <= 0) return this.add(key);
    const at = this.#clock.monotonic() + ms;
    const set = this.#delayed.get(key);
    if (set && set.at <= at) return;
    set?.timer.cancel();
    const timer = this.#clock.after(ms, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { at, timer });
  }
  /** Adds the key after its back-off: the delay doubles with each call until {@link forget}. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.addAfter(key, Math.min(this.#baseMs * 2 ** Math.min(failures, 40), this.#maxMs));
  }
  /** The key's work succeeded: its back-off starts anew. */
  forget(key: string): void {
    this.#failures.delete(key);
  }
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, which is then being worked on until {@link done}; undefined once the queue is closed. */
  next(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    for (const key of this.#ready) {
      this.#ready.delete(key);
      this.#working.add(key);
      return Promise.resolve(key);
    }
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
  done(key: string): void {
    this.#working.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }
  /** Ends every wait and drops what is queued. */
  close(): void {
    this.#closed = true;
    this.#ready.clear();
    this.#again.clear();
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    for (const waiter of this.#waiters.splice(0)) waiter(undefined);
  }
}
