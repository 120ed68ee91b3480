/**
 * Extended resources that a node does not have itself but that a DeviceClass stands for: the scheduler makes a claim for them. Source: KEP-5004.
 *
 * Containers that live as long as the Pod have devices of their own. An init container that ends before they start uses theirs;
 * what it needs beyond is asked for once, for the init container that needs most.
 */
import type { Container, ContainerExtendedResourceRequest, Pod } from '#api/gen/core-v1.ts';
import type { DeviceRequest, ResourceClaim } from '#api/gen/resource-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { isExtendedResource } from '#machinery/resource-names.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { amountOf, type Resources } from '../framework/resources.ts';
import { EXTENDED_RESOURCE_CLAIM } from './claim-tracker.ts';
import { IMPLICIT_PREFIX, type DeviceClasses } from './device-classes.ts';

/** Stands for the claim until it is written; no claim can have it. */
export const IN_MEMORY_NAME = '<extended-resources>';

export interface ExtendedRequests {
  readonly requests: readonly DeviceRequest[];
  /** Which request serves which resource of which container. */
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

function mayBeDevices(name: string): boolean {
  return name.startsWith(IMPLICIT_PREFIX) || isExtendedResource(name);
}
/** The Pod asks for a resource that some class stands for. */
export function asksForDevices(requests: Resources, classes: DeviceClasses): boolean {
  return requests.entries().some(([name, amount]) => amount > 0 && mayBeDevices(name) && classes.forResource(name) !== undefined);
}
/** The node has none of the resource itself, so its devices are to be allocated. */
export function isByDevices(name: string, node: NodeInfo, classes: DeviceClasses): boolean {
  return !node.allocatable.get(name) && mayBeDevices(name) && classes.forResource(name) !== undefined;
}
/** Names of the resources that are allocated as devices on the node; undefined where it has one neither way. */
export function resourcesByDevices(requests: Resources, node: NodeInfo, classes: DeviceClasses): readonly string[] | undefined {
  const names: string[] = [];
  for (const [name, amount] of requests) {
    if (amount === 0 || !mayBeDevices(name)) continue;
    if (isByDevices(name, node, classes)) names.push(name);
    else if (!node.allocatable.has(name)) return undefined;
  }
  return names.toSorted();
}

export function claimForExtendedResources(pod: Pod, uid: string): ResourceClaim {
  return {
    metadata: {
      namespace: namespaceOf(pod), name: IN_MEMORY_NAME, uid, generateName: `${nameOf(pod)}-extended-resources-`, annotations: { [EXTENDED_RESOURCE_CLAIM]: 'true' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: nameOf(pod), uid: uidOf(pod), controller: true }],
    },
    spec: {},
  };
}

/** `container-<index of the container>-request-<index of the resource among those of the container, by name>`. */
function requestName(container: Container, index: number, resource: string): string {
  return `container-${index}-request-${Object.keys(container.resources?.requests ?? {}).toSorted().indexOf(resource)}`;
}
function wantedBy(container: Container, resource: string): number {
  return amountOf(resource, container.resources?.requests?.[resource] ?? '0');
}

/** `resources` as {@link resourcesByDevices} gives them. */
export function extendedRequestsOf({ spec }: Pod, resources: readonly string[], classes: DeviceClasses): ExtendedRequests {
  const init = spec.initContainers ?? [];
  const all = [...init, ...spec.containers];
  const isShort = (index: number) => index < init.length && all[index]!.restartPolicy !== 'Always';
  const requests: DeviceRequest[] = [];
  const mappings: ContainerExtendedResourceRequest[] = [];
  for (const resource of resources) {
    const deviceClassName = nameOf(classes.forResource(resource)!);
    const asRequest = (name: string, count: number): DeviceRequest => ({ name, exactly: { deviceClassName, allocationMode: 'ExactCount', count } });
    const lasting = all.map((container, i) => (isShort(i) ? 0 : wantedBy(container, resource)));
    const map = (container: Container, name: string) => mappings.push({ containerName: container.name, resourceName: resource, requestName: name });
    all.forEach((container, i) => {
      if (lasting[i] === 0) return;
      const name = requestName(container, i, resource);
      requests.push(asRequest(name, lasting[i]!));
      map(container, name);
    });
    const passing = all.map((container, i) => (isShort(i) ? beyond(wantedBy(container, resource), lasting, i) : undefined));
    const most = Math.max(0, ...passing.map((p) => p?.rest ?? 0));
    const leader = passing.findIndex((p) => p !== undefined && p.rest === most);
    const shared = most > 0 ? requestName(all[leader]!, leader, resource) : undefined;
    if (shared !== undefined) requests.push(asRequest(shared, most));
    passing.forEach((p, i) => {
      for (const used of p?.uses ?? []) map(all[i]!, requestName(all[used]!, used, resource));
      if (p && p.rest > 0) map(all[i]!, shared!);
    });
  }
  return { requests: requests.toSorted((a, b) => (a.name < b.name ? -1 : 1)), mappings };
}
/** Whose devices an init container uses, of those that start after it, and how many it needs beside them. */
function beyond(wanted: number, lasting: readonly number[], index: number): { readonly uses: readonly number[]; readonly rest: number } {
  const uses: number[] = [];
  let rest = wanted;
  for (let i = index; i < lasting.length && rest > 0; i++) {
    if (lasting[i] === 0) continue;
    uses.push(i);
    rest -= lasting[i]!;
  }
  return { uses, rest: Math.max(0, rest) };
}
