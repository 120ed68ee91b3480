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

/** Notes that a directory belongs to this process. */
export async function ownLeftover(dir: string): Promise<void> {
  await writeFile(`${dir}/owner`, JSON.stringify(await processInfo(process.pid)));
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
    const owner = await readFile(`${dir}/owner`, 'utf8').catch(() => undefined);
    if (owner === undefined || (await access(`${dir}/keep`).then(() => true, () => false))) continue;
    if (await isRunning(JSON.parse(owner) as ProcessId)) continue;
    process.stderr.write(`removing the cluster that an earlier test run left in ${dir}\n`);
    try {
      await runProgram(PODYARD, ['uninstall', '--yes', '--data-dir', `${dir}/data`], { env: { ...process.env, HOME: `${dir}/home` }, timeoutMs: 120_000 });
      await rm(dir, { recursive: true, force: true });
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await sweepLeftovers();
