/**
 * Watches over nodes: one that stops reporting becomes Unknown, its conditions become taints, its Pods unready.
 * Source: concepts/architecture/nodes; upstream's counterpart: node-lifecycle-controller.
 */
import type { Node, NodeCondition, Pod, Taint } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { LEASES, NODES, PODS } from '#client/kinds.ts';
import { conditionPatch } from '#machinery/condition-patch.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';

export interface NodeLifecycleOptions {
  /** How long a node may be silent. Default 50 s (`--node-monitor-grace-period`). */
  readonly gracePeriodMs?: number;
  /** How long a new node may take to report for the first time. Default 60 s. */
  readonly startupGracePeriodMs?: number;
}
/** What was last heard of a node, on our clock: nodes' own clocks may differ. */
interface Heard {
  readonly sign: string;
  readonly at: number;
}
const UNREACHABLE = 'node.kubernetes.io/unreachable';
const NOT_READY = 'node.kubernetes.io/not-ready';
const CONDITION_TAINTS: readonly (readonly [condition: string, status: string, key: string])[] = [
  ['Ready', 'False', NOT_READY],
  ['Ready', 'Unknown', UNREACHABLE],
  ['MemoryPressure', 'True', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'True', 'node.kubernetes.io/disk-pressure'],
  ['NetworkUnavailable', 'True', 'node.kubernetes.io/network-unavailable'],
  ['PIDPressure', 'True', 'node.kubernetes.io/pid-pressure'],
];
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
const MANAGED_KEYS = new Set([...CONDITION_TAINTS.map(([, , key]) => key), UNSCHEDULABLE]);
/** Labels that older selectors go by follow those that took their place. */
const OLD_LABELS = [['kubernetes.io/os', 'beta.kubernetes.io/os'], ['kubernetes.io/arch', 'beta.kubernetes.io/arch']] as const;
const CHECKED = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

