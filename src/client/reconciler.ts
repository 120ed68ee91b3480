import type { Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { isReason } from '#machinery/status-error.ts';
import { WorkQueue } from './work-queue.ts';

/** What a reconcile asks for: nothing more (`undefined`), or to run again after a time even if nothing changes. */
export type ReconcileResult = { readonly afterMs: number } | undefined;

/** Thrown by a reconcile that no retry can help: logged, then forgotten until the object changes. */
export class TerminalError extends Error {}

export interface ReconcilerOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Keys worked on at the same time. Default 4. */
  readonly workers?: number;
  readonly baseDelayMs?: number;
  readonly maxDelayMs?: number;
  /** Brings the world to what the object named by `key` says; thrown errors back off and retry. `signal` aborts when the controller stops. */
  reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult>;
}

/** The one loop that every controller shares: a work queue and its workers. */
export class Reconciler {
  readonly queue: WorkQueue;
  readonly #options: ReconcilerOptions;
  readonly #abort = new AbortController();
  #workers: Promise<void>[] = [];

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { clock, baseDelayMs, maxDelayMs } = options;
    this.queue = new WorkQueue({ clock, ...(baseDelayMs === undefined ? {} : { baseDelayMs }), ...(maxDelayMs === undefined ? {} : { maxDelayMs }) });
  }
  /** Starts the workers. Call it once the informers that feed the queue have synced. */
  start(): void {
    this.#workers = Array.from({ length: this.#options.workers ?? 4 }, () => this.#work());
  }
  /** Ends the work under way (its signal aborts) and waits for it. */
  async stop(): Promise<void> {
    this.#abort.abort(new Error(`${this.#options.name} is stopping`));
    this.queue.close();
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    for (let key = await this.queue.next(); key !== undefined; key = await this.queue.next()) {
      await this.#reconcile(key);
      this.queue.done(key);
    }
  }
  async #reconcile(key: string): Promise<void> {
    const { name, logger, reconcile } = this.#options;
    try {
      const result = await reconcile.call(this.#options, key, this.#abort.signal);
      this.queue.forget(key);
      if (result) this.queue.addAfter(key, result.afterMs);
    } catch (err) {
      if (this.#abort.signal.aborted) return;
      if (err instanceof TerminalError) {
        this.queue.forget(key);
        logger.error({ controller: name, key, err }, 'reconcile failed for good');
      } else {
        // Somebody else was faster: ordinary life among controllers.
        logger[isReason(err, 'Conflict') ? 'debug' : 'warn']({ controller: name, key, err, failures: this.queue.failures(key) }, 'reconcile failed, retrying');
        this.queue.addRateLimited(key);
      }
    }
  }
}
