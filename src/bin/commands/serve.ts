/** `podyard serve`: the cluster's own process, which `up` starts in the background. */
import { fstatSync } from 'node:fs';
import { pipeReporter, PROGRESS_FD } from '#cluster/progress.ts';
import { runCluster } from '#cluster/server-process.ts';
import { parseArguments } from '../arguments.ts';
import { CLUSTER_FLAGS, clusterChoices } from '../cluster-flags.ts';

function hasProgressPipe(): boolean {
  try {
    return fstatSync(PROGRESS_FD).isFIFO() || fstatSync(PROGRESS_FD).isSocket();
  } catch {
    return false;
  }
}

export async function serve(args: readonly string[]): Promise<number> {
  const choices = clusterChoices(parseArguments(args, CLUSTER_FLAGS));
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort(new Error(`${signal} received`)));
  // What a machine on a battery that runs low sends, and `podyard down --drain`.
  const powerDown = new AbortController();
  process.once('SIGPWR', () => powerDown.abort(new Error('SIGPWR received')));
  // The cluster's timers do not keep a process alive.
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await runCluster(choices, hasProgressPipe() ? pipeReporter(PROGRESS_FD) : undefined, abort.signal, powerDown.signal);
    return 0;
  } catch (err) {
    process.stderr.write(`podyard: ${(err as Error).stack ?? String(err)}\n`);
    return 1;
  } finally {
    clearInterval(hold);
  }
}
