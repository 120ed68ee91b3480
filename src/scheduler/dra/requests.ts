/** What the claims of a Pod ask for, brought into one shape. Source: the API reference, "DeviceRequest"; KEP-4381, KEP-4816. */
import type { DeviceClass, DeviceRequest, DeviceSubRequest, DeviceToleration, ExactDeviceRequest, ResourceClaim } from '#api/gen/resource-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import type { CapacityRequests } from './capacity.ts';
import { Constraint } from './constraints.ts';
import type { SelectorOwner } from './selectors.ts';

/** The most devices that one claim can be given. */
export const MAX_RESULTS = 32;
const NO_TOLERATIONS: readonly DeviceToleration[] = [];

/** A request, or one of its alternatives. */
export interface Want {
  /** As results and configurations name it: `gpu`, or `gpu/large`. */
  readonly ref: string;
  /** As errors name it: without the request that it is an alternative of. */
  readonly name: string;
  /** By these constraints name it. */
  readonly names: readonly string[];
  readonly class: DeviceClass;
  /** Of the class, then of the request. */
  readonly selectors: readonly SelectorOwner[];
  /** Undefined: all that fit. */
  readonly count: number | undefined;
  readonly adminAccess: boolean;
  readonly tolerations: readonly DeviceToleration[];
  readonly capacity: CapacityRequests | undefined;
}
export interface ClaimPlan {
  readonly claim: ResourceClaim;
  /** `namespace/name`. */
  readonly key: string;
  /** One list of alternatives, best first, for each request. */
  readonly slots: readonly (readonly Want[])[];
  readonly constraints: readonly Constraint[];
}
export type ClassLookup = (name: string) => DeviceClass | undefined;

/** Throws where a claim asks for what is not known, or is not there. `onWant` is told of each as soon as it is known to be right. */
export function planOf(claim: ResourceClaim, classOf: ClassLookup, onWant: (want: Want, key: string) => void): ClaimPlan {
  const key = `${namespaceOf(claim)}/${nameOf(claim)}`;
  const { requests = [], constraints = [] } = claim.spec.devices ?? {};
  return {
    claim, key,
    slots: requests.map((request) => Array.from(wantsOf(request, key, classOf), (want) => {
      onWant(want, key);
      return want;
    })),
    constraints: constraints.map((constraint, i) => new Constraint(constraint, `claim ${key}, constraint #${i}`)),
  };
}
function* wantsOf({ name, exactly, firstAvailable = [] }: DeviceRequest, key: string, classOf: ClassLookup): Generator<Want> {
  if (exactly) yield wantOf(exactly, { name, ref: name, names: [name] }, key, classOf);
  else for (const sub of firstAvailable) yield wantOf(sub, { name: sub.name, ref: `${name}/${sub.name}`, names: [name, `${name}/${sub.name}`] }, key, classOf);
}
function wantOf(asked: ExactDeviceRequest | DeviceSubRequest, named: Pick<Want, 'name' | 'ref' | 'names'>, key: string, classOf: ClassLookup): Want {
  const { deviceClassName, selectors = [], allocationMode = '', count = 0, tolerations = NO_TOLERATIONS, capacity } = asked;
  const where = `claim ${key}, request ${named.name}`;
  const unknown = selectors.findIndex(({ cel }) => !cel);
  if (unknown >= 0) throw new Error(`${where}, selector #${unknown}: CEL expression empty (unsupported selector type?)`);
  if (!deviceClassName) throw new Error(`${where}: missing device class name (unsupported request type?)`);
  const deviceClass = classOf(deviceClassName);
  if (!deviceClass) throw new Error(`${where}: could not retrieve device class ${deviceClassName}: deviceclass.resource.k8s.io ${JSON.stringify(deviceClassName)} not found`);
  if (allocationMode !== 'ExactCount' && allocationMode !== 'All') throw new Error(`${where}: unsupported count mode ${allocationMode}`);
  return {
    ...named, class: deviceClass, tolerations, capacity: capacity?.requests,
    selectors: [{ what: `class ${deviceClassName}`, selectors: deviceClass.spec.selectors ?? [] }, { what: `claim ${key}`, selectors }],
    count: allocationMode === 'All' ? undefined : count,
    adminAccess: 'adminAccess' in asked && asked.adminAccess === true,
  };
}
