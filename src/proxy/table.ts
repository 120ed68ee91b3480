/**
 * The table of a node: hooks, maps and sets that all Services share. What a Service adds is `service-rules.ts`.
 *
 * ```
 *   prerouting, output ──▶ services ──▶ @service-ips, @service-nodeports ──▶ chain of the Service ──▶ dnat
 *   postrouting        ──▶ masquerade of what is marked, and of Pods that reach themselves
 *   input, forward, output ──▶ @no-endpoint-services, @no-endpoint-nodeports, @cluster-ips ──▶ reject
 *                          ──▶ addresses of the ranges that no Service has ──▶ drop
 * ```
 * Source: nft(8); KEP-3866 (kube-proxy on nftables).
 */

/** Bit of the packet mark that asks for masquerade: kube-proxy's. */
const MARK = '0x4000';
export const MARK_FOR_MASQUERADE = `meta mark set meta mark or ${MARK}`;

export const SERVICE_IPS = 'service-ips';
export const NODE_PORTS = 'service-nodeports';
export const NO_ENDPOINT_IPS = 'no-endpoint-services';
export const NO_ENDPOINT_NODE_PORTS = 'no-endpoint-nodeports';
export const CLUSTER_IPS = 'cluster-ips';
export const HAIRPIN = 'hairpin-connections';
export const REJECT_CHAIN = 'reject-chain';
/** A rule for each range of Services' addresses. */
export const UNALLOCATED = 'unallocated-ips';

/** A script that makes the table, empty of Services, in place of what is there. `table` with its family. */
export function emptyTable(table: string): string {
  return `table ${table}
delete table ${table}
table ${table} {
  map ${SERVICE_IPS} { type ipv4_addr . inet_proto . inet_service : verdict; }
  map ${NODE_PORTS} { type inet_proto . inet_service : verdict; }
  map ${NO_ENDPOINT_IPS} { type ipv4_addr . inet_proto . inet_service : verdict; }
  map ${NO_ENDPOINT_NODE_PORTS} { type inet_proto . inet_service : verdict; }
  set ${CLUSTER_IPS} { type ipv4_addr; }
  set ${HAIRPIN} { type ipv4_addr . ipv4_addr; }

  chain services {
    ip daddr . meta l4proto . th dport vmap @${SERVICE_IPS}
    fib daddr type local meta l4proto . th dport vmap @${NODE_PORTS}
  }
  chain ${REJECT_CHAIN} {
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain ${UNALLOCATED} {
  }
  chain endpoint-check {
    ip daddr . meta l4proto . th dport vmap @${NO_ENDPOINT_IPS}
    fib daddr type local meta l4proto . th dport vmap @${NO_ENDPOINT_NODE_PORTS}
    ip daddr @${CLUSTER_IPS} goto ${REJECT_CHAIN}
    jump ${UNALLOCATED}
  }
  chain nat-prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }
  chain nat-output {
    type nat hook output priority -100; policy accept;
    jump services
  }
  chain nat-postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & ${MARK} == ${MARK} masquerade fully-random
    ct status dnat ip saddr . ip daddr @${HAIRPIN} masquerade fully-random
  }
  chain filter-input {
    type filter hook input priority filter; policy accept;
    ct state new jump endpoint-check
  }
  chain filter-forward {
    type filter hook forward priority filter; policy accept;
    ct state new jump endpoint-check
  }
  chain filter-output {
    type filter hook output priority filter; policy accept;
    ct state new jump endpoint-check
  }
}
`;
}

/**
 * A script for the table when it has been made: connections of which one side has ended are known for an hour, as kube-proxy's `tcpCloseWaitTimeout`
 * says. The kernel's minute would cut off who has asked all and waits for the answer. It is a script of its own, because kernels without
 * `CONFIG_NF_CONNTRACK_TIMEOUT` refuse it.
 */
export function halfClosedTimeout(table: string): string {
  const rule = 'meta l4proto tcp ct state new ct timeout set "half-closed"';
  return `table ${table} {
  ct timeout half-closed {
    protocol tcp; l3proto ip;
    policy = { close_wait : 3600 };
  }
  chain timeouts-prerouting {
    type filter hook prerouting priority -190; policy accept;
    ${rule}
  }
  chain timeouts-output {
    type filter hook output priority -190; policy accept;
    ${rule}
  }
}
`;
}
