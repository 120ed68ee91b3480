/**
 * The table of a cluster's components: what each is called, what it needs, how it is made. Starting sorts by needs, stopping
 * reverses. A new component is a row here.
 */
import { join } from 'node:path';
import type { AuditLog } from '#apiserver/audit/audit-log.ts';
import type { AuthenticationFile } from '#apiserver/authentication/configured.ts';
import type { AuthorizationFile } from '#apiserver/authorization/configured.ts';
import type { EncryptionAtRest } from '#apiserver/encryption/encryption.ts';
import { parseRuntimeConfig, servedResources } from '#apiserver/registry/runtime-config.ts';
import type { Tracing } from '#apiserver/tracing/tracing.ts';
import type { ApiServer } from '#apiserver/server.ts';
import type { Component } from '#base/component.ts';
import type { ComponentRow } from '#base/component-group.ts';
import { Client } from '#client/client.ts';
import type { Transport } from '#client/transport.ts';
import type { KubeletServer } from '#kubelet/server/server.ts';
import type { NodeNetwork } from '#network/node-network.ts';
import type { NetworkPolicies } from '#network/policy/network-policies.ts';
import type { Store } from '#store/contract.ts';
import { openEmbeddedStore } from '#store/embedded.ts';
import { newScheduler } from '#scheduler/scheduler.ts';
import { bootstrapObjects, ensureExtensionAuthentication, ensureJoining, ensureKubernetesService, ensureTokenTracking } from './bootstrap/bootstrap.ts';
import { markControlPlane } from './bootstrap/control-plane-node.ts';
import { addressIn, flagValues, sansOf, type ClusterConfig } from './config.ts';
import { certificateSigner } from './certificate-signer.ts';
import { certificateRenewal, ensureCertificates, writeAdminKubeconfig, type ServerCertificates } from './certificates.ts';
import { newApiServer, servingFiles } from './control-plane.ts';
import { newControllerManager } from './controllers.ts';
import { componentUser, inProcessTransport } from './in-process-transport.ts';
import { legacyTokenSigner } from './legacy-token.ts';
import { kubeletStats } from './metrics/kubelet-stats.ts';
import { newMetricsApi } from './metrics/metrics-api.ts';
import { newForwarding, newKubelet, newKubeletServer, newNetwork, newNetworkPolicies, newRoutes } from './node.ts';
import type { NodeFiles } from './node-files.ts';
import { newNodeRuntime, type NodeRuntime } from './node-runtime.ts';
import { newNodeProxy, type ClusterNodeProxy } from './node-proxy.ts';
import { newClusterDns, newServiceProxy } from './node-services.ts';
import { nodeStorage } from './node-storage.ts';
import type { ProcessAssembly } from './process.ts';
import { apiServerSans, type ClusterPki, type NodePki } from './pki.ts';

/** What the rows make and share; each is there once its row is ready. */
export interface Assembly extends ProcessAssembly, NodeFiles {
  readonly config: ClusterConfig;
  /** Undefined: the kernel's choice. */
  readonly podMtu: number | undefined;
  /** Undefined: objects are stored as they are. */
  readonly encryption?: EncryptionAtRest | undefined;
  /** Undefined: no outside issuers. */
  readonly authentication?: AuthenticationFile | undefined;
  /** Undefined: Node and RBAC decide. */
  readonly authorization?: AuthorizationFile | undefined;
  /** Undefined: no traces. */
  readonly tracing?: Tracing | undefined;
  /** Undefined: requests are not written down. */
  readonly audit?: AuditLog | undefined;
  store?: Store;
  pki?: ClusterPki;
  nodePki?: NodePki;
  server?: ApiServer;
  nodeProxy?: ClusterNodeProxy;
  runtime?: NodeRuntime;
  network?: NodeNetwork;
  policies?: NetworkPolicies;
  kubeletServer?: KubeletServer;
}

/** What `componentstatuses` shows: upstream's names, and the rows that stand for them. */
const COMPONENT_STATUSES = { 'controller-manager': 'controllers', scheduler: 'scheduler', 'etcd-0': 'store' } as const;

