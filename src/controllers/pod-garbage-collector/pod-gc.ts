/**
 * Removes Pods that nobody else will: too many that have ended, those of nodes that are gone, and terminating ones that were never
 * scheduled. Upstream's counterpart: pod-garbage-collector-controller.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { NODES, PODS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

/** Ended Pods that are kept for people to look at. */
const TERMINATED_THRESHOLD = 12_500;
/** A node that was just deleted may be on its way back. */
const QUARANTINE_MS = 40_000;
const TERMINATED_SWEEP = '*terminated*';

const ended = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

export function newPodGarbageCollector(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const pods = informers.informer(PODS);
  const nodes = informers.informer(NODES);
  const orphanedSince = new Map<string, number>();

  async function remove(pod: Pod, message: string, signal: AbortSignal): Promise<void> {
    try {
      if (!ended(pod)) {
        const condition = { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC', message, lastTransitionTime: rfc3339(clock.now()) };
        await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', { metadata: { uid: uidOf(pod) }, status: { phase: 'Failed', conditions: [condition] } }, { subresource: 'status', signal });
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
    const oldest = over.toSorted((a, b) => Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? ''));
    for (const pod of oldest.slice(0, excess)) await remove(pod, '', signal);
    return undefined;
  }

  return newController({
    name: 'pod-garbage-collector-controller',
    context,
    sources: (queue) => [
      source(context, queue, PODS, (pod) => {
        if (ended(pod) && pods.size > TERMINATED_THRESHOLD) queue.add(TERMINATED_SWEEP);
        const { nodeName } = pod.spec;
        return (nodeName ? !nodes.get('', nodeName) : pod.metadata.deletionTimestamp) ? [`${namespaceOf(pod)}/${nameOf(pod)}`] : [];
      }),
      source(context, queue, NODES, function* (node) {
        if (nodes.get('', nameOf(node))) return;
        for (const pod of pods.list()) if (pod.spec.nodeName === nameOf(node)) yield `${namespaceOf(pod)}/${nameOf(pod)}`;
      }),
    ],
    async reconcile(key, signal) {
      if (key === TERMINATED_SWEEP) return await sweepTerminated(signal);
      const pod = pods.getByKey(key);
      const { nodeName } = pod?.spec ?? {};
      if (!pod || (nodeName && nodes.get('', nodeName))) return void orphanedSince.delete(key);
      if (!nodeName) {
        if (pod.metadata.deletionTimestamp) await remove(pod, 'PodGC: unscheduled pod is terminating', signal);
        return undefined;
      }
      const since = orphanedSince.get(key) ?? clock.now();
      orphanedSince.set(key, since);
      const left = since + QUARANTINE_MS - clock.now();
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
