/** `podyard serve`: the cluster's own process, which `up` starts in the background. */
import { fstatSync } from 'node:fs';
import { pipeReporter, PROGRESS_FD } from '#cluster/progress.ts';
import { remedyOf } from '#cluster/remedy.ts';
import { runCluster } from '#cluster/server-process.ts';
import { parseArguments } from '../arguments.ts';
import { CLUSTER_FLAGS, clusterChoices } from '../cluster-flags.ts';
import { endingSignals } from '../signals.ts';

function hasProgressPipe(): boolean {
  try {
    return fstatSync(PROGRESS_FD).isFIFO() || fstatSync(PROGRESS_FD).isSocket();
  } catch {
    return false;
  }
}

export async function serve(args: readonly string[]): Promise<number> {
  const choices = clusterChoices(parseArguments(args, CLUSTER_FLAGS));
  const { stop, powerDown } = endingSignals();
  // The cluster's timers do not keep a process alive.
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await runCluster(choices, hasProgressPipe() ? pipeReporter(PROGRESS_FD) : undefined, stop, powerDown);
    return 0;
  } catch (err) {
    const remedy = remedyOf(err);
    process.stderr.write(`podyard: ${(err as Error).stack ?? String(err)}\n${remedy === undefined ? '' : `    → ${remedy}\n`}`);
    return 1;
  } finally {
    clearInterval(hold);
  }
}
