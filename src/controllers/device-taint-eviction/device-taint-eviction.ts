/**
 * Deletes Pods that use devices with NoExecute taints which their claims do not tolerate, or no longer. Taints come from ResourceSlices;
 * DeviceTaintRules are not served. Source: KEP-5055; upstream's counterpart: device-taint-eviction-controller.
 */
import type { ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { keyOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { Counter, Histogram } from '#base/metrics.ts';
import { PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';
import { isPodReference } from '../resourceclaim/claims.ts';
import { evictPod } from '../workload/evict-pod.ts';
import { isPodTerminal } from '../workload/pods.ts';
import { evictionTime } from './eviction-time.ts';

const NAME = 'device-taint-eviction-controller';
const BY_POOL = 'device-pool';
const REASON = { reason: 'DeletionByDeviceTaintManager', message: 'Device Taint manager: deleting due to NoExecute taint' };

const poolKey = (driver: string, pool: string) => `${driver}/${pool}`;
function podsOf(claim: ResourceClaim): string[] {
  return (claim.status?.reservedFor ?? []).filter(isPodReference).map(({ name }) => `${namespaceOf(claim)}/${name}`);
}

export function newDeviceTaintEvictionController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const registers = [context.metrics];
  const pods = informers.informer(PODS);
  const claims = informers.informer(RESOURCE_CLAIMS);
  const slices = informers.informer(RESOURCE_SLICES);
  const recorder = recorderOf(context, NAME);
  const deletions = new Counter({ name: 'device_taint_eviction_controller_pod_deletions_total', help: 'Total number of Pods deleted by DeviceTaintEvictionController since its start.', registers });
  const latency = new Histogram({
    name: 'device_taint_eviction_controller_pod_deletion_duration_seconds', help: "Latency, in seconds, between the time when a device taint effect has been activated and a Pod's deletion via DeviceTaintEvictionController.",
    buckets: [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240], registers,
  });
  /** Uids of the Pods whose time runs, by key. */
  const waiting = new Map<string, string>();
  claims.addIndex(BY_POOL, (claim) => [...new Set((claim.status?.allocation?.devices?.results ?? []).map(({ driver, pool }) => poolKey(driver, pool)))]);
  slices.addIndex(BY_POOL, ({ spec }) => [poolKey(spec.driver, spec.pool.name)]);

  return newController({
    name: NAME,
    context,
    workers: 8,
    sources: (queue) => [
      source(context, queue, PODS, (pod) => (pod.spec.nodeName && pod.spec.resourceClaims?.length ? [keyOf(pod)] : [])),
      source(context, queue, RESOURCE_CLAIMS, podsOf),
      source(context, queue, RESOURCE_SLICES, ({ spec }: ResourceSlice) => claims.byIndex(BY_POOL, poolKey(spec.driver, spec.pool.name)).flatMap(podsOf)),
    ],
    async reconcile(key, signal) {
      const pod = pods.getByKey(key);
      if (!pod) return void waiting.delete(key);
      const gone = pod.metadata.deletionTimestamp !== undefined || isPodTerminal(pod);
      const end = gone ? undefined : evictionTime(pod, (name) => claims.get(namespaceOf(pod), name), (driver, pool) => slices.byIndex(BY_POOL, poolKey(driver, pool)));
      if (end === undefined) {
        const wasWaiting = waiting.get(key) === uidOf(pod);
        waiting.delete(key);
        if (wasWaiting && !gone) recorder.event(pod, 'Normal', 'DeviceTaintManagerEviction', 'Cancelling deletion');
        return undefined;
      }
      waiting.set(key, uidOf(pod));
      const left = end - clock.now();
      if (left > 0) return { afterMs: left };
      waiting.delete(key);
      recorder.event(pod, 'Normal', 'DeviceTaintManagerEviction', 'Marking for deletion');
      if (await evictPod(context, pod, REASON, signal)) {
        deletions.inc();
        latency.observe(Math.max(0, clock.now() - end) / 1000);
      }
      return undefined;
    },
  });
}
