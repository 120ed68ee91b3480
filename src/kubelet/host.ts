/** What the kubelet's server asks of the kubelet: Pods, the runtime's streaming addresses, logs, statistics. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { RemoteCommandStreams } from '#machinery/httpstream/remotecommand.ts';
import type { KubeletConfig } from './config.ts';
import { kubeletConfiguration } from './configuration.ts';
import type { LogOptions } from './logs/log-options.ts';
import { loggedContainerId } from './logs/container-logs.ts';
import { readLogs } from './logs/log-reader.ts';
import type { RuntimeCache, RuntimeContainer } from './runtime/runtime-cache.ts';
import type { KubeletHost, MetricsKind } from './server/interfaces.ts';
import type { StatsProvider } from './stats/stats.ts';
import { storageDirectories } from './volumes/storage-directories.ts';
import type { Mounter } from './volumes/mounter.ts';

const NODE_LOGS_DIR = '/var/log';
/** How long a container may have run for its whole output to be what a client that attached to it wanted to see. */
const YOUNG_MS = 5000;
/** The runtime tells a container's end a moment after its output has ended. */
const END_TOLD_MS = 2000;

export interface KubeletHostOptions {
  readonly clock: Clock;
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly stats: StatsProvider;
  readonly config: KubeletConfig;
  readonly mounter: Mounter;
  /** Pods of the node, with the status that the kubelet last made. */
  pods(): readonly Pod[];
  podByName(namespace: string, name: string): Pod | undefined;
}

export function newKubeletHost(options: KubeletHostOptions): KubeletHost {
  const { runtime, cache, stats } = options;
  const running = (pod: Pod, name: string): RuntimeContainer | undefined => cache.get(uidOf(pod))?.containers.find((c) => c.name === name && c.state === 'CONTAINER_RUNNING');
  const streamsOf = ({ stdin, stdout, stderr, tty }: RemoteCommandStreams) => ({ stdin, stdout, stderr: stderr && !tty, tty });

  return {
    pods: () => options.pods(),
    podByName: (namespace, name) => options.podByName(namespace, name),
    async runningPods() {
      return cache.uids().flatMap((uid) => {
        const pod = cache.get(uid);
        const containers = pod?.containers.filter((c) => c.state === 'CONTAINER_RUNNING') ?? [];
        if (!pod || containers.length === 0) return [];
        return [{ metadata: { name: pod.name, namespace: pod.namespace, uid }, spec: { containers: containers.map((c) => ({ name: c.name, image: c.image?.image, resources: {} })) }, status: {} }];
      });
    },
    syncLoopProblem: () => undefined,
    async execUrl(pod, container, command, streams, signal) {
      const run = running(pod, container);
      if (!run) return undefined;
      return new URL((await runtime.exec({ containerId: run.id, cmd: command, ...streamsOf(streams) }, { signal })).url);
    },
    async attachUrl(pod, container, streams, signal) {
      const run = running(pod, container);
      if (!run) return undefined;
      return new URL((await runtime.attach({ containerId: run.id, ...streamsOf(streams) }, { signal })).url);
    },
    async *missedOutput(pod, container, stream, askedAtMs, signal) {
      const run = cache.get(uidOf(pod))?.containers.find((c) => c.name === container);
      if (!run || askedAtMs - run.startedAt / 1e6 > YOUNG_MS) return;
      const stopped = Promise.withResolvers<boolean>();
      const unsubscribe = cache.onContainerStopped(run.id, () => stopped.resolve(true));
      const timer = options.clock.after(END_TOLD_MS, () => stopped.resolve(false));
      const ended = await stopped.promise;
      timer.cancel();
      unsubscribe();
      if (ended) yield* readLogs({ path: run.logPath, stopped: signal, clock: options.clock }, { follow: false, previous: false, timestamps: false, stream }, signal);
    },
    async portForwardUrl(pod, ports, signal) {
      const sandbox = cache.get(uidOf(pod))?.sandboxes.find((s) => s.state === 'SANDBOX_READY');
      if (!sandbox) throw new Error(`failed to find sandbox ready for pod "${pod.metadata.name}_${pod.metadata.namespace}(${uidOf(pod)})"`);
      return new URL((await runtime.portForward({ podSandboxId: sandbox.id, port: ports }, { signal })).url);
    },
    async run(pod, container, command, signal) {
      const run = running(pod, container);
      if (!run) return undefined;
      const { stdout, stderr, exitCode } = await runtime.execSync({ containerId: run.id, cmd: command, timeout: 0 }, { signal });
      const output = Buffer.concat([stdout, stderr]);
      if (exitCode !== 0) throw new Error(`command '${command.join(' ')}' exited with ${exitCode}: ${output.toString('utf8')}`);
      return output;
    },
    async checkpoint(pod, container, timeout, signal) {
      const run = cache.get(uidOf(pod))?.containers.find((c) => c.name === container);
      if (!run) throw new Error(`container ${container} not found`);
      const dir = join(options.config.rootDir, 'checkpoints');
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const location = join(dir, `checkpoint-${pod.metadata.name}_${pod.metadata.namespace}-${container}-${rfc3339(options.clock.now())}.tar`);
      await runtime.checkpointContainer({ containerId: run.id, location, timeout }, { signal });
      return location;
    },
    async *logs(pod: Pod, container: string, logOptions: LogOptions, signal: AbortSignal) {
      const id = loggedContainerId(pod, container, logOptions.previous);
      const run = cache.get(uidOf(pod))?.containers.find((c) => c.id === id);
      if (!run) throw new Error(`unable to retrieve container logs for containerd://${id}`);
      const stopped = new AbortController();
      const unsubscribe = cache.onContainerStopped(id, () => stopped.abort());
      try {
        yield* readLogs({ path: run.logPath, stopped: stopped.signal, clock: options.clock }, logOptions, signal);
      } finally {
        unsubscribe();
      }
    },
    nodeLogsDir: () => (options.config.systemLogHandler ? NODE_LOGS_DIR : undefined),
    storage: storageDirectories(options.config.storageDir, options.mounter),
    configuration: () => kubeletConfiguration(options.config),
    statsSummary: (onlyCpuAndMemory, signal) => stats.summary(onlyCpuAndMemory, signal),
    metrics: (kind: MetricsKind, signal) => stats.metrics(kind, signal),
  };
}
