/**
 * The default store: one LMDB file that this process alone has open.
 *
 * Rows lie under their revision, so a write is one append and the history needs no second copy. The index by key is
 * in memory, rebuilt at opening. A group of writes is one LMDB transaction: acknowledged after its pages and then its
 * root are flushed, so a crash leaves the whole group or nothing of it.
 */
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { open, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb';
import { closeOnExec } from './close-on-exec.ts';
import type { Store, ValueView } from './contract.ts';
import { lockDirectory } from './data-lock.ts';
import { headOf, LocalStore, type Row, type RowHead, type RowStorage } from './local-store.ts';

export interface EmbeddedStoreOptions {
  /** The data directory; made with mode 0700 when it is not there. */
  readonly directory: string;
  /** How many of the newest writes a watch can go back, at least, also after a restart. Default 10,000. */
  readonly history?: number;
}

const FORMAT = 1;
/**
 * Addresses set aside for the file, which takes only the pages that it has. A map that is outgrown is replaced by one of twice the size and never taken
 * down: what was read through the old ones counts as resident twice, 261 MB for a file of 137.
 */
const MAP_BYTES = 16 * 1024 ** 3;
/** Under this key lies what is not a row: revisions begin at 1. */
const META = 0;

type Rows = RootDatabase<Buffer, number> & {
  /** `append`: the key is greater than all others, whose pages it then fills to the end. Resolves with false when it is not. */
  put(key: number, value: Buffer, options: { readonly append: true }): Promise<boolean>;
};

/**
 * Opens the store of a data directory. Rejects with `DataDirectoryLockedError` when it is open already, and for data of
 * a newer format.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<Store> {
  const directory = resolve(options.directory);
  if (mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined) syncDirectory(dirname(directory));
  chmodSync(directory, 0o700);
  const lock = lockDirectory(directory);
  try {
    const file = join(realpathSync(directory), 'store.mdb');
    const rows = openRows(file);
    try {
      closeOnExec(file);
      const compacted = await readMeta(rows, directory);
      syncDirectory(directory);
      return new LocalStore(new LmdbRows(rows, file, lock.release), { heads: heads(rows), compacted }, options.history);
    } catch (err) {
      await rows.close();
      throw err;
    }
  } catch (err) {
    lock.release();
    throw err;
  }
}

function openRows(path: string): Rows {
  const options: RootDatabaseOptionsWithPath & { readonly permissionsMode: number } = {
    path,
    noSubdir: true,
    encoding: 'binary',
    cache: false,
    permissionsMode: 0o600,
    // Commits flush before they resolve; the default resolves first.
    overlappingSync: false,
    // Groups are ours: none needs to wait for the turn of the event loop to end.
    eventTurnBatching: false,
    mapSize: MAP_BYTES,
  };
  return open<Buffer, number>(options) as Rows;
}

/** The revision up to which the history was forgotten. Writes the meta entry of new data. */
async function readMeta(rows: Rows, directory: string): Promise<number> {
  const bytes = rows.get(META);
  if (bytes) {
    const meta = JSON.parse(bytes.toString()) as { format: number; compacted: number };
    if (meta.format !== FORMAT) throw new Error(`the data in "${directory}" has format ${meta.format}; this program reads format ${FORMAT}`);
    return meta.compacted;
  }
  await rows.put(META, encodeMeta(0));
  return 0;
}
function encodeMeta(compacted: number): Buffer {
  return Buffer.from(JSON.stringify({ format: FORMAT, compacted }));
}

function* heads(rows: Rows): Generator<RowHead> {
  // Keys alone, and each value by the buffer that all reads share: a copy of every value is garbage by the hundred megabytes.
  for (const revision of rows.getKeys({ start: META + 1 })) yield decodeHead(revision, rows.getBinaryFast(revision)!);
}

class LmdbRows implements RowStorage {
  readonly #rows: Rows;
  readonly #file: string;
  readonly #release: () => void;
  #compacted: number | undefined;

  constructor(rows: Rows, file: string, release: () => void) {
    this.#rows = rows;
    this.#file = file;
    this.#release = release;
  }

  async commit(rows: readonly Row[], drop: readonly number[], compacted: number): Promise<void> {
    const done: Promise<boolean>[] = [];
    try {
      const batch = this.#rows.batch(() => {
        for (const row of rows) done.push(this.#rows.put(row.revision, encodeRow(row), { append: true }));
        for (const revision of drop) done.push(this.#rows.remove(revision));
        if (compacted !== this.#compacted) done.push(this.#rows.put(META, encodeMeta(compacted)));
      });
      if (!(await Promise.all([batch, ...done])).every(Boolean)) throw new Error('the file holds rows that this process did not write, or lacks some that it did');
    } catch (err) {
      throw await commitFailure(err);
    }
    this.#compacted = compacted;
    this.#rows.resetReadTxn();
  }
  value(revision: number): Buffer {
    const bytes = this.#rows.get(revision);
    if (!bytes) throw new Error(`row ${revision} is not in the store`);
    return valueOf(bytes);
  }
  view(revision: number): ValueView {
    // One buffer for all reads; `length` is the row's, whatever the memory behind it.
    const bytes = this.#rows.getBinaryFast(revision);
    if (!bytes) throw new Error(`row ${revision} is not in the store`);
    return { bytes, start: KEY_AT + bytes.readUInt32LE(9), end: bytes.length };
  }
  async sizeBytes(): Promise<number> {
    return (await stat(this.#file)).size;
  }
  async close(): Promise<void> {
    await this.#rows.close();
    this.#release();
  }
}

/** LMDB tells the reason of a failed commit by a promise beside the error; unread, it would count as unhandled. */
async function commitFailure(err: unknown): Promise<Error> {
  let reason = err;
  if (err instanceof Error && 'commitError' in err) {
    try {
      await err.commitError;
    } catch (why) {
      reason = why;
    }
  }
  return new Error(`writing to the store failed: ${reason instanceof Error ? reason.message : String(reason)}`, { cause: reason });
}

/*
 * A row: 1 byte that is 1 for a deletion, 8 bytes previous revision (float64 LE), 4 bytes length of the key (uint32 LE), key, value.
 */
const KEY_AT = 13;

function encodeRow(row: Row): Buffer {
  const valueAt = KEY_AT + row.key.length;
  const bytes = Buffer.allocUnsafe(valueAt + (row.value?.length ?? 0));
  bytes.writeUInt8(row.value ? 0 : 1, 0);
  bytes.writeDoubleLE(row.previous, 1);
  bytes.writeUInt32LE(row.key.length, 9);
  bytes.write(row.key, KEY_AT, 'latin1');
  row.value?.copy(bytes, valueAt);
  return bytes;
}
function decodeHead(revision: number, bytes: Buffer): RowHead {
  const deleted = bytes.readUInt8(0) === 1;
  return headOf(bytes.toString('latin1', KEY_AT, KEY_AT + bytes.readUInt32LE(9)), revision, bytes.readDoubleLE(1), deleted ? undefined : valueOf(bytes));
}
function valueOf(bytes: Buffer): Buffer {
  // With its end: the buffer that reads share is longer than its `length` says.
  return bytes.subarray(KEY_AT + bytes.readUInt32LE(9), bytes.length);
}

/** Makes the entries of a directory durable. */
function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
