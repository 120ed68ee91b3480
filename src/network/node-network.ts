/**
 * The node's side of the Pod network: forwarding, masquerade of what leaves the cluster, hostPorts. One nftables table, rebuilt
 * in one transaction when the set of hostPorts changes. Addresses and links of Pods are the CNI plugins' work.
 *
 * ```
 *   Pods of this node ──▶ hostPort mappings ──▶ script ──▶ nft -f -
 * ```
 */
import { writeFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { PODS } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { applyNft } from '#base/nft.ts';
import { filterBridgedPackets } from './bridge-filter.ts';

const log = logger('network');

export interface NodeNetworkOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly nodeName: string;
  /** Range of all Pods of the cluster: what stays inside of it is not masqueraded. */
  readonly clusterCIDR: string;
  /** Range of this node's Pods. */
  readonly podCIDR: string;
  readonly bridge: string;
  /** Name of the nftables table, of this node alone. */
  readonly table: string;
  /** Told of each change made to the host, so that it can be undone. */
  recordChange(kind: string, id: string): void | Promise<void>;
}
export interface NodeNetwork extends Component {
  /**
   * Resolves when the Pod is reached by its hostPorts, at once for a Pod without. `podIP` is the address that the Pod has just been given, before the
   * API knows of it. Rejects when the signal aborts.
   */
  openHostPorts(pod: Pod, podIP: string, signal: AbortSignal): Promise<void>;
}
export interface HostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** '' for every address of the host. */
  readonly hostIP: string;
  readonly hostPort: number;
  readonly podIP: string;
  readonly containerPort: number;
}

/** HostPorts of a Pod that has its address; none for one in the host's own network, which holds its ports itself. */
export function hostPortsOf(pod: Pod): HostPort[] {
  const podIP = pod.status?.podIP;
  if (!podIP || pod.spec.hostNetwork || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return [];
  const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
  return [...sidecars, ...pod.spec.containers].flatMap((c) => c.ports ?? []).filter((p) => p.hostPort).map((p) => ({
    protocol: (p.protocol ?? 'TCP').toLowerCase() as HostPort['protocol'],
    hostIP: p.hostIP && p.hostIP !== '0.0.0.0' ? p.hostIP : '',
    hostPort: p.hostPort!,
    podIP,
    containerPort: p.containerPort,
  }));
}

/** The whole table as a script that replaces what is there. */
export function tableScript(options: Pick<NodeNetworkOptions, 'table' | 'clusterCIDR' | 'podCIDR' | 'bridge'>, ports: readonly HostPort[]): string {
  const { table, clusterCIDR, podCIDR, bridge } = options;
  // A Pod that reaches itself by its hostPort must see another source than its own address.
  const hairpins = [...new Set(ports.map((p) => p.podIP))].map((ip) => `    ip saddr ${ip} ip daddr ${ip} ct status dnat masquerade`);
  const rules = ports.map((p) => {
    const to = p.hostIP ? `ip daddr ${p.hostIP}` : 'fib daddr type local';
    return `    ${to} meta l4proto ${p.protocol} th dport ${p.hostPort} dnat to ${p.podIP}:${p.containerPort}`;
  });
  return `table ip ${table}
delete table ip ${table}
table ip ${table} {
  chain hostports {
${rules.join('\n')}
  }
  chain raw {
    type filter hook prerouting priority raw; policy accept;
    # The bridge has route_localnet, for hostPorts and node ports of 127.0.0.1: no Pod may reach the host's loopback by it.
    iifname "${bridge}" ip daddr 127.0.0.0/8 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    jump hostports
  }
  chain output {
    type nat hook output priority -100; policy accept;
    jump hostports
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 127.0.0.0/8 oifname "${bridge}" masquerade
${hairpins.join('\n')}
    ip saddr ${podCIDR} ip daddr != ${clusterCIDR} ip daddr != 224.0.0.0/4 masquerade
  }
}
`;
}

/** Kernel settings that Pods' traffic needs. A setting that the kernel does not have is told, not fatal. */
async function setKernel(bridge: string): Promise<void> {
  const settings: [string, string][] = [
    ['net/ipv4/ip_forward', '1'],
    [`net/ipv4/conf/${bridge}/route_localnet`, '1'],
  ];
  for (const [name, value] of settings) {
    await writeFile(`/proc/sys/${name}`, value).catch((err: NodeJS.ErrnoException) => log.debug({ name, code: err.code }, 'kernel setting not changed'));
  }
  // Replies between Pods of one bridge must pass the rules that rewrote the request.
  await filterBridgedPackets().catch((err: unknown) => log.warn({ err }, 'Services and policies do not work between Pods of this node: the kernel does not filter what passes a bridge'));
}

/** The uid by which the kubelet knows a Pod: of one that comes from a file its mirror in the API tells it. */
const uidOnNode = (pod: Pod): string => pod.metadata.annotations?.['kubernetes.io/config.mirror'] ?? uidOf(pod);

export function newNodeNetwork(options: NodeNetworkOptions): NodeNetwork {
  const { client, clock, nodeName, bridge } = options;
  const pods = new Informer(client, PODS, clock, { fieldSelector: `spec.nodeName=${nodeName}` });
  /** Addresses that the API does not know yet, by the Pods' uids, and whether their ports are open. */
  const early = new Map<string, { readonly podIP: string; readonly opened: PromiseWithResolvers<void> }>();
  const withAddress = (pod: Pod): Pod => {
    const known = early.get(uidOnNode(pod));
    return known ? { ...pod, status: { ...pod.status, podIP: known.podIP } } : pod;
  };
  let applied = '';
  const reconciler = new Reconciler({
    name: 'network', clock, logger: log, workers: 1, baseDelayMs: 100, maxDelayMs: 30_000,
    async reconcile(_key, signal) {
      const all = pods.list();
      const served = all.map((pod) => ({ pod, known: early.get(uidOnNode(pod)) }));
      const ports = all.map(withAddress).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)).flatMap(hostPortsOf);
      const script = tableScript(options, ports);
      // The bridge appears with the first Pod: its setting is made again when hostPorts come into use.
      if (ports.length) await setKernel(bridge);
      if (script !== applied) await applyNft(script, { signal });
      applied = script;
      for (const { pod, known } of served) {
        known?.opened.resolve();
        if (known && pod.status?.podIP === known.podIP && early.get(uidOnNode(pod)) === known) early.delete(uidOnNode(pod));
      }
      return undefined;
    },
  });
  const touch = (pod: Pod) => void (hostPortsOf(withAddress(pod)).length && reconciler.queue.add('table'));
  return {
    name: 'network',
    async start(signal) {
      await options.recordChange('nft-table', `ip ${options.table}`);
      await setKernel(bridge);
      await applyNft(tableScript(options, []), { signal });
      pods.addHandler({
        onAdd: touch,
        onUpdate: (old, pod) => {
          touch(old);
          touch(pod);
        },
        onDelete: (pod) => {
          touch(pod);
          early.get(uidOnNode(pod))?.opened.resolve();
          early.delete(uidOnNode(pod));
        },
      });
      pods.start();
      reconciler.start();
    },
    async stop() {
      await pods.stop();
      await reconciler.stop();
    },
    async openHostPorts(pod, podIP, signal) {
      if (hostPortsOf({ ...pod, status: { ...pod.status, podIP } }).length === 0) return;
      signal.throwIfAborted();
      const opened = Promise.withResolvers<void>();
      early.set(uidOnNode(pod), { podIP, opened });
      const onAbort = (): void => {
        early.delete(uidOnNode(pod));
        opened.reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      reconciler.queue.add('table');
      try {
        await opened.promise;
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}
