/** Keeps the Endpoints object of every Service with a selector, for clients that do not know EndpointSlices. Upstream's counterpart: endpoints-controller. */
import type { EndpointPort, Endpoints, Pod, Service } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, splitKey, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { ENDPOINTS } from '#client/kinds.ts';
import { deepEqual } from '#machinery/equality.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';
import { HEADLESS_LABEL, serviceSources } from '../endpointslice/endpointslice.ts';
import { TRIGGER_TIME } from '../endpointslice/plan.ts';
import { addressesOf, belongsInEndpoints, hasClusterIP, hostnameOf, isIPv6, isReady, targetPortOf } from '../endpointslice/pod-endpoints.ts';
import { selectionOf, selectorOf } from '../endpointslice/selection.ts';
import { TriggerTimes } from '../endpointslice/trigger-time.ts';
import { packSubsets, truncateSubsets, type AddressAt } from './subsets.ts';

const MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
const MANAGER = 'endpoint-controller';
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';

/** Every address of a Service's Pods, once for each port that it has there. */
function addressesAt(service: Service, pods: readonly Pod[]): AddressAt[] {
  const v6 = service.spec.ipFamilies?.[0] === 'IPv6';
  const all: AddressAt[] = [];
  for (const pod of pods) {
    const ip = addressesOf(pod).find((a) => isIPv6(a) === v6);
    if (ip === undefined || !belongsInEndpoints(pod, service.spec.publishNotReadyAddresses === true)) continue;
    const hostname = hostnameOf(pod, service);
    const address = {
      ip, ...(hostname === undefined ? {} : { hostname }), ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
      targetRef: { kind: 'Pod', namespace: namespaceOf(pod), name: nameOf(pod), uid: uidOf(pod) },
    };
    const ready = service.spec.publishNotReadyAddresses === true || isReady(pod);
    if (!service.spec.ports?.length) all.push({ address, ready, port: undefined });
    for (const p of service.spec.ports ?? []) {
      const number = targetPortOf(pod, p);
      if (number === undefined) continue;
      const port: EndpointPort = { ...(p.name ? { name: p.name } : {}), port: number, protocol: p.protocol ?? 'TCP', ...(p.appProtocol === undefined ? {} : { appProtocol: p.appProtocol }) };
      all.push({ address, ready, port });
    }
  }
  return all;
}
/** What the object should be; `found` is what is there. */
export function endpointsOf(service: Service, pods: readonly Pod[], found: Endpoints | undefined, triggerTime: string | undefined): Endpoints {
  const { subsets, truncated } = truncateSubsets(packSubsets(addressesAt(service, pods)));
  const { [HEADLESS_LABEL]: _, ...labels } = (service.metadata.labels ?? {}) as Record<string, string>;
  const { [TRIGGER_TIME]: _t, [OVER_CAPACITY]: _o, ...kept } = (found?.metadata.annotations ?? {}) as Record<string, string>;
  const annotations = { ...kept, ...(triggerTime === undefined ? {} : { [TRIGGER_TIME]: triggerTime }), ...(truncated ? { [OVER_CAPACITY]: 'truncated' } : {}) };
  return {
    apiVersion: 'v1', kind: 'Endpoints',
    metadata: {
      ...(found?.metadata ?? { name: nameOf(service), namespace: namespaceOf(service) }),
      annotations,
      labels: { ...labels, ...(hasClusterIP(service) ? {} : { [HEADLESS_LABEL]: '' }), [MANAGED_BY]: MANAGER },
    },
    ...(subsets.length ? { subsets } : {}),
  };
}
function sameButTrigger(a: Endpoints, b: Endpoints): boolean {
  const annotationsOf = ({ metadata }: Endpoints) => metadata.annotations?.[OVER_CAPACITY];
  return deepEqual(a.subsets ?? [], b.subsets ?? []) && deepEqual(a.metadata.labels ?? {}, b.metadata.labels ?? {}) && annotationsOf(a) === annotationsOf(b);
}

export function newEndpointsController(context: ControllerContext): Component {
  const selection = selectionOf(context);
  const endpoints = context.informers.informer(ENDPOINTS);
  const client = context.client.of(ENDPOINTS);
  const triggers = new TriggerTimes();
  const recorder = recorderOf(context, 'endpoint-controller');
  return newController({
    name: 'endpoints-controller',
    context,
    workers: 5,
    baseDelayMs: 1_000,
    maxDelayMs: 100_000,
    sources: (queue) => [
      ...serviceSources(context, queue, selection),
      // What others change or delete is put right.
      source(context, queue, ENDPOINTS, (e) => (e.metadata.labels?.[MANAGED_BY] === MANAGER ? [`${namespaceOf(e)}/${nameOf(e)}`] : [])),
    ],
    async reconcile(key, signal) {
      const service = selection.services.getByKey(key);
      const found = endpoints.getByKey(key);
      if (!service) {
        triggers.forget(key);
        const { namespace, name } = splitKey(key);
        if (found) await client.delete(namespace, name, {}, signal).catch((err: unknown) => { if (!isReason(err, 'NotFound')) throw err; });
        return undefined;
      }
      if (!selectorOf(service)) return undefined;
      const pods = selection.podsOf(service);
      const triggerTime = triggers.next(service, pods);
      const wanted = endpointsOf(service, pods, found, triggerTime);
      if (found && sameButTrigger(wanted, found)) return undefined;
      try {
        await (found ? client.update(wanted, { signal }) : client.create(wanted, { signal }));
      } catch (err) {
        if (isReason(err, 'AlreadyExists') || isReason(err, 'Conflict')) throw err;
        if (isReason(err, 'Forbidden') && /being terminated/.test((err as Error).message)) return undefined;
        const [reason, verb] = found ? ['FailedToUpdateEndpoint', 'update'] as const : ['FailedToCreateEndpoint', 'create'] as const;
        recorder.event({ ...wanted }, 'Warning', reason, `Failed to ${verb} endpoint ${key}: ${(err as Error).message}`);
        throw err;
      }
      return undefined;
    },
  });
}
