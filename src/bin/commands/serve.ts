/** `podyard serve`: the own process of a cluster, or of a node that has joined one, which `up` and `join` start in the background. */
import { fstatSync } from 'node:fs';
import { AlreadyRuns } from '#cluster/daemon.ts';
import { ALREADY_RUNS } from '#cluster/host/boot-unit.ts';
import { pipeReporter, PROGRESS_FD } from '#cluster/progress.ts';
import { remedyOf } from '#cluster/remedy.ts';
import { readJoinedConfig } from '#cluster/join/config.ts';
import { parseArguments } from '../arguments.ts';
import { CLUSTER_FLAGS, clusterChoices, dataDirOf } from '../cluster-flags.ts';
import { endingSignals } from '../signals.ts';

function hasProgressPipe(): boolean {
  try {
    return fstatSync(PROGRESS_FD).isFIFO() || fstatSync(PROGRESS_FD).isSocket();
  } catch {
    return false;
  }
}

export async function serve(args: readonly string[]): Promise<number> {
  const parsed = parseArguments(args, CLUSTER_FLAGS);
  const { stop, powerDown } = endingSignals();
  // The cluster's timers do not keep a process alive.
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  try {
    const reporter = hasProgressPipe() ? pipeReporter(PROGRESS_FD) : undefined;
    const joined = await readJoinedConfig(dataDirOf(parsed));
    // A node needs none of the server's modules: it does without their memory.
    if (joined) await (await import('#cluster/join/node-process.ts')).runNode(joined, reporter, stop, powerDown);
    else await (await import('#cluster/server-process.ts')).runCluster(clusterChoices(parsed), reporter, stop, powerDown);
    return 0;
  } catch (err) {
    const remedy = remedyOf(err);
    process.stderr.write(`podyard: ${(err as Error).stack ?? String(err)}\n${remedy === undefined ? '' : `    → ${remedy}\n`}`);
    return err instanceof AlreadyRuns ? ALREADY_RUNS : 1;
  } finally {
    clearInterval(hold);
  }
}
