/** A small file of the kubelet's own, in which something outlives a restart. Never half written. */
import { readFile, rename, writeFile } from 'node:fs/promises';

export class CheckpointFile {
  readonly path: string;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }
  /** Undefined where nothing has been written yet. */
  async read(): Promise<string | undefined> {
    return await readFile(this.path, 'utf8').catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return undefined;
      throw err;
    });
  }
  /** Written one after the other; resolves when this text, or a later one, is on the disk. */
  write(text: string): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(async () => {
      await writeFile(`${this.path}.tmp`, text, { mode: 0o600 });
      await rename(`${this.path}.tmp`, this.path);
    });
    return this.#writing;
  }
  /** Resolves when what was begun is over, well or not. */
  async idle(): Promise<void> {
    await this.#writing.catch(() => {});
  }
}
