/** Devices that are only ready some time after they were allocated, as those that must be attached to a node first. Source: KEP-5007. */
import type { DeviceRequestAllocationResult, ResourceClaim } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';

/** How long a Pod waits for the devices of its claims. */
export const BINDING_TIMEOUT_MS = 600_000;

function resultsOf(claim: ResourceClaim): readonly DeviceRequestAllocationResult[] {
  return (claim.status?.allocation?.devices?.results ?? []).filter((result) => result.bindingConditions?.length);
}
/** A condition of a device says that it will not get ready. */
export class BindingFailed extends Error {}
/** A device has not got ready in time. */
export class BindingTimedOut extends Error {
  constructor(what: string, cause?: unknown) {
    super(`device binding timeout: ${what}`, { cause });
  }
}
export function hasBindingConditions(claim: ResourceClaim): boolean {
  return resultsOf(claim).length > 0;
}
/** All conditions hold. Throws {@link BindingFailed} where one holds that says it has failed. */
export function isReady(claim: ResourceClaim): boolean {
  if (!claim.status?.allocation) return false;
  for (const { driver, pool, device, bindingConditions = [], bindingFailureConditions = [] } of resultsOf(claim)) {
    const status = claim.status.devices?.find((d) => d.driver === driver && d.pool === pool && d.device === device);
    if (!status) return false;
    const find = (type: string) => status.conditions?.find((c) => c.type === type && c.status === 'True');
    const failed = bindingFailureConditions.map(find).find((c) => c !== undefined);
    if (failed) throw new BindingFailed(`device binding failed: claim=${nameOf(claim)}, reason=${failed.reason}, message=${JSON.stringify(failed.message)}`);
    if (!bindingConditions.every(find)) return false;
  }
  return true;
}
/** `nowMs` since the Unix epoch. */
export function isTimedOut(claim: ResourceClaim, nowMs: number): boolean {
  const at = claim.status?.allocation?.allocationTimestamp;
  return at !== undefined && hasBindingConditions(claim) && Date.parse(at) + BINDING_TIMEOUT_MS < nowMs;
}
/** False where a claim's devices have failed to get ready, or take too long: others should be tried. */
export function mayBecomeReady(claim: ResourceClaim, nowMs: number): boolean {
  try {
    return isReady(claim) || !isTimedOut(claim, nowMs);
  } catch {
    return false;
  }
}
