/**
 * A store that this process alone writes: everything but the place where rows lie. `memory.ts` and `embedded.ts` give the place.
 *
 * Writes queue up while a group is being made durable. The next group is then planned at once (guards checked, revisions
 * allocated in order), committed as one transaction, and published: index, watchers, promises, in one synchronous step.
 * So what can be read is always durable, and a failed commit leaves nothing behind.
 */
import { CompactedError, RevisionConflictError, StoreClosedError, type ListOptions, type ListResult, type Store, type StoredHead, type StoreEntry, type StoreEvent, type ValuesAtHand, type ValueView } from './contract.ts';
import { LocalWatch } from './local-watch.ts';
import { SortedMap } from './sorted-map.ts';

/** A write as it is kept. Rows are numbered by their revision, one each. */
export interface Row {
  readonly revision: number;
  readonly key: string;
  /** Undefined: the key was deleted. */
  readonly value: Buffer | undefined;
  /** Revision of the row that this one replaced; 0 when it created the key. */
  readonly previous: number;
}
/** What of a row stays in memory. */
export interface RowHead extends StoredHead {
  readonly previous: number;
  readonly deleted: boolean;
}
const OPEN_BRACE = 0x7b;
/** `value`: undefined when the row is a deletion. */
export function headOf(key: string, revision: number, previous: number, value: Buffer | undefined): RowHead {
  return { key, revision, size: value?.length ?? 0, plain: value?.[0] === OPEN_BRACE, previous, deleted: value === undefined };
}
/** The place where rows lie. */
export interface RowStorage {
  /** Adds rows and removes those of the revisions in `drop`, all or nothing; resolves when that is durable. `compacted` is kept beside them. */
  commit(rows: readonly Row[], drop: readonly number[], compacted: number): Promise<void>;
  /** Value of a row that was committed and not dropped. */
  value(revision: number): Buffer;
  view(revision: number): ValueView;
  /** Bytes that the file takes, where there is one. */
  sizeBytes?(): Promise<number>;
  close(): Promise<void>;
}
/** What a storage found when it was opened. */
export interface Recovered {
  /** Heads of all rows, in order of revisions. */
  readonly heads: Iterable<RowHead>;
  readonly compacted: number;
}

export const DEFAULT_HISTORY = 10_000;
/** Writes in one transaction, at most: bounds how long planning and publishing hold the event loop. */
const MAX_GROUP = 512;
/** Events in a batch that a slow watcher reads from the history. */
const MAX_BATCH = 1_000;
const ASCII = /^[ -~]+$/;

interface Write {
  readonly key: string;
  readonly value: Buffer | undefined;
  /** 0: the key must not exist. */
  readonly expected: number;
  readonly resolve: (row: Row) => void;
  readonly reject: (reason: unknown) => void;
}
interface Compaction {
  readonly compact: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}
interface Plan {
  readonly rows: Row[];
  /** The writes of {@link rows}, in the same order. */
  readonly writes: Write[];
  /** Writes that lost against one of the same group: they are told when that one is durable. */
  readonly lost: { readonly write: Write; readonly current: Row | undefined }[];
}

export class LocalStore implements Store {
  readonly atHand: ValuesAtHand = {
    heads: (prefix) => this.#heads(prefix),
    value: (revision) => this.#storage.value(revision),
    view: (revision) => this.#storage.view(revision),
  };
  readonly #storage: RowStorage;
  readonly #historyLimit: number;
  #index: SortedMap<RowHead>;
  /** Every write after {@link #compacted}: the one of revision r at index r - #compacted - 1. */
  #history: RowHead[] = [];
  #compacted: number;
  #revision: number;
  #queue: (Write | Compaction)[] = [];
  /** Settles when the writes under way are done; undefined when there are none. */
  #draining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  readonly #parked = new Set<LocalWatch>();

