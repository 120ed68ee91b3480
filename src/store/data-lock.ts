import { closeSync, fchmodSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another process, or this one, has the data directory open. */
export class DataDirectoryLockedError extends Error {
  readonly directory: string;
  /** Undefined when the owner has not yet written it down. */
  readonly pid: number | undefined;
  constructor(directory: string, pid: number | undefined) {
    super(`data directory "${directory}" is in use by process ${pid ?? '(not known yet)'}`);
    this.name = 'DataDirectoryLockedError';
    this.directory = directory;
    this.pid = pid;
  }
}

/**
 * Takes a directory for this process, until `release` or its death, however it dies.
 *
 * The lock is the kernel's (`fcntl`), which Node reaches only through SQLite: an empty database in an exclusive
 * transaction. A file with a pid alone would mistake a pid that was given anew, or one of another pid namespace.
 */
export function lockDirectory(directory: string): { release(): void } {
  const file = join(directory, 'lock');
  const owner = join(directory, 'owner.pid');
  closeNew(file);
  closeNew(owner);
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (err) {
    db.close();
    if (!(err instanceof Error && 'errcode' in err && err.errcode === SQLITE_BUSY)) throw new Error(`locking the data directory "${directory}" failed`, { cause: err });
    const pid = Number.parseInt(readFileSync(owner, 'utf8'), 10);
    throw new DataDirectoryLockedError(directory, Number.isNaN(pid) ? undefined : pid);
  }
  writeFileSync(owner, `${process.pid}\n`);
  return {
    release() {
      if (!db.isOpen) return;
      writeFileSync(owner, '');
      db.close();
    },
  };
}
const SQLITE_BUSY = 5;

/** Makes the file with mode 0600 unless it is there. */
function closeNew(file: string): void {
  const fd = tryOpen(file);
  if (fd === undefined) return;
  fchmodSync(fd, 0o600);
  closeSync(fd);
}
function tryOpen(file: string): number | undefined {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'EEXIST') return undefined;
    throw err;
  }
}
