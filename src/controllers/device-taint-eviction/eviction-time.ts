/** When a Pod has to go for the taints of its devices: pure. Source: the API reference, "DeviceTaint"; KEP-5055. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { Device, DeviceRequestAllocationResult, DeviceTaint, DeviceToleration, ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { uidOf } from '#api/object.ts';
import { claimNameOf } from '#api/pod-claims.ts';
import { toleratesDeviceTaint } from '#machinery/device-taints.ts';
import { controllerOf } from '../workload/controller-ref.ts';

export type ClaimLookup = (name: string) => ResourceClaim | undefined;
/** The slices of a pool, of any generation. */
export type PoolLookup = (driver: string, pool: string) => readonly ResourceSlice[];

/** Milliseconds since the Unix epoch; undefined where a toleration has no end. */
function endOf(taint: DeviceTaint, tolerations: readonly DeviceToleration[]): number | undefined {
  const added = Date.parse(taint.timeAdded ?? '') || 0;
  const matching = tolerations.filter((toleration) => toleratesDeviceTaint(toleration, taint));
  if (matching.some(({ tolerationSeconds }) => tolerationSeconds === undefined)) return undefined;
  return added + 1000 * Math.max(0, Math.min(...matching.map(({ tolerationSeconds = 0 }) => tolerationSeconds), matching.length === 0 ? 0 : Infinity));
}
/** The device as the newest generation of its pool has it. */
function deviceOf({ driver, pool, device }: DeviceRequestAllocationResult, slicesOf: PoolLookup): Device | undefined {
  const slices = slicesOf(driver, pool);
  const newest = Math.max(...slices.map(({ spec }) => spec.pool.generation));
  return slices.filter(({ spec }) => spec.pool.generation === newest).flatMap(({ spec }) => spec.devices ?? []).find(({ name }) => name === device);
}
function claimEnd(claim: ResourceClaim, slicesOf: PoolLookup): number | undefined {
  const ends = (claim.status?.allocation?.devices?.results ?? []).flatMap((result) => {
    const taints = deviceOf(result, slicesOf)?.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [];
    return taints.map((taint) => endOf(taint, result.tolerations ?? []));
  });
  return earliest(ends);
}
/** When the Pod must go, in milliseconds since the Unix epoch; undefined where it may stay. Claims that are not its own, or not kept for it, do not count. */
export function evictionTime(pod: Pod, claimOf: ClaimLookup, slicesOf: PoolLookup): number | undefined {
  if (!pod.spec.nodeName) return undefined;
  return earliest((pod.spec.resourceClaims ?? []).map((podClaim) => {
    const name = claimNameOf(pod, podClaim);
    const claim = typeof name === 'string' ? claimOf(name) : undefined;
    if (!claim || (podClaim.resourceClaimName === undefined && controllerOf(claim)?.uid !== uidOf(pod))) return undefined;
    return claim.status?.reservedFor?.some(({ uid }) => uid === uidOf(pod)) ? claimEnd(claim, slicesOf) : undefined;
  }));
}
function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
