/** Tells when a log file has changed, by the events of the kernel. */
import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

export class LogWatch {
  readonly #watcher: FSWatcher;
  #changed = false;
  #replaced = false;
  #wake: (() => void) | undefined;
  #error: Error | undefined;

  /** Watches the folder, so that the file may be renamed and made anew. Throws when the folder does not exist. */
  constructor(path: string) {
    const name = basename(path);
    this.#watcher = watch(dirname(path), (event, file) => {
      if (file !== null && file !== name) return;
      if (event === 'rename') this.#replaced = true;
      this.#changed = true;
      this.#wake?.();
    });
    this.#watcher.on('error', (err) => {
      this.#error = err;
      this.#wake?.();
    });
  }
  /** Resolves at once when there was an event since the last call, else with the next one, or with {@link poke}. */
  async next(): Promise<void> {
    if (!this.#changed && !this.#error) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    this.#changed = false;
    if (this.#error) throw this.#error;
  }
  /** Lets {@link next} resolve without an event. */
  poke(): void {
    this.#changed = true;
    this.#wake?.();
  }
  /** True, once, when a file of that name was made, renamed or removed. */
  takeReplaced(): boolean {
    const replaced = this.#replaced;
    this.#replaced = false;
    return replaced;
  }
  close(): void {
    this.#watcher.close();
  }
}
