/**
 * Lines appended to a file by one writer in the background, the file rotated by size and the old ones kept by number. Whoever writes a line
 * never waits: lines go into a buffer of limited size, and are dropped and counted when the disk does not keep up.
 */
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { AuditSink } from './auditor.ts';

const log = logger('audit');

export interface LogFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** A file that has grown to this is put aside. Default 100 MiB, upstream's. */
  readonly maxBytes?: number;
  /** How many old files are kept. Default 10. */
  readonly maxBackups?: number;
  /** How much may wait for the disk. Default 32 MiB. */
  readonly maxBufferedBytes?: number;
}
const MIB = 1024 * 1024;
/** Only root reads who did what. */
const MODE = 0o600;
/** Between two complaints about lost lines. */
const COMPLAIN_MS = 10_000;

export class LogFile implements AuditSink {
  readonly plugin = 'log';
  readonly #o: Required<LogFileOptions>;
  #lines: string[] = [];
  #buffered = 0;
  #handle: FileHandle | undefined;
  #size = 0;
  #writing: Promise<void> | undefined;
  #lost = 0;
  #complainedAt = -Infinity;

  constructor(options: LogFileOptions) {
    this.#o = { maxBytes: 100 * MIB, maxBackups: 10, maxBufferedBytes: 32 * MIB, ...options };
  }
  /** Opens the file: a place that cannot be written shows at the start. */
  async open(): Promise<void> {
    this.#handle = await open(this.#o.path, 'a', MODE);
    this.#size = (await this.#handle.stat()).size;
  }
  /** Lines that could not be written. */
  get lost(): number {
    return this.#lost;
  }
  /** False: there was no room for the line. It must not hold a line break. */
  write(line: string): boolean {
    if (this.#buffered + line.length > this.#o.maxBufferedBytes) {
      this.#lose(1, 'The audit log cannot be written as fast as requests come; events are lost', undefined);
      return false;
    }
    this.#lines.push(line);
    this.#buffered += line.length;
    this.#writing ??= this.#drain();
    return true;
  }
  /** Resolves when everything written so far is in the file, or lost. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
  }
  async close(): Promise<void> {
    await this.flush();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #drain(): Promise<void> {
    // Lines of one turn of the event loop go out together.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#lines.length > 0) {
      const lines = this.#lines;
      this.#lines = [];
      this.#buffered = 0;
      try {
        await this.#append(lines);
      } catch (err) {
        this.#lose(lines.length, 'The audit log cannot be written; events are lost', err);
        await this.#handle?.close().catch(() => {});
        this.#handle = undefined;
      }
    }
    this.#writing = undefined;
  }
  async #append(lines: readonly string[]): Promise<void> {
    if (!this.#handle) await this.open();
    let batch: string[] = [];
    let bytes = 0;
    const write = async (): Promise<void> => {
      if (batch.length > 0) await this.#handle!.appendFile(batch.join(''));
      this.#size += bytes;
      batch = [];
      bytes = 0;
    };
    for (const line of lines) {
      const length = Buffer.byteLength(line) + 1;
      if (this.#size + bytes + length > this.#o.maxBytes && this.#size + bytes > 0) {
        await write();
        await this.#rotate();
      }
      batch.push(line, '\n');
      bytes += length;
    }
    await write();
  }
  /** `audit.log` → `audit-2026-01-02T03-04-05.678.log`. */
  async #rotate(): Promise<void> {
    const { path, clock, maxBackups } = this.#o;
    const [folder, extension] = [dirname(path), extname(path)];
    const stem = basename(path, extension);
    const stamp = new Date(clock.now()).toISOString().slice(0, 23).replaceAll(':', '-');
    await this.#handle!.close();
    this.#handle = undefined;
    await rename(path, join(folder, `${stem}-${stamp}${extension}`)).catch((err: NodeJS.ErrnoException) => {
      // Somebody else has put it aside.
      if (err.code !== 'ENOENT') throw err;
    });
    const old = (await readdir(folder)).filter((name) => name.startsWith(`${stem}-`) && name.endsWith(extension) && /^\d{4}-\d\d-\d\dT/.test(name.slice(stem.length + 1))).toSorted();
    for (const name of old.slice(0, Math.max(0, old.length - maxBackups))) await rm(join(folder, name), { force: true });
    await this.open();
  }
  #lose(count: number, message: string, err: unknown): void {
    this.#lost += count;
    const now = this.#o.clock.monotonic();
    if (now - this.#complainedAt < COMPLAIN_MS) return;
    this.#complainedAt = now;
    log.error({ err, lost: this.#lost, path: this.#o.path }, message);
  }
}
