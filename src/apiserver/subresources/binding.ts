/** `pods/binding` and `bindings`: a scheduler gives a Pod to a node. Source: the API reference, Binding. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, notSupported, required, toAggregate, type FieldError } from '#machinery/field-errors.ts';
import { badRequest, conflict, notFound } from '#machinery/status-error.ts';
import { RevisionConflictError } from '#store/contract.ts';
import { objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import { isPromise } from '../maybe-promise.ts';
import { admitWhole } from '../registry/admit.ts';
import { decodeBody } from '../registry/body.ts';
import { writeOptions, writeOptionsObject } from '../registry/options.ts';
import { structCodec } from '../registry/struct-codec.ts';
import { editable } from '../registry/update.ts';
import type { ApiResult } from '../request.ts';
import { successStatus } from './success.ts';

const PODS = resourceOf('', 'v1', 'pods');
const EXPECTED = { group: '', version: 'v1', kind: 'Binding' };
const codec = structCodec(structByKind('', 'v1', 'Binding')!);
const GR = { group: '', resource: 'pods/binding' };

function validate(binding: coreV1.Binding): FieldError[] {
  const { kind = '', name = '' } = binding.target;
  const errors: FieldError[] = [];
  if (kind !== '' && kind !== 'Node') errors.push(notSupported(fieldPath('target', 'kind'), kind, ['Node', '<empty>'], 'listed'));
  if (name === '') errors.push(required(fieldPath('target', 'name')));
  return errors;
}

export async function serveBinding(ctx: RequestContext): Promise<ApiResult> {
  const options = writeOptions(ctx.request.query, 'CreateOptions');
  const binding = decodeBody(ctx, await ctx.request.readBody(), { expected: EXPECTED, codec, fieldValidation: options.fieldValidation }) as unknown as Draft<coreV1.Binding>;
  const name = ctx.name || (binding.metadata.name ?? '');
  if (ctx.name !== '' && (binding.metadata.name ?? '') !== '' && binding.metadata.name !== ctx.name) throw badRequest('name in URL does not match name in Binding object');
  const admitted = admitWhole(ctx, { operation: 'CREATE', subresource: ctx.served.info.plural === 'pods' ? 'binding' : '', name, object: binding, oldObject: undefined, options: writeOptionsObject('CreateOptions', options), dryRun: options.dryRun, kind: EXPECTED });
  if (isPromise(admitted)) await admitted;
  const errors = validate(binding);
  if (errors.length) throw badRequest(toAggregate(errors));
  if (name === '') throw badRequest('Name parameter required.');
  const pods = ctx.services.resources.find('', 'v1', 'pods')!;
  await assign(ctx.for(pods), name, binding, options.dryRun);
  return { kind: 'object', code: 201, object: successStatus(201) };
}

/** Sets the node once and for all; the condition tells when. */
async function assign(ctx: RequestContext, name: string, binding: coreV1.Binding, dryRun: boolean): Promise<void> {
  const storage = ctx.served.storage!;
  const key = objectKey(PODS, ctx.namespace, name);
  await storage.freshen(undefined, ctx.signal);
  for (;;) {
    ctx.signal.throwIfAborted();
    const stored = storage.get(key);
    if (!stored) throw notFound({ group: '', resource: 'pods' }, name);
    const pod = editable(stored.object) as Draft<coreV1.Pod>;
    refuse(pod as coreV1.Pod, binding);
    bind(pod, binding, ctx.services.clock.now());
    if (dryRun) return;
    try {
      await storage.update(key, pod as KubeObject, stored.revision);
      return;
    } catch (err) {
      if (!(err instanceof RevisionConflictError)) throw err;
    }
  }
}
function refuse(pod: coreV1.Pod, binding: coreV1.Binding): void {
  const name = pod.metadata.name ?? '';
  const { uid, resourceVersion } = binding.metadata;
  if (uid && uid !== pod.metadata.uid) throw conflict(GR, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`);
  if (resourceVersion && resourceVersion !== pod.metadata.resourceVersion) {
    throw conflict(GR, name, `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${pod.metadata.resourceVersion}`);
  }
  if (pod.metadata.deletionTimestamp !== undefined) throw conflict(GR, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  if (pod.spec?.nodeName) throw conflict(GR, name, `pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
  if (pod.spec?.schedulingGates?.length) throw conflict(GR, name, `pod ${name} has non-empty .spec.schedulingGates`);
}
function bind(pod: Draft<coreV1.Pod>, binding: coreV1.Binding, now: number): void {
  pod.spec = { ...pod.spec!, nodeName: binding.target.name ?? '' };
  if (binding.metadata.annotations) pod.metadata.annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations };
  // Labels that admission put on the binding: the node's topology (KEP-4742).
  if (binding.metadata.labels) pod.metadata.labels = { ...pod.metadata.labels, ...binding.metadata.labels };
  const status = (pod.status ??= {});
  delete status.nominatedNodeName;
  const conditions = (status.conditions ??= []);
  const condition = { type: 'PodScheduled', status: 'True', lastProbeTime: null as unknown as string, lastTransitionTime: rfc3339(now) };
  const at = conditions.findIndex((c) => c.type === 'PodScheduled');
  if (at < 0) conditions.push(condition);
  else if (conditions[at]!.status !== 'True') conditions[at] = condition;
}
