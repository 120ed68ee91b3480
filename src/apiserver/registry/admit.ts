/** The two admission phases of a write, from what the registry knows of it. */
import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { isPromise } from '../maybe-promise.ts';
import type { RequestContext } from '../context.ts';
import type { AdmissionOperation, MaybePromise, MutableAdmissionAttributes } from '../interfaces.ts';

export interface AdmissionInput {
  readonly operation: AdmissionOperation;
  readonly subresource?: string | undefined;
  readonly name: string;
  readonly object: Draft<KubeObject> | undefined;
  readonly oldObject: KubeObject | undefined;
  readonly options: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
  /** Where it is not the kind of the resource. */
  readonly kind?: { readonly group: string; readonly version: string; readonly kind: string } | undefined;
}

export function admissionAttributes(ctx: RequestContext, input: AdmissionInput): MutableAdmissionAttributes {
  const { info } = ctx.served;
  const isNamespace = info.plural === 'namespaces' && info.group === '';
  return {
    operation: input.operation,
    resource: info,
    subresource: input.subresource ?? '',
    kind: input.kind ?? { group: info.group, version: info.version, kind: info.kind },
    namespace: isNamespace ? input.name : ctx.namespace,
    name: input.name,
    object: input.object,
    oldObject: input.oldObject,
    options: input.options,
    dryRun: input.dryRun,
    user: ctx.user,
    warn: (message) => ctx.warn(message),
    annotate: (key, value) => ctx.annotate(key, value),
    waits: ctx.request.waits,
  };
}

/** Both phases at once, for requests that change no object: deletes and connects. */
export function admitWhole(ctx: RequestContext, input: AdmissionInput): MaybePromise<void> {
  const { admission } = ctx.services;
  if (!admission.handles(input.operation)) return undefined;
  const attributes = admissionAttributes(ctx, input);
  const admitted = admission.admit(attributes, ctx.signal);
  return isPromise(admitted) ? admitted.then(() => admission.validate(attributes, ctx.signal)) : admission.validate(attributes, ctx.signal);
}
