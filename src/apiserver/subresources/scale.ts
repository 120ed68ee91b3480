/** The scale subresource: one shape for everything that has replicas. Source: the API reference, autoscaling/v1 Scale; KEP-555 for its managed fields. */
import type * as autoscalingV1 from '#api/gen/autoscaling-v1.ts';
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import type { Draft } from '#base/draft.ts';
import { parentManagedFields, scaleManagedFields, type ScaleMapping } from '#machinery/apply/scale-fields.ts';
import { fieldPath, invalidValue } from '#machinery/field-errors.ts';
import { labelMatcherOf, labelMatcherOfSet } from '#machinery/selectors.ts';
import { conflict, invalid } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { verbNotAllowed } from '../generic-errors.ts';
import { entryOf } from '../registry/get.ts';
import { patchObject } from '../registry/patch.ts';
import type { SubresourceHandler } from '../registry/resource-registry.ts';
import { structCodec } from '../registry/struct-codec.ts';
import { editable, type ObjectView } from '../registry/update.ts';
import { putObject } from '../registry/verbs.ts';

const EXPECTED = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
const codec = structCodec(structByKind('autoscaling', 'v1', 'Scale')!);

/** How a kind shows its replicas. Custom resources have theirs at paths of their own. */
export interface ScalableKind {
  /** Without managed fields. */
  scaleOf(object: KubeObject): autoscalingV1.Scale;
  /** Throws where an object has no replicas to show; it may still be given some. */
  verify?(object: KubeObject): void;
  /** Changes the draft. */
  setReplicas(draft: Draft<KubeObject>, replicas: number): void;
  readonly mapping: ScaleMapping;
  /** {@link ObjectView.refusesApply} */
  readonly refusesApply?: boolean;
}

/** What all built-in scalable kinds have. */
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
export function builtinScalable({ group, version }: ResourceInfo): ScalableKind {
  const apiVersion = apiVersionOf(group, version);
  return {
    scaleOf,
    setReplicas: (draft, replicas) => void ((draft as Draft<Scalable>).spec = { ...(draft as Draft<Scalable>).spec, replicas }),
    mapping: { apiVersion, replicasPaths: { [apiVersion]: ['spec', 'replicas'] } },
  };
}

/** Serves `scale` of one kind. */
export function scaleHandler(kind: ScalableKind): SubresourceHandler {
  return async (ctx) => {
    const { verb } = ctx.request.info;
    if (verb === 'get') {
      await ctx.served.storage!.freshen(undefined, ctx.signal);
      const entry = entryOf(ctx);
      await ctx.served.codec.prepare?.([entry]);
      const { object } = ctx.served.codec.fromStorage(entry);
      kind.verify?.(object);
      return { kind: 'object', code: 200, object: kind.scaleOf(object) };
    }
    if (verb !== 'update' && verb !== 'patch') throw verbNotAllowed();
    const view = viewOf(ctx, kind);
    const { object } = await (verb === 'update' ? putObject(ctx, 'scale', view) : patchObject(ctx, 'scale', view));
    return { kind: 'object', code: 200, object: kind.scaleOf(object) };
  };
}

function viewOf(ctx: RequestContext, kind: ScalableKind): ObjectView {
  return {
    expected: EXPECTED,
    codec,
    refusesApply: kind.refusesApply ?? false,
    show(object) {
      const scale = kind.scaleOf(object);
      const managedFields = scaleManagedFields(object.metadata.managedFields, kind.mapping);
      return codec.normalise({ ...scale, metadata: { ...scale.metadata, ...(managedFields ? { managedFields } : {}) } } as KubeObject) as KubeObject;
    },
    merge(shown, old) {
      const scale = shown as unknown as autoscalingV1.Scale;
      validate(ctx, scale, old);
      const draft = editable(old);
      kind.setReplicas(draft, scale.spec?.replicas ?? 0);
      // The Scale's version is the object's: what the client saw must still be there.
      const { resourceVersion, managedFields: owners } = scale.metadata;
      if (resourceVersion) draft.metadata.resourceVersion = resourceVersion;
      else delete draft.metadata.resourceVersion;
      const managedFields = parentManagedFields(old.metadata.managedFields, owners, kind.mapping);
      if (managedFields) draft.metadata.managedFields = managedFields as Draft<typeof managedFields>;
      else delete draft.metadata.managedFields;
      return draft;
    },
  };
}
function validate(ctx: RequestContext, scale: autoscalingV1.Scale, old: KubeObject): void {
  const { info } = ctx.served;
  const replicas = scale.spec?.replicas ?? 0;
  // Of a custom resource its own schema and the checks of its definition say what is wrong.
  if (replicas < 0 && ctx.served.codec.structType) throw invalid({ group: EXPECTED.group, kind: EXPECTED.kind }, ctx.name, [invalidValue(fieldPath('spec', 'replicas'), replicas, 'must be greater than or equal to 0')]);
  const { uid } = scale.metadata;
  if (uid && uid !== old.metadata.uid) {
    throw conflict({ group: info.group, resource: `${info.plural}/scale` }, ctx.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ''}`);
  }
}
