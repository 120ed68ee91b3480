import type { DaemonSetStatus } from '#api/gen/apps-v1.ts';
import { nameOf } from '#api/object.ts';
import { withoutZeros } from '../workload/equality.ts';
import { isPodAvailable, isPodReady } from '../workload/pods.ts';
import { nodeFit } from './node-fit.ts';
import { byAge, isUpdated, type Observed } from './plan.ts';

/** The status that the nodes and their Pods give. `generation` is the one observed, which lags while Pods are being made or deleted. */
export function daemonSetStatus({ ds, nodes, podsByNode, hash, now }: Observed, generation: number | undefined): DaemonSetStatus {
  const counts = { desired: 0, current: 0, misscheduled: 0, ready: 0, available: 0, updated: 0 };
  for (const node of nodes) {
    const pod = (podsByNode.get(nameOf(node)) ?? []).toSorted(byAge)[0];
    const { shouldRun } = nodeFit(ds, node);
    if (!shouldRun && pod) counts.misscheduled++;
    if (shouldRun) counts.desired++;
    if (!shouldRun || !pod) continue;
    counts.current++;
    if (isPodReady(pod)) counts.ready++;
    if (isPodAvailable(pod, ds.spec.minReadySeconds ?? 0, now)) counts.available++;
    if (isUpdated(ds, pod, hash)) counts.updated++;
  }
  const { collisionCount, conditions } = ds.status ?? {};
  return {
    currentNumberScheduled: counts.current,
    numberMisscheduled: counts.misscheduled,
    desiredNumberScheduled: counts.desired,
    numberReady: counts.ready,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...withoutZeros({ updatedNumberScheduled: counts.updated, numberAvailable: counts.available, numberUnavailable: counts.desired - counts.available }),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions ? { conditions } : {}),
  };
}
