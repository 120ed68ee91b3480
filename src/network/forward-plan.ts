/**
 * What other firewalls of the machine do to what is forwarded, and what there is to do about it. Reads and writes nothing.
 *
 * An accept in one base chain does not override a drop in another: where Docker or ufw has given FORWARD of `table ip filter` the policy
 * drop, it must be that chain which accepts Pods' traffic, as flannel (FLANNEL-FWD) and kube-proxy (KUBE-FORWARD) have it do.
 * iptables-nft refuses to list a table with expressions that are not its own, and connection tracking's native ones are not:
 * a table of ours judges connections and marks their packets, and what is written beside other people's rules asks for the mark alone.
 *
 * ```
 *   <table>_forward ──▶ ip filter FORWARD ──▶ PODYARD-FWD-<bridge> ─ accept ─▶ <table>_forward
 *    before-filter              └─ what is not marked ─▶ other people's rules     after-filter
 *      marks                                             and their policy           unmarks
 * ```
 * Source: nft(8), VERDICT STATEMENT; iptables-nft(8); `nft_is_expr_compatible` of iptables 1.8.
 */
import { isIPv4 } from 'node:net';
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import type { NftChain, NftExpression, NftObject, NftRule } from '#base/nft.ts';
import { isOwnTable } from './own-tables.ts';

/** Bit of the packet mark that asks for acceptance, between {@link forwardScript}'s two chains. Nobody's else: kube-proxy has 0x4000 and 0x8000, the CNI's portmap 0x2000. */
const MARK = 0x1000;
const UNMARKED = (~MARK >>> 0).toString(16);
/** The chain that iptables-nft makes for what is forwarded. Source: `xtables_ipv4` of iptables-nft. */
const FORWARD = 'ip filter FORWARD';
/** Longest name of a chain that iptables takes, which an interface's 15 characters fit in. Source: iptables(8), XT_EXTENSION_MAXNAMELEN. */
const CHAIN_PREFIX = 'PODYARD-FWD-';
/**
 * The same rules in our own table, where nothing is led to them and nobody changes them: as each release of nft shows them in its own words, they tell what the others
 * must look like. A look at what has just been written would take for ours what somebody wrote in that moment.
 */
export const AS_WRITTEN = 'as-written';

/** What a node is among the firewalls of its machine. */
export interface ForwardPlace {
  readonly bridge: string;
  /** Range of all Pods of the cluster. */
  readonly clusterCIDR: string;
  /** Name of the node's nftables table. */
  readonly table: string;
}
export interface ForwardPlan {
  /** FORWARD drops what nobody accepts. */
  readonly blocked: boolean;
  /** FORWARD jumps to our chain. */
  readonly jumps: boolean;
  /** Our chain in FORWARD's table is as it was written. */
  readonly isRight: boolean;
  /** By chain, what is told of those that block and are not ours to change. */
  readonly problems: ReadonlyMap<string, string>;
}

export function forwardTableOf(place: ForwardPlace): string {
  return `${place.table}_forward`;
}
export function acceptChainOf(place: ForwardPlace): string {
  return `${CHAIN_PREFIX}${place.bridge}`;
}

const textOf = (chain: NftChain): string => `${chain.family} ${chain.table} ${chain.name}`;
/** Tables of clusters of this machine. They drop what they mean to drop. */
const isOurs = (chain: NftChain): boolean => isOwnTable(chain.family, chain.table);
const isForeign = (chain: NftChain): boolean => chain.hook === 'forward' && (chain.family === 'ip' || chain.family === 'inet') && !isOurs(chain);
const isCounted = (e: NftExpression): boolean => 'counter' in e;
const withoutCounters = (rule: NftRule): readonly NftExpression[] => rule.expr.filter((e) => !isCounted(e));

/** Tables whose rules {@link planForwarding} must see, as words for `nft list table`. */
export function tablesToRead(chains: readonly NftObject[]): (readonly [family: string, table: string])[] {
  const tables = chains.flatMap(({ chain }) => (chain && isForeign(chain) ? [`${chain.family} ${chain.table}`] : []));
  return [...new Set(tables)].map((table) => table.split(' ') as [string, string]);
}

/** Rules of FORWARD that jump to a chain and do nothing else. */
export function jumpsTo(objects: readonly NftObject[], target: string): NftRule[] {
  return objects.flatMap(({ rule }) => {
    if (!rule || `${rule.family} ${rule.table} ${rule.chain}` !== FORWARD) return [];
    const [first, ...more] = withoutCounters(rule);
    return more.length === 0 && (first?.['jump'] as { target?: string } | undefined)?.target === target ? [rule] : [];
  });
}

/** A verdict against whatever comes to it. */
function isCatchAll(rule: NftRule): boolean {
  const [first, ...more] = withoutCounters(rule).filter((e) => !('log' in e));
  if (!first || more.length) return false;
  const xt = first['xt'] as { name?: string } | null | undefined;
  return 'drop' in first || 'reject' in first || xt?.name === 'REJECT' || xt?.name === 'DROP';
}

