/**
 * Deletes Pods from nodes with NoExecute taints that they do not tolerate, or no longer.
 * Source: concepts/scheduling-eviction/taint-and-toleration; upstream's counterpart: taint-eviction-controller.
 */
import type { Taint, Toleration } from '#api/gen/core-v1.ts';
import { keyOf, nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { NODES, PODS } from '#client/kinds.ts';
import { tolerates } from '#machinery/tolerations.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';
import { evictPod } from '../workload/evict-pod.ts';

const BY_NODE = 'node';
const REASON = { reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint' };

export function newTaintEvictionController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const nodes = informers.informer(NODES);
  const pods = informers.informer(PODS);
  const recorder = recorderOf(context, 'taint-eviction-controller');
  /** When the Pod came under the taints it is under now. */
  const since = new Map<string, { at: number; taints: string }>();

  return newController({
    name: 'taint-eviction-controller',
    context,
    workers: 8,
    sources: (queue) => {
      pods.addIndex(BY_NODE, (p) => (p.spec.nodeName ? [p.spec.nodeName] : []));
      return [
        source(context, queue, PODS, (pod) => (pod.spec.nodeName ? [keyOf(pod)] : [])),
        source(context, queue, NODES, (node) => pods.byIndex(BY_NODE, nameOf(node)).map(keyOf)),
      ];
    },
    async reconcile(key, signal) {
      const pod = pods.getByKey(key);
      const node = pod?.spec.nodeName ? nodes.get('', pod.spec.nodeName) : undefined;
      const taints = (node?.spec.taints ?? []).filter((t) => t.effect === 'NoExecute');
      if (!pod || pod.metadata.deletionTimestamp || taints.length === 0) {
        if (since.delete(key) && pod && !pod.metadata.deletionTimestamp) recorder.event(pod, 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`);
        return undefined;
      }
      const tolerated = toleratedMs(pod.spec.tolerations ?? [], taints);
      if (tolerated === Infinity) return void since.delete(key);
      const names = taints.map((t) => `${t.key}=${t.value ?? ''}`).join(',');
      const known = since.get(key);
      const start = known?.taints === names ? known : { at: clock.monotonic(), taints: names };
      since.set(key, start);
      const left = start.at + tolerated - clock.monotonic();
      if (left > 0) return { afterMs: left };
      since.delete(key);
      recorder.event(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
      await evictPod(context, pod, REASON, signal);
      return undefined;
    },
  });
}

/** How long all the taints together are tolerated: 0 when one is not at all, Infinity when all are without limit. */
export function toleratedMs(tolerations: readonly Toleration[], taints: readonly Taint[]): number {
  let shortest = Infinity;
  for (const taint of taints) {
    const matching = tolerations.filter((t) => tolerates(t, taint));
    if (matching.length === 0) return 0;
    for (const { tolerationSeconds } of matching) if (tolerationSeconds !== undefined) shortest = Math.min(shortest, Math.max(0, tolerationSeconds) * 1000);
  }
  return shortest;
}
