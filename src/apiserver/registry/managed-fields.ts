/** Who owns which field, booked on every write (server-side apply, KEP-555). */
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { applyPatch } from '#machinery/apply/apply-patch.ts';
import { ANY, excludeFields, includeFields, type FieldFilter } from '#machinery/apply/field-filter.ts';
import { equalButForTimes } from '#machinery/apply/managed-fields.ts';
import { managerName } from '#machinery/apply/manager-name.ts';
import { updateManagedFields, type FieldManagement } from '#machinery/apply/update.ts';
import { printedObject } from '#machinery/object-text.ts';
import { jsonEqual, type JsonObject } from '#machinery/patch/json.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import type { ExpectedKind } from './body.ts';
import type { WriteOptions } from './options.ts';
import type { ResourceCodec } from './resource-registry.ts';
import { withEmpties } from './spelled-out.ts';
import { hasStatus, statusKeeps } from './subresource-split.ts';

const WITHOUT_STATUS = excludeFields('status');
/** What writes to a subresource other than `status` may own; writes to the rest own all that they change. */
const BY_SUBRESOURCE: Readonly<Record<string, FieldFilter>> = {
  approval: excludeFields('spec', 'status.certificate'),
  ephemeralcontainers: includeFields('spec.ephemeralContainers'),
  resize: includeFields(...['containers', 'initContainers'].flatMap((list) => ['resources', 'resizePolicy'].map((field) => `spec.${list}.${ANY}.${field}`)), 'spec.resources'),
};

const CUSTOM_STATUS = excludeFields('spec', 'metadata');
/** A certificate signing request's spec is set once: nobody owns it. */
const SIGNING_REQUESTS: Readonly<Record<string, FieldFilter>> = { '': excludeFields('spec', 'status'), status: excludeFields('spec', 'status.conditions', 'metadata.deletionTimestamp') };

/** Leaves out what the endpoint resets: nobody comes to own a field by a write that has no effect on it. */
function filterOf(ctx: RequestContext, subresource: string): FieldFilter | undefined {
  const special = ctx.served.info.plural === 'certificatesigningrequests' ? SIGNING_REQUESTS[subresource] : undefined;
  if (special) return special;
  // Of a custom resource the status endpoint writes the status alone.
  if (subresource === 'status' && !ctx.served.codec.structType) return CUSTOM_STATUS;
  if (subresource === 'status') return excludeFields('spec', 'metadata.deletionTimestamp', ...statusKeeps(ctx.served.info).map((field) => `metadata.${field}`));
  if (subresource !== '') return BY_SUBRESOURCE[subresource];
  return hasStatus(ctx.served.info) ? WITHOUT_STATUS : undefined;
}

/** The kind that is written, where it is not the resource's own: a Scale. */
export interface WrittenKind {
  readonly expected: ExpectedKind;
  readonly codec: Pick<ResourceCodec, 'structType' | 'decode' | 'apply'>;
}
function management(ctx: RequestContext, manager: string, subresource: string, { expected, codec }: WrittenKind = { expected: ctx.served.info, codec: ctx.served.codec }): FieldManagement {
  return {
    ...codec.apply,
    apiVersion: apiVersionOf(expected.group, expected.version),
    kind: expected.kind,
    subresource,
    manager,
    now: ctx.services.clock.now(),
    filter: filterOf(ctx, subresource),
  };
}

export interface TrackArgs {
  readonly live: KubeObject | undefined;
  readonly draft: Draft<KubeObject>;
  /** The `fieldManager` parameter; '' for none. */
  readonly fieldManager: string;
  readonly subresource: string;
  readonly written?: WrittenKind | undefined;
}
/** Books what the draft changes on the request's manager: sets `metadata.managedFields`. */
export function trackFields(ctx: RequestContext, args: TrackArgs): void {
  const manager = managerName(args.fieldManager, ctx.request.auth.header('user-agent'));
  const { codec } = args.written ?? ctx.served;
  const draft = args.draft as KubeObject;
  const entries = updateManagedFields(printed(args.live, codec), withEmpties(printed(draft, codec), draft), management(ctx, manager, args.subresource, args.written));
  if (entries) args.draft.metadata.managedFields = entries as Draft<typeof entries>;
  else delete args.draft.metadata.managedFields;
}

/** Nobody comes to own a list by leaving it out: what is empty counts as the release prints it. */
function printed<T extends KubeObject | undefined>(object: T, { structType }: Pick<ResourceCodec, 'structType'>): T {
  return object && structType ? printedObject(object, structType) : object;
}

export interface ApplyArgs {
  readonly live: KubeObject | undefined;
  readonly patch: unknown;
  readonly options: WriteOptions;
  readonly subresource: string;
  readonly written?: WrittenKind | undefined;
}
/** The object after a server-side apply, typed and defaulted, with its managed fields. */
export function applyFields(ctx: RequestContext, args: ApplyArgs): Draft<KubeObject> {
  const { options } = args;
  const applied = applyPatch(printed(args.live, (args.written ?? ctx.served).codec), args.patch, { ...management(ctx, options.fieldManager, args.subresource, args.written), force: options.force });
  let decoded;
  try {
    decoded = (args.written ?? ctx.served).codec.decode(applied.object);
  } catch (err) {
    throw badRequest(err instanceof Error ? err.message : String(err));
  }
  const draft = decoded.object;
  if (!draft.metadata.name) draft.metadata.name = ctx.name;
  // Decoding copied the entries: the very list of the live object says that nothing changed hands.
  if (applied.object.metadata.managedFields) draft.metadata.managedFields = applied.object.metadata.managedFields as Draft<typeof applied.object.metadata.managedFields>;
  return draft;
}

/** Whether two states differ in nothing but the times of their managed fields: such a write is none. */
export function sameButTimes(a: KubeObject, b: KubeObject): boolean {
  if (!equalButForTimes(a.metadata.managedFields, b.metadata.managedFields)) return false;
  return jsonEqual(withoutManagers(a), withoutManagers(b));
}
function withoutManagers(object: KubeObject): JsonObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata } as unknown as JsonObject;
}