/** `objects`: all chains, and the rules of {@link tablesToRead}. `legacy`: the kernel has a table `filter` of iptables-legacy. */
export function planForwarding(objects: readonly NftObject[], legacy: boolean, place: ForwardPlace): ForwardPlan {
  const rules = objects.flatMap((o) => o.rule ?? []);
  const accepting = acceptChainOf(place);
  const blocks = (chain: NftChain): boolean =>
    chain.policy === 'drop' || rules.some((r) => r.family === chain.family && r.table === chain.table && r.chain === chain.name && isCatchAll(r));
  const foreign = objects.flatMap(({ chain }) => (chain && isForeign(chain) ? [chain] : []));
  const problems = new Map<string, string>();
  for (const chain of foreign) {
    if (textOf(chain) === FORWARD || !blocks(chain)) continue;
    if (!rules.some((r) => r.family === chain.family && r.table === chain.table && r.chain !== accepting && namesPods(r, place))) problems.set(textOf(chain), blockedBy(chain, place));
  }
  const forward = foreign.find((chain) => textOf(chain) === FORWARD);
  if (!forward && legacy) problems.set('iptables-legacy', blockedByLegacy(place));
  const print = (table: string, chain: string): string => JSON.stringify(rules.filter((r) => r.family === 'ip' && r.table === table && r.chain === chain).map(withoutCounters));
  return { blocked: forward !== undefined && blocks(forward), jumps: jumpsTo(objects, accepting).length > 0, isRight: print('filter', accepting) === print(forwardTableOf(place), AS_WRITTEN), problems };
}

/** Its administrator knows of the cluster: whether the table drops its traffic is theirs to say. */
function namesPods(rule: NftRule, { bridge, clusterCIDR }: ForwardPlace): boolean {
  const [addr, len] = clusterCIDR.split('/');
  const text = JSON.stringify(rule.expr);
  return text.includes(JSON.stringify(bridge)) || text.includes(JSON.stringify({ addr, len: Number(len) }));
}
function blockedBy(chain: NftChain, { clusterCIDR }: ForwardPlace): string {
  const remedy = chain.table === 'firewalld' ?
    `firewall-cmd --permanent --zone=trusted --add-source=${clusterCIDR} && firewall-cmd --reload` :
    ['saddr', 'daddr'].map((side) => `nft insert rule ${textOf(chain)} ip ${side} ${clusterCIDR} accept`).join(' && ');
  return `Chain ${chain.name} of table ${chain.family} ${chain.table} drops what this machine forwards, and none of its table's rules names the Pods' range: Pods may have no network. Allow their traffic there: ${remedy}`;
}
function blockedByLegacy({ bridge }: ForwardPlace): string {
  const remedy = ['-i', '-o'].map((side) => `iptables-legacy -I FORWARD ${side} ${bridge} -j ACCEPT`).join(' && ');
  return `Rules of iptables-legacy are in use, which are not changed here: if the policy of their chain FORWARD is DROP, Pods have no network. Allow their traffic there: ${remedy}`;
}

/** IPv4 addresses of the other nodes: what they send to Pods themselves has these as its source. Anything else that a Node says is left out. */
export function addressesOfOthers(nodes: readonly Node[], nodeName: string): string[] {
  const others = nodes.filter((node) => nameOf(node) !== nodeName);
  return [...new Set(others.flatMap((node) => node.status?.addresses ?? []).map((a) => a.address).filter((address) => isIPv4(address)))].toSorted();
}

/** Has FORWARD accept the cluster's traffic; what is not the cluster's goes on to the rules and the policy that are there. `nodes`: {@link addressesOfOthers}. */
export function forwardScript(place: ForwardPlace, nodes: readonly string[], jumps: boolean): string {
  const { bridge, clusterCIDR } = place;
  const table = `ip ${forwardTableOf(place)}`;
  const chain = `ip filter ${acceptChainOf(place)}`;
  const mark = `meta mark set meta mark or ${MARK}`;
  const marked = `meta mark & ${MARK} == ${MARK} counter accept`;
  const accepting = [`iifname "${bridge}" counter accept`, `ip daddr ${clusterCIDR} ${marked}`, `ip saddr ${clusterCIDR} ${marked}`];
  return `table ${table}
delete table ${table}
table ${table} {
  set nodes { type ipv4_addr; ${nodes.length ? `elements = { ${nodes.join(', ')} }; ` : ''}}
  chain before-filter {
    type filter hook forward priority -1; policy accept;
    ip daddr ${clusterCIDR} ct state established,related ${mark}
    # By a hostPort or a Service. An outsider that has a route to a Pod's address is not let in.
    ip daddr ${clusterCIDR} ct status dnat ${mark}
    ip daddr ${clusterCIDR} ip saddr ${clusterCIDR} ${mark}
    ip daddr ${clusterCIDR} ip saddr @nodes ${mark}
    # Answers of other nodes' Pods to who came by a node port of this one.
    ip saddr ${clusterCIDR} ct state established,related ${mark}
  }
  chain after-filter {
    type filter hook forward priority 1; policy accept;
    meta mark & ${MARK} == ${MARK} meta mark set meta mark and 0x${UNMARKED}
  }
  chain ${AS_WRITTEN} {
${accepting.map((rule) => `    ${rule}\n`).join('')}  }
}
add chain ${chain}
flush chain ${chain}
${accepting.map((rule) => `add rule ${chain} ${rule}\n`).join('')}${jumps ? '' : `insert rule ${FORWARD} counter jump ${acceptChainOf(place)}\n`}`;
}
