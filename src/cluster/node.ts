/** One node of a cluster: its runtime, its network, its kubelet, all from one configuration. */
import { join } from 'node:path';
import { connectCri, type CriClient } from '#cri/client.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { Client } from '#client/client.ts';
import type { Transport } from '#client/transport.ts';
import { KUBELET_DEFAULTS, type KubeletConfig } from '#kubelet/config.ts';
import { Kubelet } from '#kubelet/kubelet.ts';
import { KubeletServer } from '#kubelet/server/server.ts';
import { webhookKubeletAuth } from '#kubelet/server/webhook-auth.ts';
import { newNodeNetwork, type NodeNetwork } from '#network/node-network.ts';
import type { ClusterConfig } from './config.ts';
import type { CredentialProviderFile } from './credential-provider-file.ts';
import type { NodePki } from './pki.ts';
import { nodeRuntimeConfig } from './runtime/config.ts';
import { Containerd } from './runtime/containerd.ts';
import type { HostChangeKind, HostChanges } from './runtime/host-changes.ts';
import { PAUSE_IMAGE } from './runtime/pause-image.ts';
import { pullCredentials, writeHostsFiles, type Registries } from './runtime/registries.ts';

/** `choices` are those of `kubelet.yaml`. */
export function kubeletConfig(config: ClusterConfig, choices: Partial<KubeletConfig> = {}): KubeletConfig {
  return {
    ...KUBELET_DEFAULTS,
    ...choices,
    nodeName: config.nodeName,
    nodeIPs: [config.nodeIP],
    rootDir: join(config.dataDir, 'kubelet'),
    secretsDir: join(config.runDir, 'secrets'),
    podLogsDir: join(config.dataDir, 'pod-logs'),
    cgroupRoot: config.cgroupRoot,
    staticPodDir: join(config.dataDir, 'manifests'),
    clusterDNS: [config.dnsIP],
    clusterDomain: config.clusterDomain,
    port: config.kubeletPort,
  };
}

export interface NodeRuntime extends Component {
  readonly client: CriClient;
  /** Lets the runtime run on while we end: its containers are taken up by the next start. */
  release(): Promise<void>;
}

/** Our own containerd, or the one that the configuration names. */
export function newNodeRuntime(config: ClusterConfig, clock: Clock, changes: HostChanges, { registries, kubeletChoices }: Pick<KubeletParts, 'registries' | 'kubeletChoices'>): NodeRuntime {
  if (config.containerRuntimeEndpoint) return foreignRuntime(config.containerRuntimeEndpoint, clock);
  const { dataDir, runDir, cgroupRoot, podCIDR, bridge } = config;
  const runtime = nodeRuntimeConfig({ dataDir, runDir, cgroupRoot, podCIDR, bridge, pauseImage: PAUSE_IMAGE, systemdCgroup: kubeletChoices.cgroupDriver === 'systemd' });
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

/** What a kubelet takes from files of the data directory, and the node's network. */
export interface KubeletParts {
  readonly registries: Registries;
  readonly kubeletChoices: Partial<KubeletConfig>;
  readonly credentialProviders?: CredentialProviderFile | undefined;
  readonly network: Pick<NodeNetwork, 'openHostPorts'>;
}
export function newKubelet(config: ClusterConfig, clock: Clock, transport: Transport, runtime: CriClient, parts: KubeletParts): Kubelet {
  const { registries, kubeletChoices, credentialProviders, network } = parts;
  return new Kubelet({
    config: kubeletConfig(config, kubeletChoices), client: new Client(transport, 'kubelet'), runtime, clock, credentialProviders, nodeCredentials: (image) => pullCredentials(registries, image),
    openHostPorts: (pod, podIP, signal) => network.openHostPorts(pod, podIP, signal),
  });
}
/** The kubelet's server: who may use it is the API server's to say (TokenReview, SubjectAccessReview). */
export function newKubeletServer(config: ClusterConfig, clock: Clock, transport: Transport, kubelet: Kubelet, nodePki: NodePki, clientCa: string): KubeletServer {
  return new KubeletServer({ port: config.kubeletPort, certificate: nodePki.serving, clientCa, auth: webhookKubeletAuth(transport, config.nodeName, clock), host: kubelet.host(), clock });
}
export function newNetwork(config: ClusterConfig, clock: Clock, transport: Transport, changes: HostChanges): NodeNetwork {
  return newNodeNetwork({
    client: new Client(transport, 'podyard-network'), clock, nodeName: config.nodeName, clusterCIDR: config.clusterCIDR, podCIDR: config.podCIDR, bridge: config.bridge, table: config.nftTable,
    recordChange: (kind, id) => changes.record(kind as HostChangeKind, id),
  });
}
