/** Copies Endpoints that users write themselves into EndpointSlices, for Services without a selector. Upstream's counterpart: endpointslice-mirroring-controller. */
import type { EndpointAddress, Endpoints, EndpointSubset } from '#api/gen/core-v1.ts';
import type { Endpoint, EndpointPort } from '#api/gen/discovery-v1.ts';
import { keyOf, nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from '#client/kinds.ts';
import { parseIP } from '#machinery/ip.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, type ControllerContext, type Source } from '../controller.ts';
import { planSlices, portsKey, TRIGGER_TIME, type PortGroup } from '../endpointslice/plan.ts';
import { selectorOf } from '../endpointslice/selection.ts';
import { MANAGED_BY, SERVICE_NAME, SliceWriter } from '../endpointslice/slice-writer.ts';

const MANAGER = 'endpointslicemirroring-controller.k8s.io';
const SKIP = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER = 'control-plane.alpha.kubernetes.io/leader';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** Addresses of one subset that are mirrored, and endpoints of one slice. */
const MAX_PER_SUBSET = 1000;
const REFERENCE = { apiVersion: 'v1', kind: 'Endpoints' };

export function isMirrored(endpoints: Endpoints): boolean {
  return endpoints.metadata.labels?.[SKIP] !== 'true' && endpoints.metadata.annotations?.[LEADER] === undefined;
}
function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return { addresses: [ip], conditions: { ready }, ...(hostname ? { hostname } : {}), ...(nodeName === undefined ? {} : { nodeName }), ...(targetRef ? { targetRef } : {}) };
}
function portsOf(subset: EndpointSubset): EndpointPort[] {
  return (subset.ports ?? []).map((p) => ({ name: p.name ?? '', port: p.port, protocol: p.protocol ?? 'TCP', ...(p.appProtocol === undefined ? {} : { appProtocol: p.appProtocol }) }));
}
export interface Mirror {
  readonly groups: readonly PortGroup[];
  /** Addresses that are none. */
  readonly invalid: number;
  /** Addresses beyond what is mirrored. */
  readonly skipped: number;
}
export function mirrorOf(endpoints: Endpoints): Mirror {
  const groups = new Map<string, PortGroup & { endpoints: Endpoint[] }>();
  let invalid = 0;
  let skipped = 0;
  for (const subset of endpoints.subsets ?? []) {
    const ports = portsOf(subset);
    let taken = 0;
    for (const [list, ready] of [[subset.addresses ?? [], true], [subset.notReadyAddresses ?? [], false]] as const) {
      for (const address of list) {
        const ip = parseIP(address.ip);
        if (!ip) invalid++;
        else if (taken >= MAX_PER_SUBSET) skipped++;
        else {
          taken++;
          const addressType = ip.version === 4 ? 'IPv4' : 'IPv6';
          const key = portsKey(addressType, ports);
          const group = groups.get(key) ?? { addressType, ports, endpoints: [] };
          groups.set(key, group);
          group.endpoints.push(endpointOf(address, ready));
        }
      }
    }
  }
  return { groups: [...groups.values()], invalid, skipped };
}

export function newEndpointSliceMirroringController(context: ControllerContext): Component {
  const { client, informers } = context;
  const services = informers.informer(SERVICES);
  const endpoints = informers.informer(ENDPOINTS);
  const slices = informers.informer(ENDPOINT_SLICES);
  const writer = new SliceWriter(client, slices, MANAGER);
  const recorder = recorderOf(context, 'endpoint-slice-mirroring-controller');
  return newController({
    name: 'endpointslice-mirroring-controller',
    context,
    workers: 5,
    baseDelayMs: 1_000,
    maxDelayMs: 100_000,
    sources: (queue) => [
      source(context, queue, ENDPOINTS, (e) => [keyOf(e)]),
      source(context, queue, SERVICES, (s) => [keyOf(s)]),
      { informer: slices as unknown as Source['informer'], handler: writer.handler((key) => queue.add(key)) as unknown as Source['handler'] },
    ],
    async reconcile(key, signal) {
      const found = endpoints.getByKey(key);
      const service = services.getByKey(key);
      if (writer.isBehind(key)) return undefined;
      const existing = writer.of(key);
      // A Service with a selector has slices of its own; without the Service nobody asks for any.
      const wanted = found && service && !selectorOf(service) && service.spec.type !== 'ExternalName' && isMirrored(found) ? found : undefined;
      if (!wanted && existing.length === 0) {
        if (!found) writer.forget(key);
        return undefined;
      }
      const owner = wanted ?? found ?? { metadata: { name: key.slice(key.indexOf('/') + 1), namespace: key.slice(0, key.indexOf('/')) } };
      const mirror: Mirror = wanted ? mirrorOf(wanted) : { groups: [], invalid: 0, skipped: 0 };
      const { [LAST_APPLIED]: _, [TRIGGER_TIME]: triggerTime, ...annotations } = (owner.metadata.annotations ?? {}) as Record<string, string>;
      const template = { labels: { ...owner.metadata.labels, [SERVICE_NAME]: nameOf(owner), [MANAGED_BY]: MANAGER }, annotations };
      const about = { ...owner, ...REFERENCE };
      if (mirror.invalid) recorder.event(about, 'Warning', 'InvalidIPAddress', `Skipped ${mirror.invalid} invalid IP addresses when mirroring to EndpointSlices`);
      if (mirror.skipped) recorder.event(about, 'Warning', 'TooManyAddressesToMirror', `A max of ${MAX_PER_SUBSET} addresses can be mirrored to EndpointSlices per Endpoints subset. ${mirror.skipped} addresses were skipped`);
      try {
        await writer.apply(key, { object: owner, reference: REFERENCE }, planSlices(existing, mirror.groups, template, MAX_PER_SUBSET), template, triggerTime, signal);
      } catch (err) {
        if (isReason(err, 'Forbidden') && /being terminated/.test((err as Error).message)) return undefined;
        recorder.event(about, 'Warning', 'FailedToUpdateEndpointSlices', `Error updating EndpointSlices for Endpoints ${key}: ${(err as Error).message}`);
        throw err;
      }
      return undefined;
    },
  });
}