/** A component that only opens something at its start. */
function opened(name: string, start: (signal: AbortSignal) => Promise<void>, stop: () => Promise<void> | void = () => {}): Component {
  return { name, start, stop: async () => void (await stop()) };
}
/** A transport that acts as one user. */
function as(a: Assembly, name: string, ...groups: string[]): Transport {
  return inProcessTransport(a.server!, componentUser(name, ...groups), name.replace(/^system:(serviceaccount:kube-system:)?/, ''));
}
export function componentTable(a: Assembly): ComponentRow[] {
  const { config, clock } = a;
  return [
    {
      name: 'store', needs: [],
      create: () => opened('store', async (signal) => {
        a.store = await openEmbeddedStore({ directory: join(config.dataDir, 'store') });
        await a.encryption?.start(signal);
      }, async () => {
        await a.encryption?.stop();
        await a.store?.close();
      }),
    },
    {
      name: 'certificates', needs: [],
      create: () => opened('certificates', async () => {
        Object.assign(a, await ensureCertificates(config, clock));
      }),
    },
    {
      name: 'configuration-files', needs: [],
      create: () => {
        const files = [a.authentication, a.authorization];
        return opened('configuration-files', async () => files.forEach((file) => file?.start()), async () => void (await Promise.all(files.map((file) => file?.stop()))));
      },
    },
    {
      name: 'apiserver', needs: ['store', 'certificates', 'configuration-files'],
      create: () => {
        const client = a.pki!.clients['apiserver-kubelet-client'];
        const nodeProxy = (a.nodeProxy = newNodeProxy({ ca: a.pki!.ca.cert, cert: client.cert, key: client.key, local: (node) => (node.metadata.name === config.nodeName && a.kubeletServer?.running ? a.kubeletServer : undefined) }));
        a.server = newApiServer({ store: a.store!, clock, pki: a.pki!, frontProxyClient: () => a.pki!.frontProxyClient, encryption: a.encryption, authentication: a.authentication, authorization: a.authorization, tracing: a.tracing, audit: a.audit?.auditor, nodeProxy, http: { host: '0.0.0.0', port: config.apiPort }, serverAddress: `${config.nodeIP}:${config.apiPort}`,
          flags: flagValues(config), inFlight: { maxReadOnly: config.maxRequestsInFlight, maxMutating: config.maxMutatingRequestsInFlight },
          components: Object.entries(COMPONENT_STATUSES).map(([name, row]) => ({ name, check: () => (a.ready.has(row) ? undefined : `${row} is not running`) })),
          serviceNetwork: { cidrs: [config.serviceCIDR] }, runtimeConfig: parseRuntimeConfig(config.runtimeConfig ?? ''),
        });
        return a.server;
      },
    },
    {
      name: 'bootstrap', needs: ['apiserver'],
      create: () => {
        const transport = inProcessTransport(a.server!, componentUser('system:apiserver', 'system:masters'), 'kube-apiserver');
        const served = servedResources(parseRuntimeConfig(config.runtimeConfig ?? ''));
        return opened('bootstrap', async (signal) => {
          await bootstrapObjects(transport, { serves: (r) => served.includes(r) }, signal);
          await ensureExtensionAuthentication(transport, { clientCa: a.pki!.ca.cert, requestHeaderCa: a.pki!.frontProxyCa.cert, allowedNames: ['front-proxy-client'] }, signal);
          await ensureTokenTracking(transport, clock, signal);
          await ensureKubernetesService(transport, { serviceIp: addressIn(config.serviceCIDR, 1), addresses: [config.nodeIP], port: config.apiPort }, signal);
          await ensureJoining(transport, { ...config, podNetwork: config.podNetwork ?? 'routes', server: `https://${config.nodeIP}:${config.apiPort}`, ca: a.pki!.ca.cert }, signal);
          a.server!.bootstrapped();
        });
      },
    },
    {
      name: 'scheduler', needs: ['apiserver', 'bootstrap'],
      create: () => newScheduler({ client: new Client(as(a, 'system:kube-scheduler'), 'kube-scheduler'), clock, random: Math.random, registry: a.server!.metrics.registry }),
    },
    {
      name: 'controllers', needs: ['apiserver', 'bootstrap'],
      create: () => newControllerManager({
        clientAs: (user, userAgent) => new Client(inProcessTransport(a.server!, user, userAgent)), clock,
        resources: a.server!.resources, metrics: a.server!.metrics.registry, rootCa: a.pki!.ca.cert, clusterCIDR: config.clusterCIDR,
        signer: certificateSigner(a.pki!.ca, clock), signToken: legacyTokenSigner(a.pki!.serviceAccountKey.privateKey), nodeStorage: nodeStorage(a.nodeProxy!),
        reservedNames: { serviceCIDR: config.serviceCIDR, clusterDomain: config.clusterDomain, server: [...apiServerSans(config.clusterDomain, addressIn(config.serviceCIDR, 1)), config.nodeIP, config.nodeName, ...sansOf(config)] },
      }),
    },
    {
      name: 'metrics API', needs: ['apiserver', 'bootstrap'],
      create: () => newMetricsApi({ client: new Client(as(a, 'system:apiserver', 'system:masters'), 'metrics-api'), clock, resources: a.server!.resources, summary: kubeletStats(a.nodeProxy!) }),
    },
    { name: 'container runtime', needs: [], create: () => (a.runtime = newNodeRuntime(config, clock, a.changes, a)) },
    { name: 'network', needs: ['apiserver', 'bootstrap'], create: () => (a.network = newNetwork(config, clock, as(a, 'system:kube-proxy', 'system:masters'), a.changes)) },
    { name: 'forwarding', needs: ['apiserver', 'bootstrap'], create: () => newForwarding(config, clock, as(a, 'system:kube-proxy', 'system:masters'), a.changes) },
    { name: 'network policies', needs: ['apiserver', 'bootstrap'], create: () => (a.policies = newNetworkPolicies(config, clock, as(a, `system:node:${config.nodeName}`, 'system:nodes'), a.changes)) },
    { name: 'routes', needs: ['apiserver', 'bootstrap'], create: () => newRoutes(config, clock, as(a, 'system:kube-proxy', 'system:masters'), a.changes) },
    { name: 'proxy', needs: ['apiserver', 'bootstrap'], create: () => newServiceProxy(config, clock, as(a, 'system:kube-proxy'), a.changes) },
    {
      name: 'dns', needs: ['apiserver', 'bootstrap'],
      create: () => newClusterDns(config, clock, as(a, 'system:serviceaccount:kube-system:coredns', 'system:serviceaccounts', 'system:serviceaccounts:kube-system'), as(a, 'system:apiserver', 'system:masters')),
    },
    {
      name: 'kubelet', needs: ['apiserver', 'bootstrap', 'container runtime', 'network', 'network policies'],
      create: () => (a.kubelet = newKubelet(config, clock, as(a, `system:node:${config.nodeName}`, 'system:nodes'), a.runtime!.client, { ...a, network: a.network!, policies: a.policies! })),
    },
    {
      name: 'node role', needs: ['kubelet'],
      // A node may not say this of itself.
      create: () => opened('node role', (signal) => markControlPlane(new Client(as(a, 'system:apiserver', 'system:masters'), 'podyard'), config.nodeName, signal)),
    },
    {
      name: 'kubelet server', needs: ['kubelet'],
      create: () => (a.kubeletServer = newKubeletServer(config, clock, as(a, `system:node:${config.nodeName}`, 'system:nodes'), a.kubelet!, a.nodePki!.serving, a.pki!.ca.cert)),
    },
    {
      name: 'certificate renewal', needs: ['kubelet server'],
      create: () => certificateRenewal({ clock, current: { pki: a.pki!, nodePki: a.nodePki! }, ensure: () => ensureCertificates(config, clock), use: (certificates) => useCertificates(a, certificates) }),
    },
  ];
}
async function useCertificates(a: Assembly, { pki, nodePki }: ServerCertificates): Promise<void> {
  Object.assign(a, { pki, nodePki });
  a.server!.setTls(servingFiles(pki));
  a.nodeProxy!.setCredentials(pki.clients['apiserver-kubelet-client']);
  a.kubeletServer!.setCertificate(nodePki.serving);
  await writeAdminKubeconfig(a.config, pki, a.changes);
}
