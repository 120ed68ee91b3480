/**
 * Routes to the Pods of other nodes: each node's range by that node's address, or by the VXLAN link, in the kernel's main table, marked by a protocol
 * of our own. They stay when the process ends, as Pods do. Upstream leaves this to network plugins; flannel's host-gw and vxlan do the same.
 *
 * ```
 *   Nodes ─────────────────▶ plan ──┐
 *   ip monitor ──▶ what there is ───┴─▶ difference ──▶ journal ──▶ vxlan: ip link, ip neighbour, bridge fdb ──▶ ip route add | replace | delete
 *                                            └─ what the kernel refuses ──▶ Event, later again
 * ```
 */
import type { Node } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { EventRecorder } from '#client/events.ts';
import { Informer } from '#client/informer.ts';
import { NODES } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { KernelRoutes, type KernelRoutesOptions } from './kernel-routes.ts';
import { linkMonitor } from './link-monitor.ts';
import { notRouted, planRoutes, routeFacts, type PodNetwork } from './route-plan.ts';

const log = logger('routes');
const KEY = 'routes';
const NAME = 'podyard-routes';
/** Links come and go with Pods: what they cause is gathered for this long. */
const LINK_DELAY_MS = 500;
/** Between attempts at a route that the kernel refuses; doubled each time. */
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

export interface PodRoutesOptions extends KernelRoutesOptions {
  readonly client: Client;
  readonly clock: Clock;
}

/** What is kept of each Node. */
function little({ apiVersion, kind, metadata: { name, uid, resourceVersion, creationTimestamp }, spec, status }: Node): Node {
  return { apiVersion, kind, metadata: { name, uid, resourceVersion, creationTimestamp }, spec: { podCIDR: spec.podCIDR }, status: { addresses: status?.addresses } };
}

/** Resolves its start at once: routes follow as Nodes become known. Its stop leaves the routes. */
export function newPodRoutes(options: PodRoutesOptions): Component {
  const { client, clock, nodeName, netns } = options;
  const nodes = new Informer(client, NODES, clock, {}, little);
  const events = new EventSender({ clock });
  const recorder = new EventRecorder(client, { component: NAME, host: nodeName, clock, sender: events });
  const kernel = new KernelRoutes(options);
  /** By node, what was last told. */
  let told: ReadonlyMap<string, string> = new Map();
  let retryMs = MIN_RETRY_MS;
  let anew = true;
  const tell = (problems: ReadonlyMap<string, string>): void => {
    for (const [node, message] of problems) {
      if (told.get(node) === message) continue;
      retryMs = MIN_RETRY_MS;
      log.warn({ node }, message);
      recorder.eventFor({ kind: 'Node', name: nodeName, uid: nodeName }, 'Warning', 'PodRouteNotCreated', message);
    }
    told = problems;
  };
  const reconciler = new Reconciler({
    name: NAME, clock, logger: log, workers: 1, baseDelayMs: 100, maxDelayMs: 30_000,
    async reconcile(_key, signal) {
      // Before all Nodes are known, routes of those that are not would be taken for stale ones.
      if (!nodes.hasSynced) return undefined;
      const plan = planRoutes(nodes.list(), options);
      if (plan.routes.size) links.start();
      else await links.stop();
      const all = anew;
      anew = false;
      const refused = await kernel.sync(plan, all, signal).catch((err: unknown) => {
        anew ||= all;
        throw err;
      });
      tell(new Map([...plan.refused, ...Array.from(refused, ([range, answer]) => {
        const { node, via } = plan.routes.get(range)!;
        return [node, notRouted(node, `${range} via ${via}`, reasonOf(answer, options.podNetwork))] as const;
      })]));
      const afterMs = retryMs;
      retryMs = refused.size ? Math.min(retryMs * 2, MAX_RETRY_MS) : MIN_RETRY_MS;
      return refused.size ? { afterMs } : undefined;
    },
  });
  const links = linkMonitor({
    clock, netns,
    onChange(addresses) {
      anew ||= addresses;
      reconciler.queue.addAfter(KEY, LINK_DELAY_MS);
    },
  });
  const touch = (): void => reconciler.queue.add(KEY);
  return {
    name: NAME,
    start() {
      nodes.addHandler({ onAdd: touch, onUpdate: (old, node) => void (routeFacts(old) !== routeFacts(node) && touch()), onDelete: touch });
      void nodes.synced.then(touch);
      nodes.start();
      reconciler.start();
      return Promise.resolve();
    },
    async stop() {
      await nodes.stop();
      await reconciler.stop();
      await links.stop();
      await events.close();
    },
  };
}

function reasonOf(answer: string, podNetwork: PodNetwork): string {
  if (answer === 'File exists') return 'another route to this range is there, and stays';
  return podNetwork === 'vxlan' ? answer : `${answer}: nodes must be on one network, as neighbours, or the server be started with --pod-network vxlan`;
}
