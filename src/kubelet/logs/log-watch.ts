/** Tells when a log file has changed, by the events of the kernel. */
import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { sleep, type Clock } from '#base/clock.ts';

/** A log that is written all the time is looked at this often: runtimes write line by line, and to follow them so costs many times what the lines do. */
const GATHER_MS = 10;

export class LogWatch {
  readonly #path: string;
  readonly #clock: Clock;
  /** None while the log is written all the time: an event for each line is what costs. */
  #watcher: FSWatcher | undefined;
  #wokenAt = -Infinity;
  #changed = false;
  #replaced = false;
  #wake: (() => void) | undefined;
  #error: Error | undefined;

  /** Watches the folder, so that the file may be renamed and made anew. Throws when the folder does not exist. */
  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#watcher = this.#watch();
  }
  /**
   * Resolves at once when there was an event since the last call, else with the next one, or with {@link poke}; the first event after a pause is told at once,
   * those after it together. `found`: there was something to read since the last call.
   */
  async next(found: boolean): Promise<void> {
    if (this.#watcher) await this.#event();
    else if (!found) {
      // What happened before there was a watch again is still to be looked for.
      this.#watcher = this.#watch();
      this.#replaced = true;
      return;
    }
    const early = this.#wokenAt + GATHER_MS - this.#clock.monotonic();
    if (early > 0) {
      this.close();
      await sleep(this.#clock, early);
    }
    this.#wokenAt = this.#clock.monotonic();
  }
  /** Lets {@link next} resolve without an event. */
  poke(): void {
    this.#changed = true;
    this.#wake?.();
  }
  /** True, once, when a file of that name may have been made, renamed or removed. */
  takeReplaced(): boolean {
    const replaced = this.#replaced || !this.#watcher;
    this.#replaced = false;
    return replaced;
  }
  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #watch(): FSWatcher {
    const name = basename(this.#path);
    const watcher = watch(dirname(this.#path), (event, file) => {
      if (file !== null && file !== name) return;
      if (event === 'rename') this.#replaced = true;
      this.poke();
    });
    watcher.on('error', (err) => {
      this.#error = err;
      this.#wake?.();
    });
    return watcher;
  }
  async #event(): Promise<void> {
    if (!this.#changed && !this.#error) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    this.#changed = false;
    if (this.#error) throw this.#error;
  }
}
