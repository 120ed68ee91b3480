/**
 * How old a state may be that lists still show: continue tokens, and `resourceVersionMatch=Exact`. Upstream has etcd forget every five minutes what was
 * not the newest five minutes before (`--etcd-compaction-interval`), so a token is good for five to ten minutes. Clients count on its end:
 * who goes on for longer gets a token for the newest state instead.
 */
import type { Clock, Timer } from '#base/clock.ts';

const INTERVAL_MS = 5 * 60_000;

export class KeptRevisions {
  readonly #clock: Clock;
  readonly #newest: () => number;
  #timer: Timer | undefined;
  #oldest = 0;
  #next = 0;

  /** `newest`: the revision of the newest write. */
  constructor(clock: Clock, newest: () => number) {
    this.#clock = clock;
    this.#newest = newest;
  }
  start(): void {
    this.#next = this.#newest();
    this.#schedule();
  }
  stop(): void {
    this.#timer?.cancel();
  }
  /** States before this revision are expired. */
  get oldest(): number {
    return this.#oldest;
  }

  #schedule(): void {
    this.#timer = this.#clock.after(INTERVAL_MS, () => {
      this.#oldest = this.#next;
      this.#next = this.#newest();
      this.#schedule();
    });
  }
}
