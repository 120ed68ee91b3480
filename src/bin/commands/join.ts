/** `podyard join`: makes this machine a node of a cluster that runs elsewhere, telling each step. */
import { runningProcess } from '#cluster/daemon.ts';
import { joinCluster } from '#cluster/join/join.ts';
import { readJoinedConfig } from '#cluster/join/config.ts';
import { parseArguments, portOf, textOf, UsageError, type Flags } from '../arguments.ts';
import { CLUSTER_FLAGS, dataDirOf } from '../cluster-flags.ts';
import { bootIfWanted, inBackground, inForeground, prepareMachine, START_FLAGS, waitMsOf } from '../start.ts';
import { complain, duration, say, sayStep, step } from '../terminal.ts';

export const JOIN_FLAGS: Flags = {
  token: { type: 'string', value: 'TOKEN', help: 'what "podyard token create" on the server has printed' },
  'discovery-token-ca-cert-hash': { type: 'string', value: 'HASH', help: "sha256:… of the cluster's authority, from there too" },
  'data-dir': CLUSTER_FLAGS['data-dir'],
  'node-name': CLUSTER_FLAGS['node-name'],
  'node-ip': { ...CLUSTER_FLAGS['node-ip'], help: 'address of this node (default: the one that it reaches the server by)' },
  'kubelet-port': CLUSTER_FLAGS['kubelet-port'],
  'container-runtime-endpoint': CLUSTER_FLAGS['container-runtime-endpoint'],
  'log-level': CLUSTER_FLAGS['log-level'],
  ...START_FLAGS,
};
const LIMIT_MS = 120_000;

export async function join(args: readonly string[]): Promise<number> {
  const began = performance.now();
  const parsed = parseArguments(args, JOIN_FLAGS);
  const [server, ...more] = parsed.words;
  const [token, hash] = [textOf(parsed, 'token'), textOf(parsed, 'discovery-token-ca-cert-hash')];
  if (server === undefined || more.length) throw new UsageError('join: name the server, and nothing else: podyard join 10.0.0.5:6443 --token … --discovery-token-ca-cert-hash sha256:…');
  if (token === undefined || hash === undefined) throw new UsageError('join: --token and --discovery-token-ca-cert-hash are needed; "podyard token create" on the server prints both');
  const waitMs = waitMsOf(parsed);
  const dataDir = dataDirOf(parsed);
  const containerRuntimeEndpoint = textOf(parsed, 'container-runtime-endpoint');
  if (!(await prepareMachine(parsed, { ownRuntime: containerRuntimeEndpoint === undefined, wantsKubectl: false }))) return 1;
  sayStep('machine checked', performance.now() - began);
  const before = await readJoinedConfig(dataDir);
  const running = before && (await runningProcess(before));
  if (before && running) {
    complain(`this machine is node "${before.nodeName}" of the cluster at ${before.server}, and runs (process ${running.pid})`);
    say('    → to join again, stop it first: ./podyard down');
    return 1;
  }
  const config = await joinCluster({
    server, token, caHashes: [hash], dataDir, nodeName: textOf(parsed, 'node-name'), nodeIP: textOf(parsed, 'node-ip'), kubeletPort: portOf(parsed, 'kubelet-port'), containerRuntimeEndpoint, logLevel: textOf(parsed, 'log-level'),
  }, { step }, AbortSignal.timeout(LIMIT_MS));
  await bootIfWanted(config, parsed);
  if (parsed.flags['foreground']) return await inForeground(async (...how) => (await import('#cluster/join/node-process.ts')).runNode(config, ...how));
  return await inBackground(config, {
    serveArgs: [`--data-dir=${config.dataDir}`], what: 'the node', waitMs,
    finish: async () => {
      say(`\nNode ${config.nodeName} has joined the cluster at ${config.server} after ${duration(performance.now() - began)}.`);
      say('\nNext, on the server: ./podyard kubectl get nodes');
    },
  });
}
