/**
 * Keeps Pods' traffic going beside a firewall of the machine's own (Docker's, ufw's, an administrator's): has its chain accept it where that can be
 * done without disturbing it (`forward-plan.ts`), and tells where it cannot. Where nothing blocks, nothing is touched.
 *
 * ```
 *   nft monitor, Nodes ──▶ nft list ──▶ plan ──▶ journal ──▶ one transaction of nft
 *                                         └─ what is not ours to change ──▶ Event
 * ```
 */
import { readFile } from 'node:fs/promises';
import type { Node } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { applyNft, listNft, NftError, type NftObject, type NftOptions } from '#base/nft.ts';
import type { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { EventRecorder } from '#client/events.ts';
import { Informer } from '#client/informer.ts';
import { NODES } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { acceptChainOf, AS_WRITTEN, addressesOfOthers, forwardScript, forwardTableOf, jumpsTo, planForwarding, tablesToRead, type ForwardPlace } from './forward-plan.ts';
import { ruleMonitor } from './rule-monitor.ts';

const log = logger('forwarding');
const KEY = 'forwarding';
const NAME = 'podyard-forwarding';
/** A firewall that starts writes its rules in many steps: what they cause is gathered for this long. */
const RULES_DELAY_MS = 200;
/** Names of the tables that iptables-legacy has in this network namespace. Source: `net/ipv4/netfilter/ip_tables.c`. */
const LEGACY_TABLES = '/proc/net/ip_tables_names';

export interface ForwardAcceptOptions extends ForwardPlace {
  readonly client: Client;
  readonly clock: Clock;
  readonly nodeName: string;
  /** Told of each change made to the host, before it is made, so that it can be undone. */
  recordChange(kind: 'nft-table' | 'forward-accept', id: string): void | Promise<void>;
  /** Path of a network namespace that the rules go to. Default: the process's own. */
  readonly netns?: string | undefined;
}

/** All chains, and the rules of those that what is forwarded goes through. */
async function look(place: ForwardPlace, options: NftOptions): Promise<NftObject[]> {
  const objects = await listNft(['chains'], options);
  for (const table of tablesToRead(objects)) {
    objects.push(...(await listNft(['table', ...table], options)).filter((o) => o.rule));
  }
  if (objects.some(({ chain }) => chain?.table === forwardTableOf(place) && chain.name === AS_WRITTEN)) objects.push(...(await listNft(['chain', 'ip', forwardTableOf(place), AS_WRITTEN], options)).filter((o) => o.rule));
  return objects;
}
async function hasLegacyTable(netns: string | undefined): Promise<boolean> {
  // Another namespace's file is seen by its own processes alone: there, iptables-legacy is not looked for.
  const names = netns === undefined ? await readFile(LEGACY_TABLES, 'utf8').catch(() => '') : '';
  return names.split('\n').includes('filter');
}
function little({ apiVersion, kind, metadata: { name, uid, resourceVersion }, status }: Node): Node {
  return { apiVersion, kind, metadata: { name, uid, resourceVersion }, spec: {}, status: { addresses: status?.addresses } };
}

/** Resolves its start at once. Its stop leaves the rules, as Pods go on. */
export function newForwardAccept(options: ForwardAcceptOptions): Component {
  const { client, clock, nodeName, netns } = options;
  const nodes = new Informer(client, NODES, clock, {}, little);
  const events = new EventSender({ clock });
  const recorder = new EventRecorder(client, { component: NAME, host: nodeName, clock, sender: events });
  /** By chain, what was last told. */
  let told: ReadonlyMap<string, string> = new Map();
  /** Addresses of nodes that were last written; undefined before the first time, when what is there may be an earlier release's. */
  let written: string | undefined;
  const tell = (problems: ReadonlyMap<string, string>): void => {
    for (const [chain, message] of problems) {
      if (told.get(chain) === message) continue;
      log.warn({ chain }, message);
      recorder.eventFor({ kind: 'Node', name: nodeName, uid: nodeName }, 'Warning', 'ForwardingBlocked', message);
    }
    told = problems;
  };
  const reconciler = new Reconciler({
    name: NAME, clock, logger: log, workers: 1, baseDelayMs: 100, maxDelayMs: 30_000,
    async reconcile(_key, signal) {
      // Before all Nodes are known, those that are not would be shut out.
      if (!nodes.hasSynced) return undefined;
      const plan = planForwarding(await look(options, { netns, signal }), await hasLegacyTable(netns), options);
      tell(plan.problems);
      const others = addressesOfOthers(nodes.list(), nodeName);
      if (!plan.blocked || (plan.jumps && plan.isRight && others.join() === written)) return undefined;
      await options.recordChange('nft-table', `ip ${forwardTableOf(options)}`);
      await options.recordChange('forward-accept', acceptChainOf(options));
      await applyNft(forwardScript(options, others, plan.jumps), { netns, signal });
      log.info({ chain: acceptChainOf(options) }, 'FORWARD of table ip filter drops what is forwarded: it accepts what the cluster needs now');
      written = others.join();
      return undefined;
    },
  });
  const touch = (): void => reconciler.queue.add(KEY);
  const rules = ruleMonitor({ clock, netns, onChange: () => reconciler.queue.addAfter(KEY, RULES_DELAY_MS) });
  return {
    name: NAME,
    start() {
      const facts = (node: Node): string => addressesOfOthers([node], nodeName).join();
      nodes.addHandler({ onAdd: touch, onUpdate: (old, node) => void (facts(old) !== facts(node) && touch()), onDelete: touch });
      void nodes.synced.then(touch);
      nodes.start();
      reconciler.start();
      rules.start();
      return Promise.resolve();
    },
    async stop() {
      await nodes.stop();
      await reconciler.stop();
      await rules.stop();
      await events.close();
    },
  };
}

/** Takes the jump and the chain away that the journal names by the chain; tolerates that either is gone already. */
export async function removeForwardAccept(chain: string, options: NftOptions = {}): Promise<void> {
  const objects = await listNft(['table', 'ip', 'filter'], options).catch((err: unknown) => {
    if (err instanceof NftError && err.message.includes('No such file or directory')) return [];
    throw err;
  });
  const lines = jumpsTo(objects, chain).map((rule) => `delete rule ip filter FORWARD handle ${rule.handle}`);
  if (objects.some((o) => o.chain?.name === chain)) lines.push(`flush chain ip filter ${chain}`, `delete chain ip filter ${chain}`);
  if (lines.length) await applyNft(`${lines.join('\n')}\n`, options);
}
