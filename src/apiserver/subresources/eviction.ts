/** `pods/eviction`: a delete that asks the Pod's disruption budget first. Source: the Kubernetes page "API-initiated Eviction"; KEP-3017 (unhealthy Pods). */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as metaV1 from '#api/gen/meta-v1.ts';
import type * as policyV1 from '#api/gen/policy-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { rfc3339 } from '#base/clock.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import { badRequest, forbidden, internalError, StatusError, tooManyRequests } from '#machinery/status-error.ts';
import { RevisionConflictError } from '#store/contract.ts';
import { objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import { isPromise } from '../maybe-promise.ts';
import { admitWhole } from '../registry/admit.ts';
import { decodeBody } from '../registry/body.ts';
import { deleteObject } from '../registry/delete.ts';
import { checkDeleteOptions, writeOptions, writeOptionsObject } from '../registry/options.ts';
import { structCodec } from '../registry/struct-codec.ts';
import type { ApiResult } from '../request.ts';
import { podOf } from './connect.ts';
import { successStatus } from './success.ts';

const PDBS = resourceOf('policy', 'v1', 'poddisruptionbudgets');
const EXPECTED = { group: 'policy', version: 'v1', kind: 'Eviction' };
const codec = structCodec(structByKind('policy', 'v1', 'Eviction')!);
const VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget.";
/** Evictions that the budget's controller has not yet confirmed. */
const MAX_DISRUPTED_PODS = 2000;

export async function serveEviction(ctx: RequestContext): Promise<ApiResult> {
  const options = writeOptions(ctx.request.query, 'CreateOptions');
  const eviction = decodeBody(ctx, await ctx.request.readBody(), { expected: EXPECTED, alias: 'v1beta1', codec, fieldValidation: options.fieldValidation }) as unknown as Draft<policyV1.Eviction>;
  if ((eviction.metadata.name ?? '') !== ctx.name) throw badRequest('name in URL does not match name in Eviction object');
  const rawOptions = { ...eviction.deleteOptions, kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' };
  const deletion = checkDeleteOptions(rawOptions);
  const dryRun = options.dryRun || deletion.dryRun;
  const admitted = admitWhole(ctx, { operation: 'CREATE', subresource: 'eviction', name: ctx.name, object: eviction, oldObject: undefined, options: writeOptionsObject('CreateOptions', options), dryRun, kind: EXPECTED });
  if (isPromise(admitted)) await admitted;
  const pod = await podOf(ctx);
  if (!ignoresBudgets(pod)) await askBudget(ctx, pod, dryRun);
  const preconditions = deletion.preconditions ?? { uid: pod.metadata.uid };
  const version = dryRun ? undefined : await markDisrupted(ctx, preconditions);
  const asked = preconditions.resourceVersion && version ? { ...preconditions, resourceVersion: version } : preconditions;
  await deleteObject(ctx, { name: ctx.name, rawOptions, options: { ...deletion, dryRun, preconditions: asked } });
  return { kind: 'object', code: 201, object: successStatus(201) };
}

/**
 * Tells in the Pod why it goes, for who judges its end: Jobs, and people. The resourceVersion that this makes; undefined where the Pod is not the
 * one that is meant, which the delete will say.
 */
async function markDisrupted(ctx: RequestContext, { uid, resourceVersion }: NonNullable<metaV1.DeleteOptions['preconditions']>): Promise<string | undefined> {
  const storage = ctx.served.storage!;
  const key = objectKey(ctx.served.info, ctx.namespace, ctx.name);
  for (;;) {
    ctx.signal.throwIfAborted();
    const stored = storage.get(key);
    if (!stored) return undefined;
    const pod = stored.object as coreV1.Pod;
    if ((uid && uid !== pod.metadata.uid) || (resourceVersion && resourceVersion !== pod.metadata.resourceVersion)) return undefined;
    const next = draftOf(pod);
    const conditions = ((next.status ??= {}).conditions ??= []);
    const told = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' };
    const before = conditions.find((c) => c.type === told.type);
    if (!before) conditions.push({ ...told, lastTransitionTime: rfc3339(ctx.services.clock.now()) });
    else Object.assign(before, told, before.status === told.status ? {} : { lastTransitionTime: rfc3339(ctx.services.clock.now()) });
    try {
      return (await storage.update(key, await ctx.served.codec.toStorage(ctx.served.codec.normalise(next)), stored.revision)).object.metadata.resourceVersion;
    } catch (err) {
      if (!(err instanceof RevisionConflictError)) throw err;
    }
  }
}
/** Nothing is disrupted by the end of a Pod that does not run. */
function ignoresBudgets(pod: coreV1.Pod): boolean {
  const phase = pod.status?.phase;
  return phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending' || pod.metadata.deletionTimestamp !== undefined;
}
function isReady(pod: coreV1.Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

async function askBudget(ctx: RequestContext, pod: coreV1.Pod, dryRun: boolean): Promise<void> {
  const budgets = ctx.services.reader.list<policyV1.PodDisruptionBudget>(PDBS, ctx.namespace).filter((b) => labelMatcherOf(b.spec.selector).matches(pod.metadata.labels));
  if (budgets.length === 0) return;
  if (budgets.length > 1) throw internalError('This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.');
  const storage = ctx.services.resources.find('policy', 'v1', 'poddisruptionbudgets')!.storage!;
  const key = objectKey(PDBS, ctx.namespace, budgets[0]!.metadata.name!);
  for (;;) {
    ctx.signal.throwIfAborted();
    const stored = storage.get(key);
    if (!stored) return;
    const budget = stored.object as policyV1.PodDisruptionBudget;
    if (!isReady(pod) && unhealthyMayGo(budget)) return;
    const next = disrupt(budget, pod.metadata.name!, ctx.services.clock.now());
    if (dryRun) return;
    try {
      await storage.update(key, next, stored.revision);
      return;
    } catch (err) {
      if (!(err instanceof RevisionConflictError)) throw err;
    }
  }
}
function unhealthyMayGo(budget: policyV1.PodDisruptionBudget): boolean {
  if (budget.spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const { currentHealthy = 0, desiredHealthy = 0, observedGeneration = 0 } = budget.status ?? {};
  return observedGeneration >= (budget.metadata.generation ?? 0) && desiredHealthy > 0 && currentHealthy >= desiredHealthy;
}

function violates(cause: string, retryAfterSeconds: number): StatusError {
  const { status } = tooManyRequests(VIOLATES, retryAfterSeconds);
  const causes = [{ reason: 'DisruptionBudget', message: cause }];
  return new StatusError({ ...status, details: retryAfterSeconds ? { ...status.details, causes } : { causes } });
}
/** The budget with one disruption less; refuses when there is none left. */
function disrupt(budget: policyV1.PodDisruptionBudget, podName: string, now: number): policyV1.PodDisruptionBudget {
  const name = budget.metadata.name ?? '';
  const status = budget.status ?? {};
  const { disruptionsAllowed = 0, desiredHealthy = 0, currentHealthy = 0, disruptedPods = {} } = status;
  if ((status.observedGeneration ?? 0) < (budget.metadata.generation ?? 0)) throw violates(`The disruption budget ${name} is still being processed by the server.`, 10);
  const gr = { group: PDBS.group, resource: PDBS.plural };
  if (disruptionsAllowed < 0) throw forbidden(gr, name, 'pdb disruptions allowed is negative');
  if (Object.keys(disruptedPods).length > MAX_DISRUPTED_PODS) throw forbidden(gr, name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
  if (disruptionsAllowed === 0) throw violates(`The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`, 0);
  const next = draftOf(budget);
  next.status = { ...next.status, disruptionsAllowed: disruptionsAllowed - 1, disruptedPods: { ...disruptedPods, [podName]: rfc3339(now) } };
  if (disruptionsAllowed === 1) markExhausted(next, now);
  return next;
}
function markExhausted(budget: Draft<policyV1.PodDisruptionBudget>, now: number): void {
  const conditions = (budget.status!.conditions ??= []);
  const allowed = conditions.find((c) => c.type === 'DisruptionAllowed');
  const fields = { status: 'False', reason: 'InsufficientPods', message: '', observedGeneration: budget.status!.observedGeneration ?? 0 };
  if (!allowed) conditions.push({ type: 'DisruptionAllowed', lastTransitionTime: rfc3339(now), ...fields });
  else Object.assign(allowed, fields, allowed.status === 'False' ? {} : { lastTransitionTime: rfc3339(now) });
}
