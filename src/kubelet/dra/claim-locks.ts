/** What is done with a claim is done one after the other, in the order in which it was asked for; with different claims at the same time. */
export class ClaimLocks {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs the task when everything before it on any of the keys has ended. */
  async run<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    const before = keys.map((k) => this.#tails.get(k));
    const done = Promise.all(before).then(task);
    const tail = done.catch(() => {});
    for (const k of keys) this.#tails.set(k, tail);
    try {
      return await done;
    } finally {
      for (const k of keys) if (this.#tails.get(k) === tail) this.#tails.delete(k);
    }
  }
}
