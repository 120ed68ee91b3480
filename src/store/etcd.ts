/**
 * A store in etcd v3, for clusters with several API servers. Wants 3.4.31, 3.5.13 or later, as upstream does for consistent
 * reads from its cache: before, etcd could report a watch's progress ahead of its events (its issue 15220), or not at all
 * while a watch was new (17507).
 */
import grpc from '@grpc/grpc-js';
import { systemClock, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { RevisionConflictError, StoreClosedError, type ListOptions, type ListResult, type Store, type StoreEntry, type StoreWatch } from './contract.ts';
import { COMPACT, RANGE, STATUS, TXN, type KeyValue, type RangeRequest, type RangeResponse, type TxnRequest } from './etcd-schema.ts';
import { EtcdWatch } from './etcd-watch.ts';

export interface EtcdStoreOptions {
  /** The members: IPv4 addresses with ports (`10.0.0.1:2379`), or one gRPC target of any kind (`etcd.example:2379`, `unix:/path`). */
  readonly endpoints: readonly string[];
  /** PEM. Absent: no TLS. */
  readonly tls?: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly clock?: Clock;
}

/** Entries in one answer of an unlimited list. */
const PAGE = 1_000;
const ASCII = /^[ -~]+$/;
const CHANNEL: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 3_000,
};

const log = logger('etcd');

/** Opens a store in etcd. Rejects when no member answers. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const store = new EtcdStore(options);
  try {
    await store.connect();
  } catch (err) {
    await store.close();
    throw err;
  }
  return store;
}

class EtcdStore implements Store {
  readonly #client: grpc.Client;
  readonly #clock: Clock;
  #revision = 0;
  #closing: Promise<void> | undefined;
  readonly #closed = new AbortController();
  readonly #pending = new Set<Promise<unknown>>();

  constructor(options: EtcdStoreOptions) {
    const { endpoints, tls } = options;
    const target = endpoints.length === 1 ? endpoints[0]! : `ipv4:${endpoints.join(',')}`;
    this.#client = new grpc.Client(target, tls ? grpc.credentials.createSsl(tls.ca, tls.key, tls.cert) : grpc.credentials.createInsecure(), CHANNEL);
    this.#clock = options.clock ?? systemClock;
  }

  async connect(): Promise<void> {
    await this.latestRevision();
    const { version } = await this.#call(STATUS, {});
    if (!reportsProgressTruly(version)) log.warn({ version }, 'This release of etcd may report the progress of a watch too early or too late: consistent lists may miss the newest writes of other servers, or wait for them');
  }

  get revision(): number {
    return this.#revision;
  }
  async latestRevision(): Promise<number> {
    const { header } = await this.#range({ key: bytes('/'), countOnly: true });
    return header.revision;
  }

  async sizeBytes(): Promise<number> {
    return (await this.#call(STATUS, {})).dbSize;
  }
  async get(key: string): Promise<StoreEntry | undefined> {
    const { kvs } = await this.#range({ key: bytes(key) });
    return kvs[0] && entryOf(kvs[0]);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    const rangeEnd = rangeEndOf(prefix);
    const start = options.startKey !== undefined && options.startKey > prefix ? options.startKey : prefix;
    if (options.limit) {
      const page = await this.#range({ key: bytes(start), rangeEnd, limit: options.limit });
      return { entries: page.kvs.map(entryOf), revision: page.header.revision, more: page.more };
    }
    const entries: StoreEntry[] = [];
    let revision = 0;
    for (let key = start; ; key = `${entries.at(-1)!.key}\0`) {
      const page = await this.#range({ key: bytes(key), rangeEnd, limit: PAGE, ...(revision ? { revision } : {}) });
      revision ||= page.header.revision;
      for (const kv of page.kvs) entries.push(entryOf(kv));
      if (!page.more) return { entries, revision, more: false };
    }
  }

  async create(key: string, value: Buffer): Promise<StoreEntry> {
    if (!ASCII.test(key)) throw new TypeError(`key ${JSON.stringify(key)} is not printable ASCII`);
    return { key, value, modRevision: await this.#guarded(key, 0, { requestPut: { key: bytes(key), value } }) };
  }
  async update(key: string, value: Buffer, expected: number): Promise<StoreEntry> {
    return { key, value, modRevision: await this.#guarded(key, expected || -1, { requestPut: { key: bytes(key), value } }) };
  }
  delete(key: string, expected: number): Promise<number> {
    return this.#guarded(key, expected || -1, { requestDeleteRange: { key: bytes(key) } });
  }

  watch(prefix: string, after: number, signal: AbortSignal): StoreWatch {
    return new EtcdWatch({
      client: this.#client, clock: this.#clock, signal, closed: this.#closed.signal, prefix, after,
      revision: () => this.#revision, sawRevision: (revision) => this.#saw(revision),
    });
  }

  async compact(revision: number): Promise<void> {
    const upTo = Math.min(revision, await this.latestRevision());
    try {
      await this.#call(COMPACT, { revision: upTo });
    } catch (err) {
      // Somebody else has compacted as far already.
      if (!(err instanceof EtcdError && err.code === grpc.status.OUT_OF_RANGE)) throw err;
    }
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled(this.#pending);
      this.#closed.abort(new StoreClosedError());
      this.#client.close();
    })();
    return this.#closing;
  }

  async #guarded(key: string, expected: number, op: TxnRequest['success'][number]): Promise<number> {
    const { header, succeeded, responses } = await this.#call(TXN, {
      compare: [{ result: 'EQUAL', target: 'MOD', key: bytes(key), modRevision: expected }],
      success: [op],
      failure: [{ requestRange: { key: bytes(key) } }],
    });
    this.#saw(header.revision);
    if (succeeded) return header.revision;
    const current = responses[0]?.responseRange?.kvs[0];
    throw new RevisionConflictError(key, current && entryOf(current));
  }
  async #range(request: RangeRequest): Promise<RangeResponse> {
    const response = await this.#call(RANGE, request);
    this.#saw(response.header.revision);
    return response;
  }
  #saw(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
  }

  async #call<In, Out>(method: grpc.MethodDefinition<In, Out>, request: In): Promise<Out> {
    if (this.#closing) throw new StoreClosedError();
    const done = new Promise<Out>((resolve, reject) => {
      this.#client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, (err, response) => {
        if (err) reject(new EtcdError(method.path, err));
        else resolve(response!);
      });
    });
    this.#pending.add(done);
    try {
      return await done;
    } finally {
      this.#pending.delete(done);
    }
  }
}

/** A call that etcd refused, or that did not reach it. A write that failed so may have been made. */
export class EtcdError extends Error {
  readonly code: grpc.status;
  constructor(path: string, cause: grpc.ServiceError) {
    super(`etcd: ${path.slice(path.lastIndexOf('/') + 1)} failed: ${cause.details}`, { cause });
    this.name = 'EtcdError';
    this.code = cause.code;
  }
}

/** Whether the release has the fixes of etcd's issues 15220 and 17507. */
export function reportsProgressTruly(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  const fixed = major === 3 && minor === 4 ? 31 : major === 3 && minor === 5 ? 13 : 0;
  return major > 3 || (major === 3 && minor >= 4 && patch >= fixed);
}

function bytes(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}
/** The least key after all those with the prefix, which is ASCII and not empty. */
export function rangeEndOf(prefix: string): Buffer {
  const end = bytes(prefix);
  end[end.length - 1]!++;
  return end;
}
export function entryOf(kv: KeyValue): StoreEntry {
  return { key: kv.key.toString('latin1'), value: kv.value, modRevision: kv.modRevision };
}
