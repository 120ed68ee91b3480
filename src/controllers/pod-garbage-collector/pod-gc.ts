/**
 * Removes Pods that nobody else will: too many that have ended, those of nodes that are gone, and terminating ones that were never
 * scheduled or whose node is out of service. Upstream's counterpart: pod-garbage-collector-controller.
 */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { NODES, PODS } from '#client/kinds.ts';
import { conditionPatch } from '#machinery/condition-patch.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

/** Ended Pods that are kept for people to look at. */
const TERMINATED_THRESHOLD = 12_500;
/** A node that was just deleted may be on its way back. */
const QUARANTINE_MS = 40_000;
const TERMINATED_SWEEP = '*terminated*';
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

const ended = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

const isEvicted = (pod: Pod): boolean => pod.status?.phase === 'Failed' && pod.status.reason === 'Evicted';
/** Nothing on the node runs any more: somebody has said so. */
function isOutOfService({ spec, status }: Node): boolean {
  return status?.conditions?.find((c) => c.type === 'Ready')?.status !== 'True' && (spec?.taints?.some((t) => t.key === OUT_OF_SERVICE) ?? false);
}
/** Evicted Pods go first, then the oldest. */
function byEvictionAndAge(a: Pod, b: Pod): number {
  if (isEvicted(a) !== isEvicted(b)) return isEvicted(a) ? -1 : 1;
  const [left, right] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  return (left === right ? nameOf(a) < nameOf(b) : left < right) ? -1 : 1;
}

export function newPodGarbageCollector(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const pods = informers.informer(PODS);
  const nodes = informers.informer(NODES);
  const orphanedSince = new Map<string, number>();

  /** With a message the Pod is told that it was disrupted. */
  async function remove(pod: Pod, message: string | undefined, signal: AbortSignal): Promise<void> {
    const observedGeneration = pod.metadata.generation;
    const told = message !== undefined && conditionPatch(pod.status?.conditions, { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC', message, observedGeneration, lastTransitionTime: rfc3339(clock.now()) });
    try {
      if (!ended(pod)) {
        const patch = { metadata: { uid: uidOf(pod) }, status: { phase: 'Failed', observedGeneration, ...told } };
        await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', patch, { subresource: 'status', signal });
      }
      await client.of(PODS).delete(namespaceOf(pod), nameOf(pod), { gracePeriodSeconds: 0, preconditions: { uid: uidOf(pod) } }, signal);
    } catch (err) {
      if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
    }
  }
  async function sweepTerminated(signal: AbortSignal): Promise<undefined> {
    const over = pods.list().filter(ended);
    const excess = over.length - TERMINATED_THRESHOLD;
    if (excess <= 0) return undefined;
    for (const pod of over.toSorted(byEvictionAndAge).slice(0, excess)) await remove(pod, undefined, signal);
    return undefined;
  }

  return newController({
    name: 'pod-garbage-collector-controller',
    context,
    sources: (queue) => [
      source(context, queue, PODS, (pod) => {
        if (ended(pod) && pods.size > TERMINATED_THRESHOLD) queue.add(TERMINATED_SWEEP);
        const { nodeName } = pod.spec;
        const node = nodeName ? nodes.get('', nodeName) : undefined;
        return (pod.metadata.deletionTimestamp === undefined ? nodeName && !node : !node || isOutOfService(node)) ? [`${namespaceOf(pod)}/${nameOf(pod)}`] : [];
      }),
      source(context, queue, NODES, function* (node) {
        if (nodes.get('', nameOf(node)) && !isOutOfService(node)) return;
        for (const pod of pods.list()) if (pod.spec.nodeName === nameOf(node)) yield `${namespaceOf(pod)}/${nameOf(pod)}`;
      }),
    ],
    async reconcile(key, signal) {
      if (key === TERMINATED_SWEEP) return await sweepTerminated(signal);
      const pod = pods.getByKey(key);
      const { nodeName } = pod?.spec ?? {};
      const node = nodeName ? nodes.get('', nodeName) : undefined;
      if (!pod || node || !nodeName) {
        orphanedSince.delete(key);
        if (pod?.metadata.deletionTimestamp !== undefined && (!node || isOutOfService(node))) await remove(pod, undefined, signal);
        return undefined;
      }
      const since = orphanedSince.get(key) ?? clock.monotonic();
      orphanedSince.set(key, since);
      const left = since + QUARANTINE_MS - clock.monotonic();
      if (left > 0) return { afterMs: left };
      orphanedSince.delete(key);
      const real = await client.of(NODES).get('', nodeName, signal).catch((err: unknown) => {
        if (isReason(err, 'NotFound')) return undefined;
        throw err;
      });
      if (!real) await remove(pod, 'PodGC: node no longer exists', signal);
      return undefined;
    },
  });
}
