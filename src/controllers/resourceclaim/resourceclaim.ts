/**
 * Makes the claims that Pods ask for by templates, keeps claims for the Pods that use them, and frees what nobody uses any more.
 * Source: KEP-4381; upstream's counterpart: resourceclaim-controller.
 */
import type { Pod, PodResourceClaim } from '#api/gen/core-v1.ts';
import type { ResourceClaim, ResourceClaimConsumerReference } from '#api/gen/resource-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { claimNameOf, claimNamesOf } from '#api/pod-claims.ts';
import type { Component } from '#base/component.ts';
import { PODS, RESOURCE_CLAIM_TEMPLATES as TEMPLATES, RESOURCE_CLAIMS as CLAIMS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';
import { byController } from '../workload/by-controller.ts';
import { controllerOf } from '../workload/controller-ref.ts';
import { isGone } from '../workload/pod-control.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { claimFrom, FINALIZER, isMadeFor, isPodDone, isPodReference, needsReservation } from './claims.ts';
import { ResourceClaimMetrics } from './metrics.ts';

const MANAGER = 'ResourceClaimController';
/** Prefixes of keys. */
const POD = 'pod:';
const CLAIM = 'claim:';

export function newResourceClaimController(context: ControllerContext): Component {
  const { client, informers } = context;
  const pods = informers.informer(PODS);
  const claims = informers.informer(CLAIMS);
  const templates = informers.informer(TEMPLATES);
  const recorder = recorderOf(context, 'resource_claim');
  const claimsBy = byController(claims);
  const metrics = new ResourceClaimMetrics(context.metrics, () => claims.list());
  pods.addIndex('resource-claim', (p) => claimNamesOf(p).map((name) => `${namespaceOf(p)}/${name}`));
  pods.addIndex('resource-claim-template', (p) => (p.spec.resourceClaims ?? []).flatMap((c) => (c.resourceClaimTemplateName === undefined ? [] : [`${namespaceOf(p)}/${c.resourceClaimTemplateName}`])));

  /** The name of the claim that was found or made; undefined where nothing is to be told of it. */
  async function ensureClaim(pod: Pod, podClaim: PodResourceClaim, signal: AbortSignal): Promise<string | undefined> {
    const known = claimNameOf(pod, podClaim);
    const { name, resourceClaimTemplateName } = podClaim;
    if (known === null || resourceClaimTemplateName === undefined) return undefined;
    const there = known === undefined ? undefined : claims.get(namespaceOf(pod), known);
    if (there && controllerOf(there)?.uid === uidOf(pod)) return undefined;
    const orphan = claimsBy.owned(uidOf(pod)).find((c) => isMadeFor(c, pod, name));
    if (orphan) return nameOf(orphan);
    const template = templates.get(namespaceOf(pod), resourceClaimTemplateName);
    if (!template) throw new Error(`resource claim template ${JSON.stringify(resourceClaimTemplateName)}: resourceclaimtemplate.resource.k8s.io ${JSON.stringify(resourceClaimTemplateName)} not found`);
    const wanted = claimFrom(pod, name, template);
    const made = await client.of(CLAIMS).create(wanted, { signal }).catch((err: unknown) => {
      metrics.created(wanted, 'failure');
      throw new Error(`create ResourceClaim : ${err instanceof Error ? err.message : String(err)}`, { cause: err });
    });
    metrics.created(wanted, 'success');
    return nameOf(made);
  }
  async function syncPod(pod: Pod, signal: AbortSignal): Promise<undefined> {
    const made: { name: string; resourceClaimName: string }[] = [];
    for (const podClaim of pod.spec.resourceClaims ?? []) {
      try {
        const resourceClaimName = await ensureClaim(pod, podClaim, signal);
        if (resourceClaimName !== undefined) made.push({ name: podClaim.name, resourceClaimName });
      } catch (err) {
        if (!signal.aborted) recorder.event(pod, 'Warning', 'FailedResourceClaimCreation', `PodResourceClaim ${podClaim.name}: ${err instanceof Error ? err.message : String(err)}`);
        throw err;
      }
    }
    if (made.length) await tellClaims(pod, made, signal);
    if (pod.spec.nodeName) for (const name of claimNamesOf(pod)) await reserve(pod, claims.get(namespaceOf(pod), name), signal);
  }
  async function tellClaims(pod: Pod, made: readonly object[], signal: AbortSignal): Promise<void> {
    const applied = { apiVersion: 'v1', kind: 'Pod', metadata: { name: nameOf(pod), namespace: namespaceOf(pod) }, status: { resourceClaimStatuses: made } };
    await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/apply-patch+yaml', applied, { subresource: 'status', fieldManager: MANAGER, force: true, signal });
  }
  /** Whoever binds a Pod without the scheduler leaves this to us. */
  async function reserve(pod: Pod, claim: ResourceClaim | undefined, signal: AbortSignal): Promise<void> {
    if (!claim || !needsReservation(claim, pod)) return;
    const reservedFor = [...(claim.status?.reservedFor ?? []), { resource: 'pods', name: nameOf(pod), uid: uidOf(pod) }];
    await client.of(CLAIMS).updateStatus({ ...claim, status: { ...claim.status, reservedFor } }, { signal });
  }

  /** A Pod that is not in the informer is asked for: it may not have been seen yet. */
  async function isInUse(namespace: string, ref: ResourceClaimConsumerReference, signal: AbortSignal): Promise<boolean> {
    if (!isPodReference(ref)) return true;
    const seen = pods.get(namespace, ref.name);
    if (seen) return uidOf(seen) === ref.uid && !isPodDone(seen);
    const live = await client.of(PODS).get(namespace, ref.name, signal).catch((err: unknown) => {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    });
    return live !== undefined && uidOf(live) === ref.uid;
  }
  async function syncClaim(claim: ResourceClaim, signal: AbortSignal): Promise<undefined> {
    const reservedFor = claim.status?.reservedFor ?? [];
    const remaining: ResourceClaimConsumerReference[] = [];
    for (const ref of reservedFor) if (await isInUse(namespaceOf(claim), ref, signal)) remaining.push(ref);
    const changed = remaining.length < reservedFor.length;
    const isFree = remaining.length === 0 && (claim.metadata.finalizers?.includes(FINALIZER) ?? false);
    let now = claim;
    if (changed || (isFree && claim.metadata.deletionTimestamp !== undefined && claim.status?.allocation)) {
      const { allocation, reservedFor: _, ...status } = claim.status ?? {};
      // Freed with its last user: whoever comes next may be better off elsewhere.
      now = await client.of(CLAIMS).updateStatus({ ...claim, status: { ...status, ...(allocation && !isFree ? { allocation } : {}), ...(remaining.length ? { reservedFor: remaining } : {}) } }, { signal });
    }
    if (isFree && !now.status?.allocation && (changed || claim.metadata.deletionTimestamp !== undefined)) {
      now = await client.of(CLAIMS).update({ ...now, metadata: { ...now.metadata, finalizers: (now.metadata.finalizers ?? []).filter((f) => f !== FINALIZER) } }, { signal });
    }
    if (remaining.length === 0) await deleteUnused(now, signal);
  }
  /** A claim that was made for a Pod which will not run goes before the Pod does. */
  async function deleteUnused(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const owner = controllerOf(claim);
    const pod = owner?.kind === 'Pod' && owner.apiVersion === 'v1' ? pods.get(namespaceOf(claim), owner.name) : undefined;
    if (!pod || claim.metadata.deletionTimestamp !== undefined || (uidOf(pod) === owner?.uid && !isPodDone(pod))) return;
    await client.of(CLAIMS).delete(namespaceOf(claim), nameOf(claim), { preconditions: { uid: uidOf(claim) } }, signal).catch((err: unknown) => {
      if (!isGone(err)) throw err;
    });
  }

  return newController({
    name: 'resourceclaim-controller',
    context,
    workers: 10,
    sources: (queue) => [
      source(context, queue, PODS, (p) => [...(p.spec.resourceClaims?.length ? [POD + keyOf(p)] : []), ...claimNamesOf(p).map((name) => `${CLAIM}${namespaceOf(p)}/${name}`)]),
      source(context, queue, CLAIMS, (c) => [CLAIM + keyOf(c), ...pods.byIndex('resource-claim', keyOf(c)).map((p) => POD + keyOf(p))]),
      source(context, queue, TEMPLATES, (t) => pods.byIndex('resource-claim-template', keyOf(t)).map((p) => POD + keyOf(p))),
    ],
    async reconcile(key, signal) {
      if (key.startsWith(CLAIM)) {
        const claim = claims.getByKey(key.slice(CLAIM.length));
        return claim && (await untilCaughtUp(() => syncClaim(claim, signal)));
      }
      const pod = pods.getByKey(key.slice(POD.length));
      // What a Pod that has ended had is freed: it must not be made anew.
      return pod && pod.metadata.deletionTimestamp === undefined && !isPodDone(pod) ? await untilCaughtUp(() => syncPod(pod, signal)) : undefined;
    },
  });
}
