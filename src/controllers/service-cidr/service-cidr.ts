/**
 * Keeps ranges of Service addresses from going while Services have addresses of them, and says when a range may be used.
 * Upstream's counterpart: service-cidr-controller. Source: KEP-1880.
 */
import type { IPAddress, ServiceCIDR } from '#api/gen/networking-v1.ts';
import { nameOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { kind, SERVICE_CIDRS } from '#client/kinds.ts';
import { cidrContains, parseCIDR, parseIP, type CIDR } from '#machinery/ip.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';

const IP_ADDRESSES = kind<IPAddress>('networking.k8s.io', 'v1', 'ipaddresses');
const NAME = 'service-cidr-controller';
const FINALIZER = 'networking.k8s.io/service-cidr-finalizer';
const MANAGED_LABEL = 'ipaddress.kubernetes.io/managed-by';
const ALLOCATOR = 'ipallocator.k8s.io';
/** An API server may still give out an address of a range that another one has just marked for deletion. */
const GRACE_MS = 10_000;

const rangesOf = (range: ServiceCIDR): CIDR[] => (range.spec?.cidrs ?? []).flatMap((text) => parseCIDR(text) ?? []);
const covers = (outer: CIDR, inner: CIDR): boolean => outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.address);

/** Whether every address in use stays within some other range when this one goes. */
export function mayGo(range: ServiceCIDR, all: readonly ServiceCIDR[], addresses: readonly IPAddress[]): boolean {
  const others = all.filter((r) => nameOf(r) !== nameOf(range)).flatMap(rangesOf);
  const alone = rangesOf(range).filter((own) => !others.some((other) => covers(other, own)));
  if (alone.length === 0) return true;
  return addresses.filter((a) => a.metadata.labels?.[MANAGED_LABEL] === ALLOCATOR).every((address) => {
    const ip = parseIP(nameOf(address));
    return !ip || !alone.some((own) => cidrContains(own, ip)) || others.some((other) => cidrContains(other, ip));
  });
}

export function newServiceCidrController(context: ControllerContext): Component {
  const { informers, clock } = context;
  const ranges = informers.informer(SERVICE_CIDRS);
  const addresses = informers.informer(IP_ADDRESSES);
  const client = context.client.of(SERVICE_CIDRS);
  const recorder = recorderOf(context, NAME);

  async function setReady(range: ServiceCIDR, ready: { status: 'True' | 'False'; reason: string; message: string }, signal: AbortSignal): Promise<void> {
    const old = range.status?.conditions?.find((c) => c.type === 'Ready');
    if (old?.status === ready.status && (ready.status === 'True' || old.reason === ready.reason)) return;
    const condition = { type: 'Ready', ...ready, lastTransitionTime: rfc3339(clock.now()) };
    try {
      const applied = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name: nameOf(range) }, status: { conditions: [condition] } };
      await client.patch('', nameOf(range), 'application/apply-patch+yaml', applied, { subresource: 'status', fieldManager: NAME, force: true, signal });
    } catch (err) {
      if (!isReason(err, 'Conflict')) recorder.event({ ...range, apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR' }, 'Warning', 'KubernetesServiceCIDRError', `The ServiceCIDR Status can not be set to Ready=${ready.status}`);
      throw err;
    }
  }
  async function end(range: ServiceCIDR, signal: AbortSignal): Promise<{ afterMs: number } | undefined> {
    const finalizers = range.metadata.finalizers ?? [];
    if (!finalizers.includes(FINALIZER)) return undefined;
    if (!mayGo(range, ranges.list(), addresses.list())) {
      const message = 'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR';
      await setReady(range, { status: 'False', reason: 'Terminating', message }, signal);
      return undefined;
    }
    const left = Date.parse(range.metadata.deletionTimestamp!) + GRACE_MS - clock.now();
    if (left > 0) return { afterMs: left };
    await client.update({ ...range, metadata: { ...range.metadata, finalizers: finalizers.filter((f) => f !== FINALIZER) } }, { signal });
    return undefined;
  }
  return newController({
    name: NAME,
    context,
    workers: 1,
    sources: (queue) => [
      // A range that comes or goes may let another one go.
      source(context, queue, SERVICE_CIDRS, (r) => [nameOf(r), ...ranges.list().filter((o) => o.metadata.deletionTimestamp !== undefined).map(nameOf)]),
      source(context, queue, IP_ADDRESSES, () => ranges.list().filter((o) => o.metadata.deletionTimestamp !== undefined).map(nameOf)),
    ],
    async reconcile(name, signal) {
      const range = ranges.get('', name);
      if (!range) return undefined;
      if (range.metadata.deletionTimestamp !== undefined) return end(range, signal);
      if (!range.metadata.finalizers?.includes(FINALIZER)) {
        // The change comes back as an event, for the rest.
        await client.patch('', name, 'application/strategic-merge-patch+json', { metadata: { finalizers: [FINALIZER] } }, { signal }).catch((err: unknown) => { if (!isReason(err, 'NotFound')) throw err; });
        return undefined;
      }
      await setReady(range, { status: 'True', reason: '', message: 'Kubernetes Service CIDR is ready' }, signal);
      return undefined;
    },
  });
}
