/**
 * Clusters of test processes that were killed before they could clean up: each directory names its owner, and whoever comes next
 * removes those whose owner has gone. As a program: does that now.
 */
import { access, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { isRunning, processInfo, type ProcessId } from '#cluster/runtime/processes.ts';
import { runProgram } from './process.ts';

/** The program under test: that of this tree, or another build of it that `PODYARD` names. */
export const PODYARD = process.env['PODYARD'] ?? fileURLToPath(new URL('../../../podyard', import.meta.url));
const PARENT = '/tmp';
const PREFIX = 'podyard-e2e-';
export const DIR_PREFIX = `${PARENT}/${PREFIX}`;

interface Owner extends ProcessId {
  /** Where the cluster's data is, when not in the directory itself. */
  readonly dataDir?: string;
  /** The network namespace that the cluster lives in. */
  readonly netns?: string;
}

/** Notes that a directory, and the cluster that belongs to it, are this process's. */
export async function ownLeftover(dir: string, more: Pick<Owner, 'dataDir' | 'netns'> = {}): Promise<void> {
  await writeFile(`${dir}/owner`, JSON.stringify({ ...(await processInfo(process.pid)), ...more }));
}
/** The directory stays after its owner's end: a person wants to look at it. */
export async function keepLeftover(dir: string): Promise<void> {
  await writeFile(`${dir}/keep`, '');
}

/** Removes what dead owners left, kept ones excepted; tells of each. A directory that resists is named and stays. */
export async function sweepLeftovers(): Promise<void> {
  for (const name of await readdir(PARENT)) {
    if (!name.startsWith(PREFIX)) continue;
    const dir = `${PARENT}/${name}`;
    const text = await readFile(`${dir}/owner`, 'utf8').catch(() => undefined);
    if (text === undefined || (await access(`${dir}/keep`).then(() => true, () => false))) continue;
    const owner = JSON.parse(text) as Owner;
    if (await isRunning(owner)) continue;
    process.stderr.write(`removing the cluster that an earlier test run left in ${dir}\n`);
    try {
      const uninstall = [PODYARD, 'uninstall', '--yes', '--data-dir', owner.dataDir ?? `${dir}/data`];
      const inside = owner.netns !== undefined && (await access(`/run/netns/${owner.netns}`).then(() => true, () => false));
      const [program = '', ...args] = [...(inside ? ['nsenter', `--net=/run/netns/${owner.netns}`] : []), ...uninstall];
      await runProgram(program, args, { env: { ...process.env, HOME: `${dir}/home` }, timeoutMs: 120_000 });
      if (inside) await runProgram('ip', ['netns', 'delete', owner.netns!]);
      await rm(dir, { recursive: true, force: true });
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await sweepLeftovers();
