/**
 * Numbers (ports, address ranges) that belong to one test process for as long as it lives: a cluster that is down for a moment has
 * none of its ports open, and another must not take them meanwhile.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isRunning, processInfo, type ProcessId } from '#cluster/runtime/processes.ts';

const DIR = '/tmp/podyard-e2e-reserved';

/** The first of the candidates that is free and no living process has reserved. */
export async function reserve(kind: string, candidates: Iterable<number>, isFree: (n: number) => Promise<boolean> | boolean): Promise<number> {
  await mkdir(DIR, { recursive: true });
  const own = JSON.stringify(await processInfo(process.pid));
  for (const n of candidates) {
    if ((await isFree(n)) && (await claim(`${DIR}/${kind}-${n}`, own))) return n;
  }
  throw new Error(`reserving a ${kind} for a test cluster: none is free`);
}

async function claim(path: string, own: string): Promise<boolean> {
  for (;;) {
    if (await writeFile(path, own, { flag: 'wx' }).then(() => true, () => false)) return true;
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text === '') return false; // being written, or just removed
    if (await isRunning(JSON.parse(text) as ProcessId)) return false;
    await rm(path, { force: true });
  }
}
