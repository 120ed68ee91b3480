/**
 * Keeps the EndpointSlices of every Service with a selector. Upstream's counterpart: endpointslice-controller.
 *
 * ```
 *   Services, Pods, Nodes, slices ──▶ key of the Service ──▶ groups of endpoints by ports ──▶ plan ──▶ writes
 * ```
 */
import type { Node, Pod, Service } from '#api/gen/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#api/gen/discovery-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import type { Informer } from '#client/informer.ts';
import { ENDPOINT_SLICES, NODES, PODS, SERVICES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import type { WorkQueue } from '#client/work-queue.ts';
import { newController, recorderOf, source, type ControllerContext, type Source } from '../controller.ts';
import { endpointKey, planSlices, portsKey, type PortGroup, type SlicePlan } from './plan.ts';
import { belongsInEndpoints, endpointFieldsOf, endpointOf, endpointPortsOf, hasClusterIP, withHints, type AddressType } from './pod-endpoints.ts';
import { selectionOf, selectorOf, type Selection } from './selection.ts';
import { MANAGED_BY, SERVICE_NAME, SliceWriter } from './slice-writer.ts';
import { isOverloaded, wantsTopologyHints, withTopologyHints, zoneRatios, type ZoneCounts } from './topology-hints.ts';
import { TriggerTimes } from './trigger-time.ts';

const MANAGER = 'endpointslice-controller.k8s.io';
export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const RESERVED = new Set([SERVICE_NAME, MANAGED_BY, HEADLESS_LABEL]);
const SERVICE_REFERENCE = { apiVersion: 'v1', kind: 'Service' };

/** Labels of a Service's slices: its own, and those that say whose they are. */
export function sliceLabels(service: Service, manager: string): Record<string, string> {
  const own = Object.entries(service.metadata.labels ?? {}).filter(([key]) => !RESERVED.has(key));
  return { ...Object.fromEntries(own), ...(hasClusterIP(service) ? {} : { [HEADLESS_LABEL]: '' }), [SERVICE_NAME]: nameOf(service), [MANAGED_BY]: manager };
}
function familiesOf(service: Service): AddressType[] {
  const families = (service.spec.ipFamilies ?? []).filter((f): f is AddressType => f === 'IPv4' || f === 'IPv6');
  return families.length ? families : ['IPv4'];
}

/** What a Service's slices should tell, and whether a Pod had to be left out because its Node is not known yet. */
export function groupsOf(service: Service, pods: readonly Pod[], nodes: Pick<Informer<Node>, 'get'>): { groups: PortGroup[]; missingNode: string | undefined } {
  let missingNode: string | undefined;
  const groups = new Map<string, PortGroup & { endpoints: Endpoint[] }>();
  for (const pod of pods) {
    if (!belongsInEndpoints(pod, true)) continue;
    const node = pod.spec.nodeName ? nodes.get('', pod.spec.nodeName) : undefined;
    if (pod.spec.nodeName && !node && service.spec.publishNotReadyAddresses !== true) {
      missingNode = `skipping Pod ${nameOf(pod)} for Service ${keyOf(service)}: Node ${pod.spec.nodeName} Not Found`;
      continue;
    }
    for (const addressType of familiesOf(service)) {
      const endpoint = endpointOf(pod, service, node, addressType);
      if (!endpoint) continue;
      const ports = endpointPortsOf(pod, service);
      const key = portsKey(addressType, ports);
      const group = groups.get(key) ?? { addressType, ports, endpoints: [] };
      groups.set(key, group);
      group.endpoints.push(wantsTopologyHints(service) ? endpoint : withHints(endpoint, service.spec.trafficDistribution));
    }
  }
  const present = new Set(Array.from(groups.values(), (g) => g.addressType));
  const placeholders = familiesOf(service).filter((f) => !present.has(f)).map((addressType) => ({ addressType, ports: [], endpoints: [] }));
  return { groups: [...groups.values(), ...placeholders], missingNode };
}

/** Sources that both this controller and the one of Endpoints watch. */
export function serviceSources(context: ControllerContext, queue: WorkQueue, selection: Selection): Source[] {
  const { informers } = context;
  const enqueueFor = (pod: Pod) => { for (const key of selection.servicesOf(pod)) queue.add(key); };
  const podHandler: Source['handler'] = {
    onAdd: (pod) => enqueueFor(pod as Pod),
    onUpdate: (old, pod) => {
      if (endpointFieldsOf(old as Pod) === endpointFieldsOf(pod as Pod)) return;
      enqueueFor(old as Pod);
      enqueueFor(pod as Pod);
    },
    onDelete: (pod) => enqueueFor(pod as Pod),
  };
  return [
    source(context, queue, SERVICES, (service) => [keyOf(service)]),
    { informer: informers.informer(PODS) as unknown as Source['informer'], handler: podHandler },
  ];
}

/** The endpoints with the hints that they have now: a change of hints alone is for those who give them to decide. */
function withHintsOf(existing: readonly EndpointSlice[], groups: readonly PortGroup[]): PortGroup[] {
  const hints = new Map(existing.flatMap((s) => s.endpoints ?? []).map((e) => [endpointKey(e), e.hints]));
  return groups.map((g) => ({ ...g, endpoints: g.endpoints.map((e) => {
    const known = hints.get(endpointKey(e));
    return known ? { ...e, hints: known } : e;
  }) }));
}
function ofType<T extends { readonly addressType: AddressType | 'FQDN' }>(list: readonly T[], type: AddressType): T[] {
  return list.filter((s) => s.addressType === type);
}

export function newEndpointSliceController(context: ControllerContext): Component {
  const { client, informers } = context;
  const selection = selectionOf(context);
  const nodes = informers.informer(NODES);
  const slices = informers.informer(ENDPOINT_SLICES);
  const writer = new SliceWriter(client, slices, MANAGER);
  const triggers = new TriggerTimes();
  const recorder = recorderOf(context, 'endpoint-slice-controller');
  const zoneOf = (node: Node) => node.metadata.labels?.['topology.kubernetes.io/zone'];
  const topologyOf = (node: Node) => JSON.stringify([zoneOf(node), node.status?.allocatable?.['cpu'], node.status?.conditions?.find((c) => c.type === 'Ready')?.status]);
  /** By Service's key: what was given out to the zones, by address type. */
  const hinted = new Map<string, Map<AddressType, ZoneCounts>>();

  /** The plan with topology hints, where the Service asks for them; and what is to be told of it. */
  function planHints(service: Service, key: string, plan: SlicePlan): { plan: SlicePlan; tell: (() => void)[] } {
    const had = hinted.has(key);
    const about = { ...service, ...SERVICE_REFERENCE };
    const told = (type: 'Normal' | 'Warning', reason: string, message: string, family: AddressType) => () => recorder.event(about, type, reason, `${message}, addressType: ${family}`);
    if (!wantsTopologyHints(service)) {
      hinted.delete(key);
      return { plan, tell: had ? familiesOf(service).map((f) => told('Warning', 'TopologyAwareHintsDisabled', 'Topology Aware Hints has been disabled', f)) : [] };
    }
    const touched = new Set([...plan.update, ...plan.delete].map(nameOf));
    const ratios = zoneRatios(nodes.list());
    const tell: (() => void)[] = [];
    const parts = familiesOf(service).map((family) => {
      const part: SlicePlan = { create: ofType(plan.create, family), update: ofType(plan.update, family), delete: ofType(plan.delete, family) };
      const result = withTopologyHints(part, ofType(writer.of(key), family).filter((s) => !touched.has(nameOf(s))), ratios);
      if (result.zones) {
        if (!hinted.has(key)) tell.push(told('Normal', 'TopologyAwareHintsEnabled', 'Topology Aware Hints has been enabled', family));
        hinted.set(key, (hinted.get(key) ?? new Map<AddressType, ZoneCounts>()).set(family, result.zones));
      } else {
        hinted.delete(key);
        tell.push(told('Warning', 'TopologyAwareHintsDisabled', result.reason ?? '', family));
      }
      return result.plan;
    });
    return { plan: { create: parts.flatMap((p) => p.create), update: parts.flatMap((p) => p.update), delete: plan.delete }, tell };
  }
  return newController({
    name: 'endpointslice-controller',
    context,
    workers: 5,
    baseDelayMs: 1_000,
    maxDelayMs: 100_000,
    sources: (queue) => {
      const onNode = (node: Node) => { for (const pod of selection.pods.list()) if (pod.spec.nodeName === nameOf(node)) for (const key of selection.servicesOf(pod)) queue.add(key); };
      const onTopology = () => {
        if (hinted.size === 0) return;
        const ratios = zoneRatios(nodes.list());
        for (const [key, byType] of hinted) if ([...byType.values()].some((zones) => isOverloaded(zones, ratios))) queue.add(key);
      };
      return [
        ...serviceSources(context, queue, selection),
        { informer: slices as unknown as Source['informer'], handler: writer.handler((key) => queue.add(key)) as unknown as Source['handler'] },
        {
          informer: nodes as unknown as Source['informer'],
          handler: {
            onAdd(node) {
              onNode(node as Node);
              onTopology();
            },
            onUpdate(old, node) {
              if (zoneOf(old as Node) !== zoneOf(node as Node)) onNode(node as Node);
              if (topologyOf(old as Node) !== topologyOf(node as Node)) onTopology();
            },
            onDelete: onTopology,
          },
        },
      ];
    },
    async reconcile(key, signal) {
      const service = selection.services.getByKey(key);
      if (!service) {
        // The garbage collector takes the slices away.
        triggers.forget(key);
        writer.forget(key);
        hinted.delete(key);
        return undefined;
      }
      if (!selectorOf(service) || writer.isBehind(key)) return undefined;
      const pods = selection.podsOf(service);
      const { groups, missingNode } = groupsOf(service, pods, nodes);
      const template = { labels: sliceLabels(service, MANAGER) };
      const existing = writer.of(key);
      const { plan, tell } = planHints(service, key, planSlices(existing, wantsTopologyHints(service) ? withHintsOf(existing, groups) : groups, template));
      const triggerTime = triggers.next(service, pods);
      try {
        await writer.apply(key, { object: service, reference: SERVICE_REFERENCE }, plan, template, triggerTime, signal);
      } catch (err) {
        // Nothing can be made in a namespace that goes away.
        if (isReason(err, 'Forbidden') && service.metadata.deletionTimestamp === undefined && /being terminated/.test((err as Error).message)) return undefined;
        recorder.event({ ...service, ...SERVICE_REFERENCE }, 'Warning', 'FailedToUpdateEndpointSlices', `Error updating Endpoint Slices for Service ${namespaceOf(service)}/${nameOf(service)}: ${(err as Error).message}`);
        throw err;
      }
      for (const event of tell) event();
      if (missingNode !== undefined) throw new Error(missingNode);
      return undefined;
    },
  });
}
