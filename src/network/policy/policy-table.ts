/**
 * The table of a node: two chains of the forward hook, which know isolated Pods by their addresses. What a policy and a Pod add is `policy-rules.ts`.
 *
 * ```
 *   forward (after DNAT) ──▶ egress:  reply? pass ── source in @egress-pods?       ──▶ chain of the Pod ──▶ chains of its policies ──▶ drop
 *                        ──▶ ingress: reply? pass ── destination in @ingress-pods? ──▶ chain of the Pod ──▶ chains of its policies ──▶ drop
 * ```
 * What the node itself sends to its Pods and gets from them does not pass the forward hook. Packets between Pods of one bridge do, as long as
 * `net.bridge.bridge-nf-call-iptables` is 1. Source: nft(8), "ADDRESS FAMILIES", "VERDICT MAPS".
 */
import type { Direction } from './compiled-policy.ts';

/** The map from an isolated Pod's address to its chain. */
export const podsMap = (direction: Direction): string => `${direction}-pods`;

const chain = (direction: Direction, address: string, first = ''): string => `  map ${podsMap(direction)} { type ipv4_addr : verdict; }
  chain forward-${direction} {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
${first}    ip ${address} vmap @${podsMap(direction)}
  }
`;

/**
 * A script that makes the table, without any Pod in it, in place of what is there. `table` with its family. Names are part of the node, and like it never out of
 * reach: a process of Podyard's answers at `dnsIP`, which no selector names, on another port and, for most nodes, on another machine.
 */
export function emptyPolicyTable(table: string, dnsIP: string): string {
  return `${noPolicyTable(table)}table ${table} {
${chain('egress', 'saddr', `    ct status dnat ct original ip daddr ${dnsIP} meta l4proto { tcp, udp } ct original proto-dst 53 accept\n`)}${chain('ingress', 'daddr')}}
`;
}
/** A script after which the table is not there, whether it was or not. */
export function noPolicyTable(table: string): string {
  return `table ${table}
delete table ${table}
`;
}
