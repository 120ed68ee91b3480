/** A node's container runtime, from the node's configuration. */
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { connectCri, type CriClient } from '#cri/client.ts';
import { vxlanPodMtu } from '#network/vxlan-link.ts';
import type { NodeConfig } from './config.ts';
import { nodeRuntimeConfig, type NodeRuntimeConfig } from './runtime/config.ts';
import { Containerd } from './runtime/containerd.ts';
import type { HostChanges } from './runtime/host-changes.ts';
import { PAUSE_IMAGE } from './runtime/pause-image.ts';
import { writeHostsFiles, type Registries } from './runtime/registries.ts';

/** Where the node's own containerd has its things. */
export function runtimeConfigOf(config: NodeConfig & { readonly podCIDR?: string | undefined }, choices: { readonly systemdCgroup?: boolean; readonly mtu?: number | undefined } = {}): NodeRuntimeConfig {
  const { dataDir, runDir, cgroupRoot, podCIDR, bridge } = config;
  return nodeRuntimeConfig({ dataDir, runDir, cgroupRoot, podCIDR, bridge, pauseImage: PAUSE_IMAGE, ...choices });
}
export interface RuntimeParts {
  readonly registries: Registries;
  readonly kubeletChoices: { readonly cgroupDriver?: string | undefined };
  /** As {@link podMtuOf} says. */
  readonly podMtu?: number | undefined;
}
export interface NodeRuntime extends Component {
  readonly client: CriClient;
  /** Lets the runtime run on while we end: its containers are taken up by the next start. */
  release(): Promise<void>;
}

/** MTU of Pods where their way to other nodes takes a part of it; undefined: the kernel's choice. */
export async function podMtuOf({ podNetwork, nodeIP }: NodeConfig): Promise<number | undefined> {
  return podNetwork === 'vxlan' ? await vxlanPodMtu(nodeIP) : undefined;
}

/** Our own containerd, or the one that the configuration names. `podCIDR`: absent where the node has not been given its range yet. */
export function newNodeRuntime(config: NodeConfig & { readonly podCIDR?: string | undefined }, clock: Clock, changes: HostChanges, { registries, kubeletChoices, podMtu }: RuntimeParts): NodeRuntime {
  if (config.containerRuntimeEndpoint) return foreignRuntime(config.containerRuntimeEndpoint, clock);
  const runtime = runtimeConfigOf(config, { systemdCgroup: kubeletChoices.cgroupDriver === 'systemd', mtu: podMtu });
  const containerd = new Containerd({ config: runtime, clock, changes });
  return {
    name: containerd.name,
    client: containerd.client,
    failed: containerd.failed,
    async start(signal) {
      await writeHostsFiles(runtime.certsDir, registries);
      await containerd.start(signal);
    },
    stop: () => containerd.release(),
    release: () => containerd.release(),
  };
}
function foreignRuntime(endpoint: string, clock: Clock): NodeRuntime {
  const client = connectCri({ endpoint, clock });
  const close = () => Promise.resolve(client.close());
  return { name: 'container-runtime', client, start: (signal) => client.connected({ signal }), stop: close, release: close };
}
