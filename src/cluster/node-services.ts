/** What makes Services work on a node: the proxy's rules, and DNS. */
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { Client } from '#client/client.ts';
import type { Transport } from '#client/transport.ts';
import { Informer } from '#client/informer.ts';
import { NODES } from '#client/kinds.ts';
import { newDns } from '#dns/dns.ts';
import { Proxy } from '#proxy/proxy.ts';
import { announceClusterDns, ensureClusterDns } from './bootstrap/cluster-dns.ts';
import type { NodeConfig } from './config.ts';
import type { HostChanges } from './runtime/host-changes.ts';

/** Where our DNS listens, on the node's address, if the port is free: the proxy leads the Service's port 53 there. */
const DNS_PORT = 10_053;

export function newServiceProxy(config: NodeConfig, clock: Clock, transport: Transport, changes: HostChanges): Proxy {
  const { nodeName, clusterCIDR, bridge, nftTable } = config;
  return new Proxy({
    client: new Client(transport, 'kube-proxy'), clock, nodeName, clusterCIDR, bridge, table: `${nftTable}_proxy`,
    recordChange: (kind, id) => changes.record(kind, id),
  });
}
/** `transport` acts as DNS's account, `admin` may write its objects. */
export function newClusterDns(config: NodeConfig, clock: Clock, transport: Transport, admin: Transport): Component {
  const { nodeName, nodeIP, dnsIP, clusterCIDR, clusterDomain: domain } = config;
  // What the Pods of another machine ask leaves it by that machine's address.
  const nodes = new Informer(new Client(admin), NODES, clock);
  nodes.addIndex('address', (node) => (node.status?.addresses ?? []).map((a) => a.address));
  const dns = newDns({
    client: new Client(transport, 'coredns'), clock, domain, dnsIP, host: nodeIP, port: DNS_PORT, clusterCIDR, random: Math.random, mayAsk: (address) => nodes.byIndex('address', address).length > 0,
    announce: (port, signal) => announceClusterDns(admin, { nodeName, address: nodeIP, port }, signal),
  });
  return {
    ...dns,
    async start(signal) {
      await ensureClusterDns(admin, dnsIP, signal);
      nodes.start();
      await dns.start(signal);
    },
    async stop() {
      await dns.stop();
      await nodes.stop();
    },
  };
}
