/** One node of a cluster: its network and its kubelet, from one configuration. The runtime is in `node-runtime.ts`. */
import { join } from 'node:path';
import type { CriClient } from '#cri/client.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { Client } from '#client/client.ts';
import type { Transport } from '#client/transport.ts';
import { KUBELET_DEFAULTS, type KubeletConfig } from '#kubelet/config.ts';
import { Kubelet } from '#kubelet/kubelet.ts';
import { KubeletServer } from '#kubelet/server/server.ts';
import { webhookKubeletAuth } from '#kubelet/server/webhook-auth.ts';
import { newForwardAccept } from '#network/forward-accept.ts';
import { newNodeNetwork, type NodeNetwork } from '#network/node-network.ts';
import { newPodRoutes } from '#network/pod-routes.ts';
import { NetworkPolicies } from '#network/policy/network-policies.ts';
import { vxlanLinkName } from '#network/vxlan-plan.ts';
import type { NodeConfig } from './config.ts';
import type { CredentialProviderFile } from './credential-provider-file.ts';
import type { KeyPair } from './pki.ts';
import type { HostChangeKind, HostChanges } from './runtime/host-changes.ts';
import { pullCredentials, type Registries } from './runtime/registries.ts';

/** `choices` are those of `kubelet.yaml`. */
export function kubeletConfig(config: NodeConfig, choices: Partial<KubeletConfig> = {}): KubeletConfig {
  return {
    ...KUBELET_DEFAULTS,
    ...choices,
    nodeName: config.nodeName,
    nodeIPs: [config.nodeIP],
    rootDir: join(config.dataDir, 'kubelet'),
    secretsDir: join(config.runDir, 'secrets'),
    podLogsDir: join(config.dataDir, 'pod-logs'),
    storageDir: join(config.dataDir, 'storage'),
    cgroupRoot: config.cgroupRoot,
    staticPodDir: join(config.dataDir, 'manifests'),
    clusterDNS: [config.dnsIP],
    clusterDomain: config.clusterDomain,
    port: config.kubeletPort,
  };
}

/** What a kubelet takes from files of the data directory, and the node's network. */
export interface KubeletParts {
  readonly registries: Registries;
  readonly kubeletChoices: Partial<KubeletConfig>;
  readonly credentialProviders?: CredentialProviderFile | undefined;
  readonly network: Pick<NodeNetwork, 'openHostPorts'>;
  readonly policies: Pick<NetworkPolicies, 'isolate'>;
}
export function newKubelet(config: NodeConfig, clock: Clock, transport: Transport, runtime: CriClient, parts: KubeletParts): Kubelet {
  const { registries, kubeletChoices, credentialProviders, network, policies } = parts;
  return new Kubelet({
    config: kubeletConfig(config, kubeletChoices), client: new Client(transport, 'kubelet'), runtime, clock, credentialProviders, nodeCredentials: (image) => pullCredentials(registries, image),
    preparePodNetwork: async (pod, podIP, signal) => {
      // A Pod that is to be isolated is so before anybody is led to it.
      await policies.isolate(pod, podIP, signal);
      await network.openHostPorts(pod, podIP, signal);
    },
  });
}
/** The kubelet's server: who may use it is the API server's to say (TokenReview, SubjectAccessReview). */
export function newKubeletServer(config: NodeConfig, clock: Clock, transport: Transport, kubelet: Kubelet, serving: KeyPair, clientCa: string): KubeletServer {
  return new KubeletServer({ port: config.kubeletPort, certificate: serving, clientCa, auth: webhookKubeletAuth(transport, config.nodeName, clock), host: kubelet.host(), clock });
}
export function newNetwork(config: NodeConfig & { readonly podCIDR: string }, clock: Clock, transport: Transport, changes: HostChanges): NodeNetwork {
  return newNodeNetwork({
    client: new Client(transport, 'podyard-network'), clock, nodeName: config.nodeName, clusterCIDR: config.clusterCIDR, podCIDR: config.podCIDR, bridge: config.bridge, table: config.nftTable,
    recordChange: (kind, id) => changes.record(kind as HostChangeKind, id),
  });
}
/** Pods' traffic beside a firewall of the machine's own. */
export function newForwarding(config: NodeConfig, clock: Clock, transport: Transport, changes: HostChanges): Component {
  const { nodeName, bridge, clusterCIDR, nftTable: table } = config;
  return newForwardAccept({ client: new Client(transport, 'podyard-forwarding'), clock, nodeName, bridge, clusterCIDR, table, recordChange: (kind, id) => changes.record(kind, id) });
}
/** `transport` may list and watch Pods, Namespaces and NetworkPolicies of the whole cluster. */
export function newNetworkPolicies(config: NodeConfig, clock: Clock, transport: Transport, changes: HostChanges): NetworkPolicies {
  return new NetworkPolicies({
    client: new Client(transport, 'podyard-network-policy'), clock, nodeName: config.nodeName, dnsIP: config.dnsIP, table: `${config.nftTable}_policy`,
    recordChange: (kind, id) => changes.record(kind, id), forgetChange: (kind, id) => changes.forget(kind, id),
  });
}
export function newRoutes(config: NodeConfig & { readonly podCIDR: string }, clock: Clock, transport: Transport, changes: HostChanges): Component {
  const { nodeName, nodeIP, clusterCIDR, podCIDR, podNetwork = 'routes', bridge } = config;
  return newPodRoutes({
    client: new Client(transport, 'podyard-routes'), clock, nodeName, nodeIP, clusterCIDR, podCIDR, podNetwork, vxlanLink: vxlanLinkName(bridge),
    recordChange: (kind, id) => changes.record(kind, id), forgetChange: (kind, id) => changes.forget(kind, id),
  });
}
