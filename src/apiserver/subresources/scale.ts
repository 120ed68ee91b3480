/** The scale subresource: one shape for everything that has replicas. Source: the API reference, autoscaling/v1 Scale. */
import type * as autoscalingV1 from '#api/gen/autoscaling-v1.ts';
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, invalidValue } from '#machinery/field-errors.ts';
import { labelMatcherOf, labelMatcherOfSet } from '#machinery/selectors.ts';
import { badRequest, invalid } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { verbNotAllowed } from '../generic-errors.ts';
import { decodeBody, unknownFormat } from '../registry/body.ts';
import { entryOf } from '../registry/get.ts';
import { checkName } from '../registry/object-meta.ts';
import { writeOptions, type WriteKind, type WriteOptions } from '../registry/options.ts';
import { APPLY_PATCH, checkPatchType, patched, patchTypes, readPatch } from '../registry/patch.ts';
import { structCodec } from '../registry/struct-codec.ts';
import { editable, updateObject } from '../registry/update.ts';
import type { ApiResult } from '../request.ts';

const EXPECTED = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
const codec = structCodec(structByKind('autoscaling', 'v1', 'Scale')!);

/** What all scalable kinds have. */
interface Scalable extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly selector?: LabelSelector | Readonly<Record<string, string>> };
  readonly status?: { readonly replicas?: number };
}

export function scaleOf(object: KubeObject): autoscalingV1.Scale {
  const { spec, status, kind, metadata } = object as Scalable;
  // A ReplicationController's selector is a plain map, all others' a LabelSelector.
  const selector = spec?.selector && (kind === 'ReplicationController' ? labelMatcherOfSet(spec.selector as Readonly<Record<string, string>>) : labelMatcherOf(spec.selector as LabelSelector)).toString();
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: spec?.replicas ? { replicas: spec.replicas } : {},
    status: { replicas: status?.replicas ?? 0, ...(selector ? { selector } : {}) },
  };
}

export async function serveScale(ctx: RequestContext): Promise<ApiResult> {
  switch (ctx.request.info.verb) {
    case 'get':
      await ctx.served.storage!.freshen(undefined, ctx.signal);
      return { kind: 'object', code: 200, object: scaleOf(entryOf(ctx).object) };
    case 'update':
      return put(ctx);
    case 'patch':
      return patch(ctx);
    default:
      throw verbNotAllowed();
  }
}

async function put(ctx: RequestContext): Promise<ApiResult> {
  const options = writeOptions(ctx.request.query, 'UpdateOptions');
  const sent = decodeBody(ctx, await ctx.request.readBody(), { expected: EXPECTED, codec, fieldValidation: options.fieldValidation });
  checkName(sent, ctx.name, ctx.namespace);
  return write(ctx, options, 'UpdateOptions', () => sent as unknown as autoscalingV1.Scale);
}
async function patch(ctx: RequestContext): Promise<ApiResult> {
  const type = checkPatchType(ctx.request, codec);
  if (type === APPLY_PATCH) throw unknownFormat(patchTypes(codec).filter((t) => t !== APPLY_PATCH));
  const options = writeOptions(ctx.request.query, 'PatchOptions');
  const read = await readPatch(ctx.request, type);
  return write(ctx, options, 'PatchOptions', (existing) => patched(ctx, read, scaleOf(existing) as KubeObject, { expected: EXPECTED, codec }, options) as unknown as autoscalingV1.Scale);
}

async function write(ctx: RequestContext, options: WriteOptions, optionsKind: WriteKind, scaled: (existing: KubeObject) => autoscalingV1.Scale): Promise<ApiResult> {
  const result = await updateObject(ctx, {
    name: ctx.name,
    options,
    optionsKind,
    subresource: 'scale',
    allowCreate: false,
    source: (existing) => {
      const scale = scaled(existing!);
      validate(scale, ctx.name);
      const draft = editable(existing!) as Draft<Scalable>;
      draft.spec = { ...draft.spec, replicas: scale.spec.replicas ?? 0 };
      const { uid, resourceVersion } = scale.metadata;
      // The Scale's identity is the object's: what the client saw must still be there.
      if (uid) draft.metadata.uid = uid;
      if (resourceVersion) draft.metadata.resourceVersion = resourceVersion;
      else delete draft.metadata.resourceVersion;
      return draft as unknown as Draft<KubeObject>;
    },
  });
  return { kind: 'object', code: 200, object: scaleOf(result.object) };
}
function validate(scale: autoscalingV1.Scale, name: string): void {
  if ((scale.metadata.name ?? '') !== name) throw badRequest(`the name of the object (${scale.metadata.name ?? ''}) does not match the name on the URL (${name})`);
  const replicas = scale.spec.replicas ?? 0;
  if (replicas < 0) throw invalid({ group: 'autoscaling', kind: 'Scale' }, name, [invalidValue(fieldPath('spec', 'replicas'), replicas, 'must be greater than or equal to 0')]);
}
