/**
 * Events live for an hour after their last write (`--event-ttl`). Upstream leaves it to etcd's leases; the Store contract has none, so
 * the API server deletes them itself. One timer, set for the oldest event, and none while there are no events.
 */
import type { Event } from '#api/gen/core-v1.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { RevisionConflictError } from '#store/contract.ts';
import type { CacheEntry, ObjectStorage } from './object-cache.ts';

const log = logger('apiserver-events');
export const EVENT_TTL_MS = 60 * 60_000;
/** Deletes under way at once. */
const BATCH = 100;
/** Events are swept together rather than one by one. */
const MIN_WAIT_MS = 30_000;

/** When an event was last written, as far as it tells. */
export function lastWrittenMs(event: Event): number {
  const times = [event.metadata.creationTimestamp, event.lastTimestamp, event.eventTime, event.series?.lastObservedTime];
  return Math.max(...times.map((t) => (t ? Date.parse(t) : 0)));
}

export class EventExpiry {
  readonly #storage: ObjectStorage;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(storage: ObjectStorage, clock: Clock, ttlMs: number = EVENT_TTL_MS) {
    this.#storage = storage;
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }
  start(): void {
    this.#running = this.#run();
  }
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const next = await this.#sweep();
        await (next === undefined ? this.#firstEvent() : this.#wait(next));
      } catch (err) {
        if (signal.aborted) return;
        log.warn({ err }, 'Expired events could not be deleted');
        await this.#wait(MIN_WAIT_MS);
      }
    }
  }
  /** Deletes what is over; resolves with the milliseconds until the next is, or undefined when there are no events. */
  async #sweep(): Promise<number | undefined> {
    const now = this.#clock.now();
    const due: CacheEntry[] = [];
    let oldest: number | undefined;
    for (const entry of this.#storage.list().entries) {
      const end = lastWrittenMs(entry.object as Event) + this.#ttlMs;
      if (end <= now) due.push(entry);
      else oldest = Math.min(oldest ?? end, end);
    }
    for (let i = 0; i < due.length && !this.#stop.signal.aborted; i += BATCH) await Promise.all(due.slice(i, i + BATCH).map((entry) => this.#delete(entry)));
    return oldest === undefined ? undefined : Math.max(oldest - this.#clock.now(), MIN_WAIT_MS);
  }
  async #delete(entry: CacheEntry): Promise<void> {
    try {
      await this.#storage.delete(entry.key, entry.revision);
    } catch (err) {
      // Written again meanwhile: it lives another hour.
      if (!(err instanceof RevisionConflictError)) throw err;
    }
  }
  /** Resolves after `ms`, or at once when the sweeping stops. */
  async #wait(ms: number): Promise<void> {
    await sleep(this.#clock, ms, this.#stop.signal).catch(() => {});
  }
  async #firstEvent(): Promise<void> {
    const seen = new AbortController();
    const signal = AbortSignal.any([seen.signal, this.#stop.signal]);
    for await (const _ of this.#storage.watch({ after: this.#storage.revision, signal })) seen.abort();
  }
}
