/**
 * Reads the log files of containers: from a point near the end, once or as they grow, across rotation.
 * A file rotates in two steps: it is renamed, and the runtime is told to open a new one of the old name.
 */
import { open, realpath, stat, type FileHandle } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { LogFormatter } from './log-formatter.ts';
import type { LogOptions } from './log-options.ts';
import { LogWatch } from './log-watch.ts';

const BLOCK_BYTES = 256 * 1024;
const TAIL_BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** One run of a container, as its log file sees it. */
export interface LogSource {
  readonly path: string;
  /** Aborts when the container has stopped and nothing more will be written. Needed only to follow. */
  readonly stopped: AbortSignal;
  readonly clock: Clock;
}

/**
 * What `kubectl logs` shows, in pieces. Ends at the end of the file, or when following with the end of this run of the container, as upstream's
 * kubelet does (its next run is another request's); when `signal` aborts it ends, too. Rejects before the first piece when the file cannot be opened.
 */
export async function* readLogs(source: LogSource, options: LogOptions, signal: AbortSignal): AsyncGenerator<Buffer> {
  yield* readRun(await resolvePath(source.path), source, new LogFormatter(options), { follow: options.follow, tail: options.tailLines, signal });
}

async function resolvePath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : (err as Error).message;
    throw new Error(`failed to try resolving symlinks in path ${JSON.stringify(path)}: lstat ${path}: ${reason}`, { cause: err });
  }
}

interface RunOptions {
  readonly follow: boolean;
  readonly tail: number | undefined;
  readonly signal: AbortSignal;
}

async function* readRun(path: string, run: LogSource, formatter: LogFormatter, options: RunOptions): AsyncGenerator<Buffer> {
  // The watch stands before the first read, so that nothing written in between is missed.
  const watch = options.follow ? new LogWatch(path, run.clock) : undefined;
  const onAbort = (): void => watch?.poke();
  options.signal.addEventListener('abort', onAbort, { once: true });
  const file = new GrowingFile(await open(path, 'r').catch((err: unknown) => {
    watch?.close();
    throw err;
  }));
  try {
    if (options.tail !== undefined) await file.seekTail(options.tail, !options.follow);
    yield* watch ? followFile(path, run, file, formatter, watch, options.signal) : drain(file, formatter, options.signal);
    if (!formatter.exhausted) yield* nonEmpty(formatter.end());
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    watch?.close();
    await file.close();
  }
}

function* nonEmpty(piece: Buffer): Generator<Buffer> {
  if (piece.length) yield piece;
}

/** Everything up to the end of the file as it is now. */
async function* drain(file: GrowingFile, formatter: LogFormatter, signal: AbortSignal): AsyncGenerator<Buffer> {
  while (!formatter.exhausted && !signal.aborted) {
    const block = await file.read();
    if (!block) return;
    yield* nonEmpty(formatter.feed(block));
  }
}

async function* followFile(path: string, run: LogSource, file: GrowingFile, formatter: LogFormatter, watch: LogWatch, signal: AbortSignal): AsyncGenerator<Buffer> {
  const onStopped = (): void => watch.poke();
  run.stopped.addEventListener('abort', onStopped, { once: true });
  let maybeReplaced = false;
  try {
    while (!signal.aborted) {
      // The order matters: what was written before the container stopped is read after its end was seen.
      const last = run.stopped.aborted;
      const from = file.position;
      yield* drain(file, formatter, signal);
      if (formatter.exhausted) return;
      maybeReplaced = watch.takeReplaced() || maybeReplaced;
      const state: 'same' | 'waiting' | 'replaced' = maybeReplaced || last ? await file.rotate(path, last) : 'same';
      maybeReplaced = state === 'waiting';
      if (state === 'replaced') {
        yield* drain(file, formatter, signal);
        await file.switchOver();
        continue;
      }
      if (last) return;
      await watch.next(file.position !== from);
    }
  } finally {
    run.stopped.removeEventListener('abort', onStopped);
  }
}

/** A log file that is read while it is written, and that may be replaced by another of its name. */
class GrowingFile {
  #handle: FileHandle;
  #next: FileHandle | undefined;
  #position = 0;
  /** Where to stop reading. */
  #end = Infinity;
  readonly #buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }
  /** Where what was read ends, in bytes from the file's start. */
  get position(): number {
    return this.#position;
  }

  /** Bytes after the last ones given, valid until the next call; undefined at the end of the file. */
  async read(): Promise<Buffer | undefined> {
    if (this.#position >= this.#end) return undefined;
    const { bytesRead } = await this.#handle.read(this.#buffer, 0, Math.min(BLOCK_BYTES, this.#end - this.#position), this.#position);
    if (bytesRead > 0) {
      this.#position += bytesRead;
      return this.#buffer.subarray(0, bytesRead);
    }
    // Some rotate by copying and emptying the file.
    const { size } = await this.#handle.stat();
    if (size >= this.#position) return undefined;
    this.#position = 0;
    return this.read();
  }

  /** Places the next read before the last `lines` lines; with `only`, those are all that is read: what is written from now on is not. */
  async seekTail(lines: number, only: boolean): Promise<void> {
    const { size } = await this.#handle.stat();
    this.#position = await tailStart(this.#handle, lines, size);
    if (only) this.#end = size;
  }

  /**
   * `replaced` when another file has taken the name and has something in it: the runtime writes there now, so what this one holds is all of it,
   * and once it is read {@link switchOver} is due. `waiting` while the name is free or its new file empty; with `force`, empty will do.
   */
  async rotate(path: string, force: boolean): Promise<'same' | 'waiting' | 'replaced'> {
    const [now, mine] = await Promise.all([stat(path).catch(() => undefined), this.#handle.stat()]);
    if (now?.ino === mine.ino) return 'same';
    if (!now || (now.size === 0 && !force)) return 'waiting';
    const next = await open(path, 'r').catch(() => undefined);
    if (!next) return 'waiting';
    await this.#next?.close();
    this.#next = next;
    return 'replaced';
  }
  async switchOver(): Promise<void> {
    if (!this.#next) return;
    const old = this.#handle;
    this.#handle = this.#next;
    this.#next = undefined;
    this.#position = 0;
    await old.close();
  }
  async close(): Promise<void> {
    await this.#next?.close();
    await this.#handle.close();
  }
}

/** Where the last `lines` lines of the first `size` bytes of a file start, in bytes. An unfinished line at the end does not count and is included. */
export async function tailStart(handle: FileHandle, lines: number, size: number): Promise<number> {
  const block = Buffer.allocUnsafe(TAIL_BLOCK_BYTES);
  let seen = 0;
  for (let right = size; right > 0; ) {
    const left = Math.max(0, right - TAIL_BLOCK_BYTES);
    const { bytesRead } = await handle.read(block, 0, right - left, left);
    for (let at = bytesRead - 1; at >= 0; at--) {
      if (block[at] === NEWLINE && ++seen > lines) return left + at + 1;
    }
    right = left;
  }
  return 0;
}
