/** A file that is read again whenever it changes, as editors and mounts change files: by putting a new one in the old one's place. */
import { watch, type FSWatcher } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock, Timer } from '#base/clock.ts';
import { logger, type Logger } from '#base/logger.ts';
import { metricBlock } from '../http/request-metrics.ts';

/** Editors write a file in several steps. */
const SETTLE_MS = 250;

export interface FollowedFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** For the log: `encryption configuration`. */
  readonly what: string;
  /** Metrics are `apiserver_{metric}_config_controller_automatic_…`, as upstream's. */
  readonly metric: string;
  /** Takes a new text; rejects when it cannot be used, and what was there before stays. Never called twice at a time. */
  readonly take: (text: string) => Promise<void>;
  /** Absent: a text that could not be used is tried again only when the file changes. */
  readonly retryMs?: number;
}

/** The text of a file that need not be there. */
export function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return undefined;
    throw err;
  });
}

export class FollowedFile {
  readonly #options: FollowedFileOptions;
  readonly #log: Logger;
  readonly #reloads = { success: 0, failure: 0 };
  readonly #lastReload = { success: 0, failure: 0 };
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(options: FollowedFileOptions) {
    this.#options = options;
    this.#log = logger('config-files');
  }
  start(): void {
    const { path } = this.#options;
    this.#watcher = watch(dirname(path), { persistent: false }, (_, name) => {
      // Mounted volumes change a link `..data` beside the file.
      if (name === null || name === basename(path) || name.startsWith('..')) this.#later(SETTLE_MS);
    });
    this.#watcher.on('error', (err) => this.#log.error({ err, path }, `The ${this.#options.what} is not watched any more`));
  }
  /** Resolves when nothing is being read any more. */
  async stop(): Promise<void> {
    this.#watcher?.close();
    this.#timer?.cancel();
    await this.#reading;
    this.#timer?.cancel();
  }
  metricsText(): string {
    const { metric, what } = this.#options;
    const total = `apiserver_${metric}_config_controller_automatic_reloads_total`;
    const last = `apiserver_${metric}_config_controller_automatic_reload_last_timestamp_seconds`;
    const lines = (name: string, of: { readonly success: number; readonly failure: number }, unit: number): string[] =>
      (['success', 'failure'] as const).filter((status) => of[status] > 0).map((status) => `${name}{status="${status}"} ${of[status] / unit}`);
    return metricBlock(total, `Total number of automatic reloads of ${what} split by status.`, 'counter', lines(total, this.#reloads, 1))
      + metricBlock(last, `Timestamp of the last automatic reload of ${what} split by status.`, 'gauge', lines(last, this.#lastReload, 1000));
  }

  #later(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      this.#reading = this.#reading.then(() => this.#read());
    });
  }
  async #read(): Promise<void> {
    const { path, what, take, retryMs } = this.#options;
    try {
      await take(await readFile(path, 'utf8'));
      this.#count('success');
      this.#log.info({ path }, `The ${what} is read anew`);
    } catch (err) {
      this.#count('failure');
      this.#log.error({ path, reason: (err as Error).message }, `The ${what} cannot be used; the old one stays`);
      if (retryMs !== undefined && !this.#timer) this.#later(retryMs);
    }
  }
  #count(status: 'success' | 'failure'): void {
    this.#reloads[status] += 1;
    this.#lastReload[status] = this.#options.clock.now();
  }
}
