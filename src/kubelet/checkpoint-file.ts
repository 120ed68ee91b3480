/** A small file of the kubelet's own, in which something outlives a restart. Never half written. */
import { readFile, rename, writeFile } from 'node:fs/promises';

/** What is written cannot be used, and to do without it is for an administrator to decide: the kubelet does not start. */
export class UnusableCheckpoint extends Error {
  readonly path: string;

  constructor(path: string, message: string, cause: unknown) {
    super(message, { cause });
    this.path = path;
  }
}

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
