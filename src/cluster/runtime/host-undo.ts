/** Undoing what the journal of host changes lists. */
import { rm, rmdir, writeFile } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { removeForwardAccept } from '#network/forward-accept.ts';
import { removeBootUnit } from '../host/boot-unit.ts';
import { removeCgroups } from './cgroups.ts';
import { removeRuntime } from './cleanup.ts';
import { CommandError, run } from './command.ts';
import type { NodeRuntimeConfig } from './config.ts';
import { readFileIfThere } from './files.ts';
import type { HostChange, HostChangeKind, HostChanges } from './host-changes.ts';
import { holding } from './hold.ts';
import { isBelow, listMounts, unmountBelow } from './mounts.ts';

export interface UndoFailure {
  readonly change: HostChange;
  readonly error: Error;
}

/** Each undoes one change; what has gone already is no error. */
const UNDO: Readonly<Record<HostChangeKind, (id: string, clock: Clock) => Promise<void>>> = {
  mount: async (id) => {
    if ((await listMounts()).some((m) => m.mountPoint === id)) await unmountBelow(id, { itself: true });
  },
  netns: (id) => tolerate(run('ip', ['netns', 'delete', id]), /No such file or directory/),
  link: async (id) => {
    const [name = '', netns] = splitLink(id);
    const args = ['link', 'delete', name];
    await tolerate(netns === undefined ? run('ip', args) : run('nsenter', [`--net=${netns}`, 'ip', ...args]), /Cannot find device|No such file or directory/);
  },
  sysctl: async (id) => {
    const at = id.indexOf('=');
    if (id === 'net.ipv4.ip_forward=0' && otherClusters((await run('nft', ['list', 'tables']).catch(() => ({ stdout: '' }))).stdout)) return;
    await writeFile(`/proc/sys/${id.slice(0, at).replaceAll('.', '/')}`, id.slice(at + 1));
  },
  'nft-table': (id) => tolerate(run('nft', ['delete', 'table', ...id.split(' ')]), /No such file or directory/),
  'forward-accept': (id) => removeForwardAccept(id),
  route: (id) => tolerate(run('ip', ['route', 'delete', ...id.split(' ')]), /No such process/),
  cgroup: async (id, clock) => void (await removeCgroups(id, clock)),
  directory: async (id) => {
    // Deleting through a mount would delete what is somebody else's.
    const mount = (await listMounts()).find((m) => isBelow(m.mountPoint, id));
    if (mount) throw new Error(`removing directory "${id}": "${mount.mountPoint}" is still mounted in it`);
    await rm(id, { recursive: true, force: true });
  },
  'empty-directory': async (id) => {
    await rmdir(id).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(error.code ?? '')) throw error;
    });
  },
  'boot-unit': (id) => removeBootUnit(id),
  file: (id) => rm(id, { force: true }),
  containerd: async (id, clock) => {
    const text = await readFileIfThere(`${id}/runtime.json`);
    if (text !== undefined) await removeRuntime(JSON.parse(text) as NodeRuntimeConfig, clock);
  },
};

/** Undoes everything, the latest change first, and goes on after a failure: what could not be undone stays in the journal. */
export function undoHostChanges(changes: HostChanges, clock: Clock): Promise<UndoFailure[]> {
  return holding(undoAll(changes, clock));
}

async function undoAll(changes: HostChanges, clock: Clock): Promise<UndoFailure[]> {
  const failures: UndoFailure[] = [];
  for (const change of changes.list()) {
    try {
      await UNDO[change.kind](change.id, clock);
      await changes.forget(change.kind, change.id);
    } catch (error) {
      failures.push({ change, error: error as Error });
    }
  }
  return failures;
}

/** True when clusters of this machine still forward, by what `nft list tables` printed. Our own tables are gone by then: they were made later. */
export function otherClusters(tables: string): boolean {
  return /^table ip podyard(_[0-9a-f]+)?(_proxy)?$/m.test(tables);
}

function splitLink(id: string): [string, string | undefined] {
  const at = id.indexOf('@/');
  return at < 0 ? [id, undefined] : [id.slice(0, at), id.slice(at + 1)];
}

async function tolerate(done: Promise<unknown>, gone: RegExp): Promise<void> {
  try {
    await done;
  } catch (error) {
    if (!(error instanceof CommandError && gone.test(error.stderr))) throw error;
  }
}
