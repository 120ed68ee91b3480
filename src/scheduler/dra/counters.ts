/** Counters that devices of a pool draw on together: partitions of one whole. Source: the API reference, "CounterSet"; KEP-4815. */
import type { Device } from '#api/gen/resource-v1.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import type { DeviceLedger } from './device-ledger.ts';
import type { Candidate, Pool } from './pools.ts';

type Book = Map<string, Map<string, Quantity>>;

function* draws(device: Device): Generator<readonly [set: string, counter: string, amount: Quantity]> {
  for (const { counterSet, counters } of device.consumesCounters ?? []) {
    for (const [name, { value }] of Object.entries(counters)) yield [counterSet, name, parseQuantity(value)];
  }
}
function draw(book: Book, device: Device, sign: 1 | -1): void {
  for (const [set, name, amount] of draws(device)) {
    const counters = book.get(set);
    const left = counters?.get(name);
    if (left) counters!.set(name, sign > 0 ? left.sub(amount) : left.add(amount));
  }
}

/** What is left while an allocation is looked for. */
export class CounterBooks {
  readonly #ledger: DeviceLedger;
  readonly #books = new Map<Pool, Book>();

  constructor(ledger: DeviceLedger) {
    this.#ledger = ledger;
  }
  has({ pool, device }: Candidate): boolean {
    const book = this.#bookOf(pool);
    // A device may draw twice on one counter.
    const wanted = new Map<string, Quantity>();
    for (const [set, name, amount] of draws(device)) {
      const key = `${set}/${name}`;
      const sum = wanted.get(key)?.add(amount) ?? amount;
      wanted.set(key, sum);
      const left = book.get(set)?.get(name);
      if (!left || left.cmp(sum) < 0) return false;
    }
    return true;
  }
  take({ pool, device }: Candidate): void {
    draw(this.#bookOf(pool), device, 1);
  }
  giveBack({ pool, device }: Candidate): void {
    draw(this.#bookOf(pool), device, -1);
  }
  #bookOf(pool: Pool): Book {
    let book = this.#books.get(pool);
    if (!book) {
      book = new Map(pool.counterSets.entries().map(([name, counters]) => [name, new Map(counters)]));
      for (const { id, device } of pool.consumers) if (this.#ledger.isUsed(id)) draw(book, device, 1);
      this.#books.set(pool, book);
    }
    return book;
  }
}
