/** `podyard up`: from a bare machine to a node that is Ready, telling each step. On a machine that has joined a cluster it starts the node again. */
import { runningProcess } from '#cluster/daemon.ts';
import { ensureClusterConfig, type ClusterConfig } from '#cluster/config.ts';
import { mergeKubeconfig, userKubeconfigPath } from '#cluster/host/user-kubeconfig.ts';
import { readAdminKubeconfig } from '#cluster/admin.ts';
import { readJoinedConfig, type JoinedConfig } from '#cluster/join/config.ts';
import { serverProblem } from '#cluster/join/join.ts';
import { parseArguments, UsageError, type Flags, type Parsed } from '../arguments.ts';
import { CLUSTER_FLAGS, clusterChoices, dataDirOf } from '../cluster-flags.ts';
import { bootIfWanted, inBackground, inForeground, prepareMachine, START_FLAGS, waitMsOf } from '../start.ts';
import { duration, say, sayStep } from '../terminal.ts';

export const UP_FLAGS: Flags = { ...CLUSTER_FLAGS, ...START_FLAGS };

export async function up(args: readonly string[]): Promise<number> {
  const began = performance.now();
  const parsed = parseArguments(args, UP_FLAGS);
  const waitMs = waitMsOf(parsed);
  const joined = await readJoinedConfig(dataDirOf(parsed));
  if (joined) return await upAgain(joined, parsed, waitMs, began);
  const choices = clusterChoices(parsed);
  if (!(await prepareMachine(parsed, { ownRuntime: choices.containerRuntimeEndpoint === undefined, wantsKubectl: true }))) return 1;
  sayStep('machine checked', performance.now() - began);
  const config = await ensureClusterConfig(choices);
  await bootIfWanted(config, parsed);
  if (await alreadyRuns(config)) return 0;
  if (parsed.flags['foreground']) return await inForeground(async (...how) => (await import('#cluster/server-process.ts')).runCluster(choices, ...how));
  const passedOn = Object.keys(CLUSTER_FLAGS).flatMap((name) => (parsed.flags[name] === undefined ? [] : [`--${name}=${String(parsed.flags[name])}`]));
  return await inBackground(config, { serveArgs: passedOn, what: 'the cluster', waitMs, finish: () => introduce(config, began) });
}
async function alreadyRuns(config: ClusterConfig | JoinedConfig): Promise<boolean> {
  const running = await runningProcess(config);
  if (running) say(`Podyard already runs (process ${running.pid}); stop it with: ./podyard down`);
  return running !== undefined;
}
async function introduce(config: ClusterConfig, began: number): Promise<void> {
  const admin = await readAdminKubeconfig(config);
  const path = userKubeconfigPath();
  await mergeKubeconfig(path, admin);
  say(`\nThe cluster is up after ${duration(performance.now() - began)}.`);
  say(`kubeconfig: ${config.kubeconfig}, and context "${admin['current-context']}" in ${path}`);
  say('\nNext: ./podyard kubectl get nodes');
}

/** The node of a machine that has joined a cluster: what it is was settled then. */
async function upAgain(joined: JoinedConfig, parsed: Parsed, waitMs: number, began: number): Promise<number> {
  const settled = Object.keys(CLUSTER_FLAGS).find((name) => name !== 'data-dir' && parsed.flags[name] !== undefined);
  if (settled !== undefined) throw new UsageError(`--${settled}: this machine is node "${joined.nodeName}" of the cluster at ${joined.server}, and what it is was settled when it joined; join again to change it`);
  if (!(await prepareMachine(parsed, { ownRuntime: joined.containerRuntimeEndpoint === undefined, wantsKubectl: false }))) return 1;
  sayStep('machine checked', performance.now() - began);
  await bootIfWanted(joined, parsed);
  if (await alreadyRuns(joined)) return 0;
  const problem = await serverProblem(joined);
  if (problem !== undefined) say(`✘ the server cannot be used now: ${problem}\n    → the node is up as soon as the server is; its Pods wait until then`);
  if (parsed.flags['foreground']) return await inForeground(async (...how) => (await import('#cluster/join/node-process.ts')).runNode(joined, ...how));
  return await inBackground(joined, {
    serveArgs: [`--data-dir=${joined.dataDir}`], what: 'the node', waitMs,
    finish: async () => say(`\nNode ${joined.nodeName} of the cluster at ${joined.server} is up after ${duration(performance.now() - began)}.`),
  });
}
