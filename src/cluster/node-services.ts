/** What makes Services work on a node: the proxy's rules. */
import type { Clock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import type { Transport } from '#client/transport.ts';
import { Proxy } from '#proxy/proxy.ts';
import type { ClusterConfig } from './config.ts';
import type { HostChanges } from './runtime/host-changes.ts';

export function newServiceProxy(config: ClusterConfig, clock: Clock, transport: Transport, changes: HostChanges): Proxy {
  const { nodeName, clusterCIDR, bridge, nftTable } = config;
  return new Proxy({
    client: new Client(transport, 'kube-proxy'), clock, nodeName, clusterCIDR, bridge, table: `${nftTable}_proxy`,
    recordChange: (kind, id) => changes.record(kind, id),
  });
}
