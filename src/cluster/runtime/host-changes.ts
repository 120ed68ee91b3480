/**
 * The journal of everything that Podyard changes on the host, so that `podyard uninstall` can undo it, even after a crash:
 * a change is written down, durably, before it is made.
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '#base/clock.ts';

/** What is undone, and what `id` then is. */
export type HostChangeKind =
  /** A mount point. */
  | 'mount'
  /** A name under `/run/netns`. */
  | 'netns'
  /** A network interface; `name`, or `name@/run/netns/x` for one in another network namespace. */
  | 'link'
  /** `net.ipv4.ip_forward=0`: the name and the value it had before. */
  | 'sysctl'
  /** `family name` of an nftables table. */
  | 'nft-table'
  /** Our chain in iptables' table `filter`, and FORWARD's jump to it. */
  | 'forward-accept'
  /** The arguments of `ip route del`. */
  | 'route'
  /** A path below each cgroup hierarchy. */
  | 'cgroup'
  /** A directory with all that is in it. */
  | 'directory'
  /** A directory that goes only when nothing is left in it. */
  | 'empty-directory'
  | 'file'
  /** The name of a unit of systemd's. */
  | 'boot-unit'
  /** A containerd instance: the path of its configuration. */
  | 'containerd';

export interface HostChange {
  readonly kind: HostChangeKind;
  readonly id: string;
}

export interface HostChanges {
  /** Resolves when it is on disk. Recording the same change again does nothing. */
  record(kind: HostChangeKind, id: string): Promise<void>;
  /** Notes that a change has been undone. */
  forget(kind: HostChangeKind, id: string): Promise<void>;
  /** What is to be undone, the latest change first. */
  list(): readonly HostChange[];
}

interface Line extends HostChange {
  readonly undone?: true;
  readonly at: string;
}

/** An append-only file of JSON lines, mode 0600. A last line that a crash cut short is ignored. */
export class HostChangeJournal implements HostChanges {
  readonly #clock: Clock;
  readonly #changes: Map<string, HostChange>;
  readonly #file: FileHandle;
  #last: Promise<void> = Promise.resolve();

  private constructor(clock: Clock, file: FileHandle, changes: Map<string, HostChange>) {
    this.#clock = clock;
    this.#file = file;
    this.#changes = changes;
  }

  static async open(path: string, clock: Clock): Promise<HostChangeJournal> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const { changes, lines } = await readJournal(path);
    // Undone changes would pile up over the years: what is left of them is written anew.
    if (lines > changes.size) {
      const at = new Date(clock.now()).toISOString();
      await rm(`${path}.new`, { force: true });
      const fresh = await open(`${path}.new`, 'wx', 0o600);
      await fresh.writeFile([...changes.values()].map((c) => `${JSON.stringify({ ...c, at } satisfies Line)}\n`).join(''));
      await fresh.sync();
      await fresh.close();
      await rename(`${path}.new`, path);
    }
    const file = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
    await file.chmod(0o600);
    return new HostChangeJournal(clock, file, changes);
  }

  record(kind: HostChangeKind, id: string): Promise<void> {
    const key = keyOf({ kind, id });
    if (this.#changes.has(key)) return this.#last;
    this.#changes.set(key, { kind, id });
    return this.#append({ kind, id, at: new Date(this.#clock.now()).toISOString() });
  }

  forget(kind: HostChangeKind, id: string): Promise<void> {
    if (!this.#changes.delete(keyOf({ kind, id }))) return this.#last;
    return this.#append({ kind, id, undone: true, at: new Date(this.#clock.now()).toISOString() });
  }

  list(): readonly HostChange[] {
    return [...this.#changes.values()].reverse();
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }

  #append(line: Line): Promise<void> {
    const written = this.#last.catch(() => {}).then(async () => {
      await this.#file.appendFile(`${JSON.stringify(line)}\n`);
      await this.#file.datasync();
    });
    this.#last = written;
    return written;
  }
}

function keyOf(change: HostChange): string {
  return `${change.kind} ${change.id}`;
}

async function readJournal(path: string): Promise<{ changes: Map<string, HostChange>; lines: number }> {
  const changes = new Map<string, HostChange>();
  let text = '';
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const lines = text.split('\n').filter((l) => l !== '');
  for (const line of lines) {
    const change = parseLine(line);
    if (!change) continue;
    if (change.undone) changes.delete(keyOf(change));
    else changes.set(keyOf(change), { kind: change.kind, id: change.id });
  }
  return { changes, lines: lines.length };
}

function parseLine(line: string): Line | undefined {
  try {
    return JSON.parse(line) as Line;
  } catch {
    return undefined;
  }
}
