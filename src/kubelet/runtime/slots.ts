/**
 * At most `size` tasks at once. Urgent ones pass those that wait: what has been begun is finished before more is begun.
 */
export class Slots {
  #free: number;
  readonly #urgent: (() => void)[] = [];
  readonly #waiting: (() => void)[] = [];
  constructor(size: number) {
    this.#free = size;
  }
  /** Rejects with the signal's reason when it aborts before the task's turn; a task that runs is not touched. */
  async run<T>(task: () => Promise<T>, options: { readonly urgent?: boolean; readonly signal?: AbortSignal } = {}): Promise<T> {
    await this.#acquire(options.urgent ? this.#urgent : this.#waiting, options.signal);
    try {
      return await task();
    } finally {
      this.#release();
    }
  }
  #acquire(queue: (() => void)[], signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        queue.splice(queue.indexOf(turn), 1);
        reject(signal!.reason as Error);
      };
      queue.push(turn);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
  #release(): void {
    const next = this.#urgent.shift() ?? this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}
