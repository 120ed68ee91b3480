/** Taking a cluster down: its runtime, its Pods, every trace of it. */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { connectCri } from '#cri/client.ts';
import { adminNames, type NodeConfig } from './config.ts';
import { stopDaemon } from './daemon.ts';
import { unmergeKubeconfig, userKubeconfigPath } from './host/user-kubeconfig.ts';
import { runtimeConfigOf } from './node-runtime.ts';
import { removeRuntime } from './runtime/cleanup.ts';
import { findInstance } from './runtime/containerd.ts';
import { HostChangeJournal } from './runtime/host-changes.ts';
import { undoHostChanges, type UndoFailure } from './runtime/host-undo.ts';
import { holding } from './runtime/hold.ts';
import { removeDirectory } from './runtime/mounts.ts';
import { endProcess } from './runtime/processes.ts';

const STOP_GRACE_MS = 10_000;

/** How many Pods the runtime holds now; 0 when it does not answer. */
export async function podCount(config: NodeConfig, clock: Clock): Promise<number> {
  if (config.containerRuntimeEndpoint || !(await findInstance(runtimeConfigOf(config)).catch(() => undefined))) return 0;
  const client = connectCri({ endpoint: runtimeConfigOf(config).socket, clock });
  try {
    const { items } = await holding(client.listPodSandbox({ filter: { state: { state: 'SANDBOX_READY' } } }, { timeoutMs: 5000 }));
    return items.length;
  } catch {
    return 0;
  } finally {
    client.close();
  }
}
/** Ends our containerd. With `pods` the Pods end too; without, their containers go on and are adopted by the next start. */
export async function stopRuntime(config: NodeConfig, clock: Clock, pods: boolean): Promise<void> {
  if (config.containerRuntimeEndpoint) return;
  const runtime = runtimeConfigOf(config);
  if (pods) return await removeRuntime(runtime, clock);
  const instance = await findInstance(runtime);
  if (instance) await holding(endProcess(instance, clock, STOP_GRACE_MS));
}
/** Removes the cluster from the machine; gives what could not be undone, with the reasons. */
export async function uninstallCluster(config: NodeConfig, clock: Clock): Promise<readonly UndoFailure[]> {
  await stopDaemon(config, clock);
  const journal = join(config.dataDir, 'host-changes.jsonl');
  const changes = await HostChangeJournal.open(journal, clock);
  const failures = await undoHostChanges(changes, clock);
  await changes.close();
  await unmergeKubeconfig(userKubeconfigPath(), adminNames(config));
  // The journal goes last: while something could not be undone it is needed for another attempt.
  if (failures.length === 0) for (const dir of [config.runDir, config.dataDir]) await removeDirectory(dir);
  return failures;
}
