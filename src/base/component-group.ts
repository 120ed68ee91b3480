/** Starts components by what they need, stops them in reverse. Upstream's counterpart for the idea: k0s's component manager. */
import type { Component } from './component.ts';

export interface ComponentRow {
  readonly name: string;
  /** Names of the rows that must be ready first. */
  readonly needs: readonly string[];
  /** Called when the needs are ready. */
  create(): Component | Promise<Component>;
}
export interface GroupEvents {
  /** A component became ready; `ms` since its own start. */
  onReady?(name: string, ms: number): void;
}

/**
 * Everything that was started runs until {@link stop}, or until one component fails: then all are stopped and
 * {@link failed} resolves with the reason.
 */
export class ComponentGroup {
  readonly #rows: readonly ComponentRow[];
  readonly #events: GroupEvents;
  readonly #now: () => number;
  readonly #running: Component[] = [];
  readonly #failed = Promise.withResolvers<Error>();
  readonly #abort = new AbortController();
  #stopping: Promise<void> | undefined;

  /** `now`: milliseconds from any origin. Throws for a need that no row has, or rows that need one another. */
  constructor(rows: readonly ComponentRow[], now: () => number, events: GroupEvents = {}) {
    checkNeeds(rows);
    this.#rows = rows;
    this.#now = now;
    this.#events = events;
  }
  /** Resolves with the reason when a component that was ready fails; never rejects. */
  get failed(): Promise<Error> {
    return this.#failed.promise;
  }
  /** Starts all rows, each as soon as its needs are ready. Rejects with the first failure, after everything was stopped again. */
  async start(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#abort.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const started = new Map<string, Promise<void>>();
    const startRow = (row: ComponentRow): Promise<void> => {
      let run = started.get(row.name);
      if (!run) {
        run = this.#startRow(row, row.needs.map((n) => startRow(this.#rows.find((r) => r.name === n)!)));
        started.set(row.name, run);
      }
      return run;
    };
    try {
      await Promise.all(this.#rows.map(startRow));
    } catch (err) {
      this.#abort.abort(err);
      await Promise.allSettled(started.values());
      await this.stop();
      throw err;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
  /** Stops what runs, the last started first. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#abort.abort(new Error('the components are stopping'));
      for (const component of this.#running.toReversed()) await component.stop();
    })();
    return this.#stopping;
  }

  async #startRow(row: ComponentRow, needs: readonly Promise<void>[]): Promise<void> {
    await Promise.all(needs);
    this.#abort.signal.throwIfAborted();
    const began = this.#now();
    const component = await row.create();
    // Also one that fails half-way has something to stop.
    this.#running.push(component);
    try {
      await component.start(this.#abort.signal);
    } catch (err) {
      throw new Error(`starting ${row.name}: ${(err as Error).message}`, { cause: err });
    }
    this.#events.onReady?.(row.name, this.#now() - began);
    void component.failed?.then(async (reason) => {
      await this.stop();
      this.#failed.resolve(new Error(`${row.name} failed: ${reason.message}`, { cause: reason }));
    });
  }
}

function checkNeeds(rows: readonly ComponentRow[]): void {
  const byName = new Map(rows.map((r) => [r.name, r]));
  const visit = (row: ComponentRow, path: readonly string[]): void => {
    if (path.includes(row.name)) throw new Error(`components need one another: ${[...path, row.name].join(' → ')}`);
    for (const need of row.needs) {
      const next = byName.get(need);
      if (!next) throw new Error(`component "${row.name}" needs "${need}", which is not in the table`);
      visit(next, [...path, row.name]);
    }
  };
  for (const row of rows) visit(row, []);
}