export function newNodeLifecycleController(context: ControllerContext, options: NodeLifecycleOptions = {}): Component {
  const { client, clock, informers } = context;
  const graceMs = options.gracePeriodMs ?? 50_000;
  const startupMs = options.startupGracePeriodMs ?? 60_000;
  const nodes = informers.informer(NODES);
  const pods = informers.informer(PODS);
  const leases = informers.informer(LEASES, { namespace: 'kube-node-lease' });
  const recorder = recorderOf(context, 'node-controller');
  const heard = new Map<string, Heard>();
  const registered = new Set<string>();

  /** Milliseconds since the node last gave a sign of life. */
  function silence(node: Node): { silentMs: number; graceMs: number } {
    const name = nameOf(node);
    const ready = node.status?.conditions?.find((c) => c.type === 'Ready');
    const sign = `${leases.get('kube-node-lease', name)?.spec?.renewTime}|${ready?.lastHeartbeatTime}`;
    const known = heard.get(name);
    const fresh = known?.sign === sign ? known : { sign, at: clock.monotonic() };
    heard.set(name, fresh);
    return { silentMs: clock.monotonic() - fresh.at, graceMs: ready ? graceMs : startupMs };
  }
  async function markUnknown(node: Node, signal: AbortSignal): Promise<Node> {
    const before = node.status?.conditions ?? [];
    const now = rfc3339(clock.now());
    const conditions = CHECKED.map((type): NodeCondition => {
      const old = before.find((c) => c.type === type);
      if (!old) return { type, status: 'Unknown', reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.', lastHeartbeatTime: node.metadata.creationTimestamp, lastTransitionTime: now };
      return old.status === 'Unknown' ? old : { ...old, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.', lastTransitionTime: now };
    });
    if (conditions.every((c) => before.includes(c))) return node;
    recorder.eventFor(nodeReference(node), 'Normal', 'NodeNotReady', `Node ${nameOf(node)} status is now: NodeNotReady`);
    return await client.of(NODES).patch('', nameOf(node), 'application/strategic-merge-patch+json', { status: { conditions } }, { subresource: 'status', signal });
  }
  async function applyTaints(node: Node, signal: AbortSignal): Promise<void> {
    const wanted = wantedTaints(node, rfc3339(clock.now()));
    const current = node.spec.taints ?? [];
    const kept = current.filter((t) => !isManaged(t) || wanted.some((w) => w.key === t.key && w.effect === t.effect));
    const added = wanted.filter((w) => !current.some((t) => t.key === w.key && t.effect === w.effect));
    if (kept.length === current.length && added.length === 0) return;
    const patch = { metadata: { resourceVersion: node.metadata.resourceVersion }, spec: { taints: [...kept, ...added] } };
    await client.of(NODES).patch('', nameOf(node), 'application/merge-patch+json', patch, { signal });
  }
  async function applyOldLabels({ metadata }: Node, signal: AbortSignal): Promise<void> {
    const labels = Object.fromEntries(OLD_LABELS.flatMap(([now, old]) => {
      const value = metadata.labels?.[now];
      return value === undefined || metadata.labels?.[old] === value ? [] : [[old, value]];
    }));
    if (Object.keys(labels).length) await client.of(NODES).patch('', metadata.name ?? '', 'application/strategic-merge-patch+json', { metadata: { labels } }, { signal });
  }
  async function markPodsNotReady(node: Node, signal: AbortSignal): Promise<void> {
    for (const pod of pods.list().filter((p) => p.spec.nodeName === nameOf(node))) {
      const ready = pod.status?.conditions?.find((c) => c.type === 'Ready');
      if (ready?.status !== 'True') continue;
      const condition = { ...ready, status: 'False', lastTransitionTime: rfc3339(clock.now()) };
      await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', { metadata: { uid: uidOf(pod) }, status: conditionPatch(pod.status?.conditions, condition) }, { subresource: 'status', signal }).catch((err: unknown) => {
        if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
      });
      recorder.event(pod as Pod, 'Warning', 'NodeNotReady', 'Node is not ready');
    }
  }
  function announce(node: Node): void {
    if (registered.has(uidOf(node))) return;
    registered.add(uidOf(node));
    recorder.eventFor(nodeReference(node), 'Normal', 'RegisteredNode', `Node ${nameOf(node)} event: Registered Node ${nameOf(node)} in Controller`);
  }

  return newController({
    name: 'node-lifecycle-controller',
    context,
    workers: 8,
    sources: (queue) => [
      source(context, queue, NODES, (node) => [nameOf(node)]),
      sourceWith(context, NODES, {
        onDelete(node) {
          if (registered.delete(uidOf(node))) recorder.eventFor(nodeReference(node), 'Normal', 'RemovingNode', `Node ${nameOf(node)} event: Removing Node ${nameOf(node)} from Controller`);
        },
      }),
      source(context, queue, LEASES, (lease) => [nameOf(lease)], { namespace: 'kube-node-lease' }),
    ],
    async reconcile(name, signal) {
      let node = nodes.get('', name);
      if (!node) {
        heard.delete(name);
        return undefined;
      }
      announce(node);
      await applyOldLabels(node, signal);
      const { silentMs, graceMs: allowedMs } = silence(node);
      if (silentMs >= allowedMs) node = await markUnknown(node, signal);
      await applyTaints(node, signal);
      const ready = node.status?.conditions?.find((c) => c.type === 'Ready')?.status;
      if (ready !== 'True') await markPodsNotReady(node, signal);
      // Once it is silent for too long, only its own sign of life changes anything.
      return silentMs >= allowedMs ? undefined : { afterMs: allowedMs - silentMs };
    },
  });
}

function isManaged(t: Taint): boolean {
  return MANAGED_KEYS.has(t.key);
}
function nodeReference(node: Node): { apiVersion: string; kind: string; name: string; uid: string } {
  return { apiVersion: 'v1', kind: 'Node', name: nameOf(node), uid: uidOf(node) };
}

/** Taints that a node's conditions and its `unschedulable` ask for. */
export function wantedTaints(node: Node, now: string): Taint[] {
  const out: Taint[] = [];
  for (const [condition, status, key] of CONDITION_TAINTS) {
    if (node.status?.conditions?.find((c) => c.type === condition)?.status !== status) continue;
    out.push({ key, effect: 'NoSchedule', timeAdded: now });
    // Only readiness drives Pods away; pressure is the kubelet's to act on.
    if (condition === 'Ready') out.push({ key, effect: 'NoExecute', timeAdded: now });
  }
  if (node.spec.unschedulable) out.push({ key: UNSCHEDULABLE, effect: 'NoSchedule', timeAdded: now });
  return out;
}
