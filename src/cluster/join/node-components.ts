/**
 * The table of a joined node's components: those rows of a cluster that make a node, over HTTPS. The network comes after the kubelet: the Node must be
 * known before the control plane gives it a range of addresses. Until then it is NotReady, in upstream's words.
 *
 * ```
 *   certificates ──▶ kubelet ──▶ network (the Node's podCIDR ──▶ CNI, nftables, routes to other nodes) ──▶ Ready
 *               │          └──▶ kubelet server, once its certificate is there
 *               ▼
 *             proxy, network policies
 * ```
 */
import { abortable } from '#base/abort.ts';
import type { Component } from '#base/component.ts';
import type { ComponentRow } from '#base/component-group.ts';
import type { Clock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { NODES } from '#client/kinds.ts';
import type { KubeletServer } from '#kubelet/server/server.ts';
import type { NodeNetwork } from '#network/node-network.ts';
import type { NetworkPolicies } from '#network/policy/network-policies.ts';
import { newForwarding, newKubelet, newKubeletServer, newNetwork, newNetworkPolicies, newRoutes } from '../node.ts';
import type { NodeFiles } from '../node-files.ts';
import { newNodeRuntime, runtimeConfigOf, type NodeRuntime } from '../node-runtime.ts';
import { newServiceProxy } from '../node-services.ts';
import type { ProcessAssembly } from '../process.ts';
import { writeCniConfig } from '../runtime/cni.ts';
import type { JoinedConfig } from './config.ts';
import type { NodeCertificates } from './node-certificates.ts';

/** What the rows make and share; each is there once its row is ready. */
export interface NodeAssembly extends ProcessAssembly, NodeFiles {
  readonly config: JoinedConfig;
  /** Undefined: the kernel's choice. */
  readonly podMtu: number | undefined;
  readonly certificates: NodeCertificates;
  runtime?: NodeRuntime;
  policies?: NetworkPolicies;
  /** This node's range of addresses. */
  podCIDR?: string;
}

export function nodeComponentTable(a: NodeAssembly): ComponentRow[] {
  const { config, clock, certificates, changes } = a;
  const network = Promise.withResolvers<NodeNetwork>();
  return [
    { name: 'certificates', needs: [], create: () => certificates },
    { name: 'container runtime', needs: [], create: () => (a.runtime = newNodeRuntime(config, clock, changes, a)) },
    { name: 'network policies', needs: ['certificates'], create: () => (a.policies = newNetworkPolicies(config, clock, certificates.transport, changes)) },
    {
      name: 'kubelet', needs: ['certificates', 'container runtime', 'network policies'],
      create: () => (a.kubelet = newKubelet(config, clock, certificates.transport, a.runtime!.client, {
        ...a, policies: a.policies!, network: onceMade(network.promise),
      })),
    },
    { name: 'network', needs: ['kubelet'], create: () => networkOnceGiven(a, network) },
    { name: 'forwarding', needs: ['network'], create: () => newForwarding(config, clock, certificates.transport, changes) },
    { name: 'routes', needs: ['network'], create: () => newRoutes({ ...config, podCIDR: a.podCIDR! }, clock, certificates.transport, changes) },
    { name: 'proxy', needs: ['certificates'], create: () => newServiceProxy(config, clock, certificates.transport, changes) },
    { name: 'kubelet server', needs: ['kubelet'], create: () => kubeletServerOnceCertified(a) },
  ];
}

/** A network that is not there yet: who asks for it waits, and no longer than the signal lets. */
export function onceMade(network: Promise<Pick<NodeNetwork, 'openHostPorts'>>): Pick<NodeNetwork, 'openHostPorts'> {
  return { openHostPorts: async (pod, podIP, signal) => (await abortable(network, signal)).openHostPorts(pod, podIP, signal) };
}
/** Waits for the Node's range of addresses, then sets its network up. */
function networkOnceGiven(a: NodeAssembly, made: PromiseWithResolvers<NodeNetwork>): Component {
  const { config, clock, certificates, changes } = a;
  let network: NodeNetwork | undefined;
  return {
    name: 'network',
    async start(signal) {
      const podCIDR = (a.podCIDR = await rangeOf(new Client(certificates.transport), config.nodeName, clock, signal));
      if (!config.containerRuntimeEndpoint) await writeCniConfig({ ...runtimeConfigOf(config, { mtu: a.podMtu }), podCIDR });
      network = newNetwork({ ...config, podCIDR }, clock, certificates.transport, changes);
      await network.start(signal);
      made.resolve(network);
    },
    async stop() {
      await network?.stop();
    },
  };
}
/** The Node's podCIDR, when it has one. Rejects when the signal aborts. */
async function rangeOf(client: Client, nodeName: string, clock: Clock, signal: AbortSignal): Promise<string> {
  const given = Promise.withResolvers<string>();
  const nodes = new Informer(client, NODES, clock, { fieldSelector: `metadata.name=${nodeName}` });
  const look = (node: { readonly spec: { readonly podCIDR?: string | undefined } }): void => {
    if (node.spec.podCIDR) given.resolve(node.spec.podCIDR);
  };
  const onAbort = (): void => given.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  nodes.addHandler({ onAdd: look, onUpdate: (_, node) => look(node) });
  nodes.start();
  try {
    signal.throwIfAborted();
    return await given.promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await nodes.stop();
  }
}
function kubeletServerOnceCertified(a: NodeAssembly): Component {
  const { config, clock, certificates } = a;
  let server: KubeletServer | undefined;
  return {
    name: 'kubelet-server',
    async start(signal) {
      const serving = await certificates.serving((pair) => server?.setCertificate(pair));
      server = newKubeletServer(config, clock, certificates.transport, a.kubelet!, serving, certificates.ca);
      await server.start(signal);
    },
    async stop() {
      await server?.stop();
    },
  };
}
