import type { StoreEvent, StoreWatch } from './contract.ts';

/** What a {@link LocalWatch} needs of its store. */
export interface LocalWatchOptions {
  readonly prefix: string;
  readonly after: number;
  readonly signal: AbortSignal;
  /** Events under `prefix` after a revision, from the store's history, and the revision up to which they are complete. Throws when they are gone. */
  readonly read: (from: number, prefix: string) => { events: StoreEvent[]; upTo: number };
  readonly revision: () => number;
  /** The watches that have seen everything and wait: the store offers them each new group. */
  readonly parked: Set<LocalWatch>;
}

/**
 * A watch over a store of this process: a cursor into the store's history. It holds no events of its own, so a consumer
 * that does not read costs nothing and is overtaken when the history moves on.
 */
export class LocalWatch implements StoreWatch, AsyncIterator<readonly StoreEvent[]> {
  readonly #options: LocalWatchOptions;
  /** Everything up to here was yielded. */
  #seen: number;
  #waiting: PromiseWithResolvers<IteratorResult<readonly StoreEvent[]>> | undefined;
  /** The revision that a progress event was asked for. */
  #wanted: number | undefined;
  #ended = false;
  readonly #onAbort = () => this.#end();

  constructor(options: LocalWatchOptions) {
    this.#options = options;
    this.#seen = options.after;
    if (options.signal.aborted) this.#ended = true;
    else options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }
  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<readonly StoreEvent[]>> {
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiting) return Promise.reject(new Error('a watch of the store has one consumer, who waits for one batch at a time'));
    try {
      const { events, upTo } = this.#options.read(this.#seen, this.#options.prefix);
      this.#seen = upTo;
      this.#addProgress(events);
      if (events.length > 0) return Promise.resolve({ done: false, value: events });
    } catch (err) {
      this.#end();
      return Promise.reject(err);
    }
    this.#waiting = Promise.withResolvers();
    this.#options.parked.add(this);
    return this.#waiting.promise;
  }
  return(): Promise<IteratorResult<readonly StoreEvent[]>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  requestProgress(revision: number): number | undefined {
    // A watch that starts at a revision to come has "seen" more than there is.
    const seen = Math.min(this.#seen, this.#options.revision());
    if (this.#waiting && seen >= revision) return seen;
    this.#wanted = Math.max(this.#wanted ?? 0, revision);
    return undefined;
  }

  /** The store: a new group of rows, up to `revision`. Only called while the watch is parked. */
  offer(rows: readonly { readonly key: string }[], eventAt: (i: number) => StoreEvent, revision: number): void {
    const before = this.#options.after;
    const events: StoreEvent[] = [];
    for (let i = 0; i < rows.length; i++) {
      // A watch may start at a revision that is yet to come.
      if (rows[i]!.key.startsWith(this.#options.prefix) && revision - rows.length + i + 1 > before) events.push(eventAt(i));
    }
    this.#seen = Math.max(revision, this.#seen);
    this.#addProgress(events);
    if (events.length > 0) this.#unpark()?.resolve({ done: false, value: events });
  }
  /** The store: no more events will come. */
  fail(reason: Error): void {
    const waiting = this.#unpark();
    this.#end();
    waiting?.reject(reason);
  }

  #addProgress(events: StoreEvent[]): void {
    const seen = Math.min(this.#seen, this.#options.revision());
    if (this.#wanted === undefined || seen < this.#wanted) return;
    this.#wanted = undefined;
    events.push({ type: 'progress', revision: seen });
  }
  #unpark(): PromiseWithResolvers<IteratorResult<readonly StoreEvent[]>> | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#options.parked.delete(this);
    return waiting;
  }
  #end(): void {
    this.#ended = true;
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#unpark()?.resolve({ done: true, value: undefined });
  }
}
