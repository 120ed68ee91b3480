/** A node's container runtime for one test file: real containerd with its own everything, and a registry that stands for all. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { systemClock } from '#base/clock.ts';
import { nodeRuntimeConfig, type NodeRuntimeConfig } from '#cluster/runtime/config.ts';
import { Containerd } from '#cluster/runtime/containerd.ts';
import { HostChangeJournal } from '#cluster/runtime/host-changes.ts';
import { undoHostChanges } from '#cluster/runtime/host-undo.ts';
import { PAUSE_IMAGE } from '#cluster/runtime/pause-image.ts';
import { parseRegistries, writeHostsFiles } from '#cluster/runtime/registries.ts';
import type { CriClient } from '#cri/client.ts';
import type { Init } from '#cri/schema.ts';
import type { ContainerConfig, ContainerStatus, PodSandboxConfig } from '#cri/types.ts';
import { reserve } from '../../e2e/harness/reservations.ts';

export interface TestNode extends AsyncDisposable {
  readonly dir: string;
  readonly config: NodeRuntimeConfig;
  readonly containerd: Containerd;
  readonly changes: HostChangeJournal;
  /** Of the containerd that was started first; `restart` gives another. */
  readonly cri: CriClient;
  /** A new `Containerd` for the same node, as after a restart of Podyard. */
  restart(): Promise<Containerd>;
}

/** Third numbers of the addresses of Pods. Nodes of other test processes have others. */
const RANGES = Array.from({ length: 150 }, (_, i) => 100 + i);

/** `name` makes links and cgroups of different test files different: at most 8 characters. */
export async function startTestNode(name: string, options: { readonly mirror?: string; readonly netns?: string } = {}): Promise<TestNode> {
  const dir = await mkdtemp(`${tmpdir()}/cri-${name}-`);
  const range = await reserve('cri-range', RANGES, () => true);
  const config = nodeRuntimeConfig({
    dataDir: `${dir}/data`, runDir: `${dir}/run`, cgroupRoot: `/cri-${name}-${process.pid}`, podCIDR: `10.244.${range}.0/24`, bridge: `${name}${range}`, pauseImage: PAUSE_IMAGE, netns: options.netns,
  });
  const changes = await HostChangeJournal.open(`${dir}/changes`, systemClock);
  const running: Containerd[] = [];
  const start = async () => {
    const containerd = new Containerd({ config, clock: systemClock, changes });
    running.push(containerd);
    await containerd.start(AbortSignal.timeout(60_000));
    return containerd;
  };
  const dispose = async () => {
    for (const c of running) await c.release();
    const failures = await undoHostChanges(changes, systemClock);
    await changes.close();
    if (failures.length > 0) throw new AggregateError(failures.map((f) => f.error), 'the node could not be removed');
    await rm(dir, { recursive: true, force: true });
  };
  const containerd = await start().catch(async (error: unknown) => {
    await dispose();
    throw error;
  });
  if (options.mirror !== undefined) await writeHostsFiles(config.certsDir, parseRegistries({ mirrors: { '*': { endpoint: [options.mirror] }, 'docker.io': { endpoint: [options.mirror] } } }), { defaultEndpoint: false });
  return {
    dir,
    config,
    containerd,
    changes,
    cri: containerd.client,
    restart: start,
    [Symbol.asyncDispose]: dispose,
  };
}

/** The configuration of a sandbox in the node's own cgroup. */
function sandboxConfig(node: TestNode, name: string, privileged: boolean): Init<PodSandboxConfig> {
  return {
    metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 }, hostname: name, logDirectory: `${node.dir}/logs/${name}`, labels: { 'io.kubernetes.pod.name': name },
    linux: { cgroupParent: `${node.config.cgroupRoot}/kubepods/${name}`, securityContext: { privileged, namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } },
  };
}

export async function runSandbox(node: TestNode, name: string, options: { readonly privileged?: boolean } = {}): Promise<{ podSandboxId: string; config: Init<PodSandboxConfig> }> {
  const config = sandboxConfig(node, name, options.privileged ?? false);
  return { ...(await node.cri.runPodSandbox({ config })), config };
}

/** Creates and starts a container; its image must be there. */
export async function runContainer(node: TestNode, sandbox: { podSandboxId: string; config: Init<PodSandboxConfig> }, name: string, extra: Init<ContainerConfig>): Promise<string> {
  const config: Init<ContainerConfig> = {
    metadata: { name, attempt: 0 }, logPath: `${name}.log`, labels: { 'io.kubernetes.container.name': name },
    linux: { securityContext: { namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } }, ...extra,
  };
  const { containerId } = await node.cri.createContainer({ podSandboxId: sandbox.podSandboxId, config, sandboxConfig: sandbox.config });
  await node.cri.startContainer({ containerId });
  return containerId;
}

/** Waits for the end of a container. */
export async function exited(cri: CriClient, containerId: string): Promise<ContainerStatus> {
  for (;;) {
    const { status } = await cri.containerStatus({ containerId });
    if (status?.state === 'CONTAINER_EXITED') return status;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}
