/** Quality of service of a Pod. Source: the documentation, "Pod Quality of Service Classes". */
import type { Container, PodSpec, ResourceRequirements } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';

export type QOSClass = 'Guaranteed' | 'Burstable' | 'BestEffort';
const COMPUTE = ['cpu', 'memory'];

const isSet = (amount: string | undefined): amount is string => amount !== undefined && parseQuantity(amount).sign() > 0;

function asked(resources: ResourceRequirements | undefined): boolean {
  return COMPUTE.some((name) => isSet(resources?.requests?.[name]) || isSet(resources?.limits?.[name]));
}
/** Both limits are set, and as much is asked for: a request of nothing is none. */
function guaranteed(resources: ResourceRequirements | undefined): boolean {
  return COMPUTE.every((name) => {
    const limit = resources?.limits?.[name];
    const request = resources?.requests?.[name];
    return isSet(limit) && isSet(request) && parseQuantity(request).cmp(parseQuantity(limit)) === 0;
  });
}
export function qosClassOf(spec: PodSpec): QOSClass {
  // What is said of the whole Pod counts alone, also where it says nothing.
  const parts: readonly (ResourceRequirements | undefined)[] = spec.resources
    ? [spec.resources]
    : [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((c: Container) => c.resources);
  if (!parts.some(asked)) return 'BestEffort';
  return parts.every(guaranteed) ? 'Guaranteed' : 'Burstable';
}
