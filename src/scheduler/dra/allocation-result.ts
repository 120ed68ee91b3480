/** What goes into the status of a claim. Source: the API reference, "AllocationResult". */
import type { NodeSelector, NodeSelectorRequirement } from '#api/gen/core-v1.ts';
import type { AllocationResult, DeviceAllocationConfiguration, DeviceRequestAllocationResult } from '#api/gen/resource-v1.ts';
import type { Amounts } from './device-ledger.ts';
import type { Candidate } from './pools.ts';
import type { ClaimPlan, Want } from './requests.ts';

/** A device that was given to a request. */
export interface Given {
  readonly want: Want;
  readonly candidate: Candidate;
  /** Of a device that several may have at once: which share this is, and how much. */
  readonly shareID: string | undefined;
  readonly amounts: Amounts | undefined;
}

/** `chosen` has the alternative that was taken, for each request of the claim. */
export function allocationResultOf(plan: ClaimPlan, given: readonly Given[], chosen: readonly Want[], nodeName: string): AllocationResult {
  const config = configOf(plan, chosen);
  const nodeSelector = nodeSelectorOf(given, nodeName);
  return { devices: { results: given.map(resultOf), ...(config.length ? { config } : {}) }, ...(nodeSelector ? { nodeSelector } : {}) };
}
function resultOf({ want, candidate: { driver, pool, device }, shareID, amounts }: Given): DeviceRequestAllocationResult {
  const { bindingConditions, bindingFailureConditions } = device;
  return {
    request: want.ref, driver, pool: pool.name, device: device.name,
    ...(want.adminAccess ? { adminAccess: true } : {}),
    ...(want.tolerations.length ? { tolerations: want.tolerations } : {}),
    ...(bindingConditions ? { bindingConditions } : {}), ...(bindingFailureConditions ? { bindingFailureConditions } : {}),
    ...(shareID === undefined ? {} : { shareID }),
    ...(amounts?.size ? { consumedCapacity: Object.fromEntries(amounts.entries().map(([name, amount]) => [name, amount.toString()])) } : {}),
  };
}
/** Those of the classes, each once with the requests it is for; then those of the claim that are about what was chosen. */
function configOf({ claim }: ClaimPlan, chosen: readonly Want[]): DeviceAllocationConfiguration[] {
  const out: DeviceAllocationConfiguration[] = [];
  for (const [, wants] of Map.groupBy(chosen, (want) => want.class.metadata.name)) {
    for (const config of wants[0]!.class.spec.config ?? []) out.push({ source: 'FromClass', requests: wants.map((want) => want.ref), ...config });
  }
  const names = new Set(chosen.flatMap((want) => want.names));
  for (const config of claim.spec.devices?.config ?? []) {
    if (!config.requests?.length || config.requests.some((name) => names.has(name))) out.push({ source: 'FromClaim', ...config });
  }
  return out;
}

/** Where the devices can be used; undefined: everywhere. */
function nodeSelectorOf(given: readonly Given[], nodeName: string): NodeSelector | undefined {
  const fields: NodeSelectorRequirement[] = [];
  const expressions: NodeSelectorRequirement[] = [];
  for (const { candidate: { slice, device } } of given) {
    const place = slice.spec.perDeviceNodeSelection ? device : slice.spec;
    if (place.nodeName !== undefined || device.bindsToNode) return { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }] };
    const term = place.nodeSelector?.nodeSelectorTerms[0];
    for (const requirement of term?.matchFields ?? []) addNew(fields, requirement);
    for (const requirement of term?.matchExpressions ?? []) addNew(expressions, requirement);
  }
  if (fields.length + expressions.length === 0) return undefined;
  return { nodeSelectorTerms: [{ ...(fields.length ? { matchFields: fields } : {}), ...(expressions.length ? { matchExpressions: expressions } : {}) }] };
}
function addNew(to: NodeSelectorRequirement[], requirement: NodeSelectorRequirement): void {
  const values = new Set(requirement.values);
  const isSame = (r: NodeSelectorRequirement) => r.key === requirement.key && r.operator === requirement.operator && values.symmetricDifference(new Set(r.values)).size === 0;
  if (!to.some(isSame)) to.push(requirement);
}
