import type { Store, ValueView } from './contract.ts';
import { LocalStore, type Row, type RowStorage } from './local-store.ts';

export interface MemoryStoreOptions {
  /** How many of the newest writes a watch can go back, at least. Default 10,000. */
  readonly history?: number;
}

/** A store in this process's memory, for tests and clusters that need not outlive it. "Durable" means nothing here. */
export function openMemoryStore(options: MemoryStoreOptions = {}): Store {
  return new LocalStore(new MemoryRows(), { heads: [], compacted: 0 }, options.history);
}

class MemoryRows implements RowStorage {
  readonly #values = new Map<number, Buffer>();

  commit(rows: readonly Row[], drop: readonly number[]): Promise<void> {
    for (const row of rows) if (row.value) this.#values.set(row.revision, row.value);
    for (const revision of drop) this.#values.delete(revision);
    return Promise.resolve();
  }
  value(revision: number): Buffer {
    const value = this.#values.get(revision);
    if (!value) throw new Error(`row ${revision} is not in memory`);
    return value;
  }
  view(revision: number): ValueView {
    const bytes = this.value(revision);
    return { bytes, start: 0, end: bytes.length };
  }
  close(): Promise<void> {
    this.#values.clear();
    return Promise.resolve();
  }
}
