/**
 * The order in which the containers of a Pod stop (KEP-753): main containers at once, each sidecar when everything that was started
 * after it has ended. Whoever waits spends its own grace period; when that is used up it no longer waits.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { isRestartableInit } from '../pods/containers.ts';

/** A reason made once: one made at each abort would cost a stack trace. */
const TURN_OVER = new Error('the wait is over');

export class TerminationOrder {
  readonly #clock: Clock;
  readonly #ended = new Map<string, PromiseWithResolvers<void>>();
  /** For each sidecar, what must have ended before it is stopped. */
  readonly #before = new Map<string, readonly string[]>();

  /** `running` names the containers that are about to be stopped. */
  constructor(clock: Clock, pod: Pod, running: readonly string[]) {
    this.#clock = clock;
    for (const name of running) this.#ended.set(name, Promise.withResolvers());
    const runs = (name: string) => running.includes(name);
    const later = pod.spec.containers.map((c) => c.name).filter(runs);
    for (const c of (pod.spec.initContainers ?? []).toReversed()) {
      if (!isRestartableInit(c) || !runs(c.name)) continue;
      this.#before.set(c.name, [...later]);
      later.push(c.name);
    }
  }
  /** Waits for the container's turn, at most `graceSeconds`. Resolves with the whole seconds that it waited. */
  async waitForTurn(name: string, graceSeconds: number, signal: AbortSignal): Promise<number> {
    const before = this.#before.get(name) ?? [];
    if (before.length === 0 || graceSeconds <= 0) return 0;
    const began = this.#clock.monotonic();
    const done = new AbortController();
    try {
      const limit = sleep(this.#clock, graceSeconds * 1000, AbortSignal.any([signal, done.signal]));
      await Promise.race([Promise.all(before.map((b) => this.#ended.get(b)?.promise)), limit]);
    } finally {
      done.abort(TURN_OVER);
    }
    return Math.floor((this.#clock.monotonic() - began) / 1000);
  }
  ended(name: string): void {
    this.#ended.get(name)?.resolve();
  }
}