  /** `history`: how many of the newest writes a watch can go back, at least. */
  constructor(storage: RowStorage, recovered: Recovered, history = DEFAULT_HISTORY) {
    this.#storage = storage;
    this.#historyLimit = history;
    this.#compacted = recovered.compacted;
    this.#revision = recovered.compacted;
    const live = new Map<string, RowHead>();
    for (const head of recovered.heads) {
      if (head.deleted) live.delete(head.key);
      else live.set(head.key, head);
      if (head.revision > this.#compacted) this.#history.push(head);
      this.#revision = Math.max(this.#revision, head.revision);
    }
    this.#index = SortedMap.fromSorted([...live.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
  }

  get revision(): number {
    return this.#revision;
  }
  latestRevision(): number {
    return this.#revision;
  }
  async sizeBytes(): Promise<number | undefined> {
    this.#assertOpen();
    return this.#storage.sizeBytes?.();
  }
  /** Number of keys. */
  get size(): number {
    return this.#index.size;
  }

  async get(key: string): Promise<StoreEntry | undefined> {
    this.#assertOpen();
    const head = this.#index.get(key);
    return head && this.#entry(head);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    this.#assertOpen();
    const limit = options.limit || Infinity;
    const start = options.startKey !== undefined && options.startKey > prefix ? options.startKey : prefix;
    const entries: StoreEntry[] = [];
    let more = false;
    this.#index.scan(start, (head) => {
      if (!head.key.startsWith(prefix)) return false;
      if (entries.length >= limit) return !(more = true);
      entries.push(this.#entry(head));
      return true;
    });
    return { entries, revision: this.#revision, more };
  }

  #heads(prefix: string): { heads: readonly StoredHead[]; revision: number } {
    this.#assertOpen();
    const heads: StoredHead[] = [];
    this.#index.scan(prefix, (head) => head.key.startsWith(prefix) && heads.push(head) > 0);
    return { heads, revision: this.#revision };
  }

  async create(key: string, value: Buffer): Promise<StoreEntry> {
    if (!ASCII.test(key)) throw new TypeError(`key ${JSON.stringify(key)} is not printable ASCII`);
    const row = await this.#write(key, value, 0);
    return { key, value, modRevision: row.revision };
  }
  async update(key: string, value: Buffer, expected: number): Promise<StoreEntry> {
    const row = await this.#write(key, value, expected || -1);
    return { key: row.key, value, modRevision: row.revision };
  }
  async delete(key: string, expected: number): Promise<number> {
    return (await this.#write(key, undefined, expected || -1)).revision;
  }
  watch(prefix: string, after: number, signal: AbortSignal): LocalWatch {
    return new LocalWatch({ prefix, after, signal, read: (from, wanted) => this.#read(from, wanted), revision: () => this.#revision, parked: this.#parked });
  }
  compact(revision: number): Promise<void> {
    return new Promise((resolve, reject) => this.#enqueue({ compact: revision, resolve, reject }));
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#draining;
      for (const watch of this.#parked) watch.fail(new StoreClosedError());
      await this.#storage.close();
    })();
    return this.#closing;
  }

  #assertOpen(): void {
    if (this.#closing) throw new StoreClosedError();
  }
  #entry(head: RowHead): StoreEntry {
    return { key: head.key, value: this.#storage.value(head.revision), modRevision: head.revision };
  }

  #write(key: string, value: Buffer | undefined, expected: number): Promise<Row> {
    return new Promise((resolve, reject) => this.#enqueue({ key, value, expected, resolve, reject }));
  }
  #enqueue(op: Write | Compaction): void {
    if (this.#closing) return op.reject(new StoreClosedError());
    this.#queue.push(op);
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    await undefined; // writes of the same turn share the first group
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!;
      if ('compact' in first) {
        this.#queue.shift();
        await this.#compact(first);
        continue;
      }
      const cut = this.#queue.findIndex((op, i) => i >= MAX_GROUP || 'compact' in op);
      const ops = this.#queue.splice(0, cut < 0 ? this.#queue.length : cut) as Write[];
      await this.#commit(this.#plan(ops));
    }
    this.#draining = undefined;
  }

  /** Checks the guards against the state that the writes before in the group will have made, and allocates revisions. */
  #plan(ops: readonly Write[]): Plan {
    const plan: Plan = { rows: [], writes: [], lost: [] };
    const changed = new Map<string, Row>();
    for (const write of ops) {
      const fresh = changed.get(write.key);
      const head = this.#index.get(write.key);
      const now = fresh ? (fresh.value ? fresh.revision : 0) : (head?.revision ?? 0);
      if (now !== write.expected) {
        if (fresh) plan.lost.push({ write, current: fresh });
        else write.reject(new RevisionConflictError(write.key, head && this.#entry(head)));
        continue;
      }
      // The key's first string is used ever after: one copy, whoever asks.
      const row = { revision: this.#revision + plan.rows.length + 1, key: fresh?.key ?? head?.key ?? write.key, value: write.value, previous: now };
      changed.set(row.key, row);
      plan.rows.push(row);
      plan.writes.push(write);
    }
    return plan;
  }

  async #commit(plan: Plan): Promise<void> {
    if (plan.rows.length > 0) {
      const excess = this.#history.length + plan.rows.length - this.#historyLimit;
      // A share of the limit at a time: removing rows one by one would touch the oldest pages in every transaction.
      const compacted = excess > this.#historyLimit >> 3 ? Math.min(this.#compacted + excess, this.#revision) : this.#compacted;
      try {
        await this.#storage.commit(plan.rows, this.#superseded(compacted), compacted);
      } catch (err) {
        for (const write of plan.writes) write.reject(err);
        for (const { write } of plan.lost) write.reject(err);
        return;
      }
      this.#forget(compacted);
      this.#publish(plan.rows);
    }
    plan.writes.forEach((write, i) => write.resolve(plan.rows[i]!));
    for (const { write, current } of plan.lost) {
      const entry = current?.value && { key: current.key, value: current.value, modRevision: current.revision };
      write.reject(new RevisionConflictError(write.key, entry));
    }
  }

  #publish(rows: readonly Row[]): void {
    for (const row of rows) {
      const head = headOf(row.key, row.revision, row.previous, row.value);
      this.#history.push(head);
      if (head.deleted) this.#index.delete(row.key);
      else this.#index.set(head);
    }
    this.#revision = rows.at(-1)!.revision;
    if (this.#parked.size === 0) return;
    const events: (StoreEvent | undefined)[] = rows.map(() => undefined);
    const eventAt = (i: number): StoreEvent => (events[i] ??= this.#event(rows[i]!, rows[i]!.value));
    for (const watch of this.#parked) watch.offer(rows, eventAt, this.#revision);
  }

  #event(row: Pick<RowHead, 'key' | 'revision' | 'previous'>, value: Buffer | undefined): StoreEvent {
    const previous = row.previous === 0 ? undefined : { key: row.key, value: this.#storage.value(row.previous), modRevision: row.previous };
    if (value === undefined) return { type: 'delete', key: row.key, revision: row.revision, previous: previous! };
    return { type: 'put', entry: { key: row.key, value, modRevision: row.revision }, ...(previous ? { previous } : {}) };
  }

  /** Events after `from` that a watch has not seen, and how far it has then seen everything. */
  #read(from: number, prefix: string): { events: StoreEvent[]; upTo: number } {
    this.#assertOpen();
    if (from < this.#compacted) throw new CompactedError(this.#compacted);
    const events: StoreEvent[] = [];
    let upTo = Math.max(from, this.#revision);
    for (let i = from - this.#compacted; i < this.#history.length; i++) {
      const head = this.#history[i]!;
      if (!head.key.startsWith(prefix)) continue;
      events.push(this.#event(head, head.deleted ? undefined : this.#storage.value(head.revision)));
      if (events.length < MAX_BATCH) continue;
      upTo = head.revision;
      break;
    }
    return { events, upTo };
  }

  async #compact(op: Compaction): Promise<void> {
    const compacted = Math.min(op.compact, this.#revision);
    if (compacted > this.#compacted) {
      try {
        await this.#storage.commit([], this.#superseded(compacted), compacted);
      } catch (err) {
        return op.reject(err);
      }
      this.#forget(compacted);
    }
    op.resolve();
  }
  /** Rows that nobody can ask for once the history up to `compacted` is forgotten. */
  #superseded(compacted: number): number[] {
    const drop: number[] = [];
    for (let i = 0; i < compacted - this.#compacted; i++) {
      const head = this.#history[i]!;
      if (head.previous !== 0) drop.push(head.previous);
      if (head.deleted) drop.push(head.revision);
    }
    return drop;
  }
  #forget(compacted: number): void {
    if (compacted > this.#compacted) this.#history.splice(0, compacted - this.#compacted);
    this.#compacted = compacted;
  }
}
