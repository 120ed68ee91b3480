import type grpc from '@grpc/grpc-js';
import { sleep, type Clock, type Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { CompactedError, type StoreEvent, type StoreWatch } from './contract.ts';
import { WATCH, type WatchRequest, type WatchResponse } from './etcd-schema.ts';
import { entryOf, rangeEndOf } from './etcd.ts';

export interface EtcdWatchOptions {
  readonly client: grpc.Client;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Aborts with a `StoreClosedError`. */
  readonly closed: AbortSignal;
  readonly prefix: string;
  readonly after: number;
  readonly revision: () => number;
  readonly sawRevision: (revision: number) => void;
}

/** As upstream's cacher asks while somebody waits for progress. */
const PROGRESS_MS = 100;
const RECONNECT_MS = 250;

type Stream = grpc.ClientDuplexStream<WatchRequest, WatchResponse>;

const log = logger('etcd');

/**
 * A watch on a stream of its own, opened again where it broke off. gRPC's flow control holds the server back when the
 * consumer does not read.
 */
export class EtcdWatch implements StoreWatch {
  readonly #options: EtcdWatchOptions;
  readonly #batches: AsyncGenerator<readonly StoreEvent[]>;
  /** Everything up to here was yielded. */
  #seen: number;
  #wanted: number | undefined;
  /** The stream whose watch was created: before, etcd would report a progress that means nothing. */
  #stream: Stream | undefined;
  #timer: Timer | undefined;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#seen = options.after;
    this.#batches = this.#run();
  }
  [Symbol.asyncIterator](): AsyncGenerator<readonly StoreEvent[]> {
    return this.#batches;
  }

  requestProgress(revision: number): undefined {
    this.#wanted = Math.max(this.#wanted ?? 0, revision);
    this.#askProgress();
  }

  async *#run(): AsyncGenerator<readonly StoreEvent[]> {
    const { signal, closed, clock } = this.#options;
    const ended = AbortSignal.any([signal, closed]);
    // What lies in the present needs no look into the past, which would cost a round of etcd's slow loop.
    let early = this.#seen >= this.#options.revision() ? 0 : 1;
    try {
      while (!ended.aborted) {
        try {
          yield* this.#follow(ended, Math.max(1, this.#seen + 1 - early));
        } catch (err) {
          if (ended.aborted) break;
          if (err instanceof CompactedError) throw err;
          log.warn({ prefix: this.#options.prefix, err }, 'The watch of etcd broke off; opening it again');
          early = 1;
          await sleep(clock, RECONNECT_MS, ended).catch(() => undefined);
        }
      }
    } finally {
      this.#timer?.cancel();
    }
    if (!signal.aborted) closed.throwIfAborted();
  }

  /**
   * `startRevision` is one early when it may lie in the past: etcd keeps the revision that it was compacted at, and
   * would not tell that what is asked for was the last to be forgotten.
   */
  async *#follow(ended: AbortSignal, startRevision: number): AsyncGenerator<readonly StoreEvent[]> {
    const { client, prefix } = this.#options;
    const stream: Stream = client.makeBidiStreamRequest(WATCH.path, WATCH.requestSerialize, WATCH.responseDeserialize);
    // Cancelling makes the stream emit an error that nobody may be waiting for any more.
    stream.on('error', () => undefined);
    const onAbort = (): void => stream.cancel();
    ended.addEventListener('abort', onAbort, { once: true });
    try {
      stream.write({ createRequest: { key: Buffer.from(prefix, 'latin1'), rangeEnd: rangeEndOf(prefix), startRevision, progressNotify: true, prevKv: true } });
      for await (const response of stream as AsyncIterable<WatchResponse>) {
        if (response.compactRevision > 0) throw new CompactedError(response.compactRevision);
        if (response.canceled) throw new Error(`etcd cancelled the watch: ${response.cancelReason}`);
        const events = this.#take(response, stream);
        if (events.length > 0) yield events;
      }
      ended.throwIfAborted();
      throw new Error('etcd ended the stream');
    } finally {
      this.#stream = undefined;
      ended.removeEventListener('abort', onAbort);
      stream.cancel();
    }
  }

  #take(response: WatchResponse, stream: Stream): StoreEvent[] {
    const { header, created } = response;
    this.#options.sawRevision(header.revision);
    if (created) {
      this.#stream = stream;
      this.#askProgress();
      return [];
    }
    const events: StoreEvent[] = [];
    for (const { type, kv, prevKv } of response.events) {
      if (kv.modRevision <= this.#seen) continue;
      const previous = prevKv ? entryOf(prevKv) : undefined;
      if (type === 'PUT') events.push({ type: 'put', entry: entryOf(kv), ...(previous ? { previous } : {}) });
      else if (previous) events.push({ type: 'delete', key: previous.key, revision: kv.modRevision, previous });
      else throw new CompactedError(kv.modRevision);
    }
    const last = response.events.at(-1)?.kv.modRevision;
    // Without events it reports progress: everything up to the header's revision was sent.
    const complete = last ?? header.revision;
    this.#seen = Math.max(this.#seen, complete);
    if (this.#wanted !== undefined && complete >= this.#wanted) {
      this.#wanted = undefined;
      events.push({ type: 'progress', revision: complete });
    }
    return events;
  }

  #askProgress(): void {
    if (this.#wanted === undefined || !this.#stream) return;
    this.#stream.write({ progressRequest: {} });
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(PROGRESS_MS, () => this.#askProgress());
  }
}
