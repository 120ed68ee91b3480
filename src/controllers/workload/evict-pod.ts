/** How controllers make a Pod go that must not stay where it is: they say why in its status, and delete it. Source: KEP-3329. */
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import { PODS } from '#client/kinds.ts';
import { conditionPatch } from '#machinery/condition-patch.ts';
import { isReason } from '#machinery/status-error.ts';
import type { ControllerContext } from '../controller.ts';

/** Resolves with false where the Pod has gone already, or another has its name. */
export async function evictPod({ client, clock }: ControllerContext, pod: Pod, why: { readonly reason: string; readonly message: string }, signal: AbortSignal): Promise<boolean> {
  const condition = { type: 'DisruptionTarget', status: 'True', ...why, observedGeneration: pod.metadata.generation, lastTransitionTime: rfc3339(clock.now()) };
  try {
    await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', { metadata: { uid: uidOf(pod) }, status: conditionPatch(pod.status?.conditions, condition) }, { subresource: 'status', signal });
    await client.of(PODS).delete(namespaceOf(pod), nameOf(pod), { preconditions: { uid: uidOf(pod) } }, signal);
    return true;
  } catch (err) {
    if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
    return false;
  }
}
