/**
 * Patches an object in one of four ways: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch and
 * server-side apply. Upstream's patch handler. A lost race is tried again; a patch that names a resourceVersion is not.
 */
import { apiVersionOf, splitApiVersion, type KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, invalidValue } from '#machinery/field-errors.ts';
import { readTypeMeta, strictMessages, strictReason } from '#machinery/decode.ts';
import { goPrint } from '#machinery/go-text.ts';
import { checkDepth, hasRepeatedKeys, parseJson } from '#machinery/json.ts';
import { printedObject } from '#machinery/object-text.ts';
import { applyJsonPatch, unknownJsonPatchFields } from '#machinery/patch/json-patch.ts';
import { applyMergePatch } from '#machinery/patch/merge-patch.ts';
import { applyStrategicMergePatch } from '#machinery/patch/strategic-merge.ts';
import { badRequest, StatusError } from '#machinery/status-error.ts';
import { parseYaml, yamlStrictMessage } from '#machinery/yaml.ts';
import type { RequestContext } from '../context.ts';
import type { ApiRequest, ObjectResult, RequestBody } from '../request.ts';
import { routerRefusal } from '../generic-errors.ts';
import { kindMismatch, unknownFormat } from './body.ts';
import { applyFields, type WrittenKind } from './managed-fields.ts';
import { checkName } from './object-meta.ts';
import { writeOptions, type WriteOptions } from './options.ts';
import type { ResourceCodec } from './resource-registry.ts';
import { updateObject, type ObjectView } from './update.ts';

export const JSON_PATCH = 'application/json-patch+json';
export const MERGE_PATCH = 'application/merge-patch+json';
export const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
export const APPLY_PATCH = 'application/apply-patch+yaml';

/** A patch that was read: how it changes an object of the wire. */
export interface ReadPatch {
  readonly type: string;
  readonly value: unknown;
  /** Complaints about the patch itself in strict decoding. */
  readonly strict: readonly string[];
}

export function patchTypes(codec: Pick<ResourceCodec, 'structType'>): readonly string[] {
  return [JSON_PATCH, MERGE_PATCH, ...(codec.structType ? [STRATEGIC_PATCH] : []), APPLY_PATCH];
}

/** Refuses a media type that is no patch of this resource: before anything else is looked at. */
export function checkPatchType(request: ApiRequest, codec: Pick<ResourceCodec, 'structType'>): string {
  const types = patchTypes(codec);
  // Routes of built-in kinds are looked up by media type; custom resources have handlers of their own.
  if (!types.includes(request.contentType)) throw codec.structType ? routerRefusal('UnsupportedMediaType', '415: Unsupported Media Type') : unknownFormat(types);
  return request.contentType;
}

async function readPatch(ctx: RequestContext, type: string, options: WriteOptions): Promise<ReadPatch> {
  const body = await ctx.request.readBody();
  const prefix = type === STRATEGIC_PATCH ? '' : 'error decoding patch: ';
  if (!body || (body.kind === 'bytes' && body.bytes.length === 0)) {
    if (type === APPLY_PATCH) return { type, value: {}, strict: [] };
    throw badRequest(`${prefix}unexpected end of JSON input`);
  }
  const value = body.kind === 'value' ? body.value : type === APPLY_PATCH ? parseApply(body) : parsePatchJson(body, prefix);
  if (type !== JSON_PATCH && (value === null || typeof value !== 'object' || Array.isArray(value))) {
    const why = `json: cannot unmarshal ${Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value} into Go value of type map[string]interface {}`;
    throw badRequest(type === APPLY_PATCH ? `error decoding YAML: error unmarshaling JSON: while decoding JSON: ${why}` : `${prefix}${why}`);
  }
  if (type === JSON_PATCH) return { type, value, strict: unknownJsonPatchFields(value) };
  const text = body.kind === 'bytes' && options.fieldValidation !== 'Ignore' ? body.bytes.toString('utf8') : undefined;
  if (type !== APPLY_PATCH) return { type, value, strict: text !== undefined && hasRepeatedKeys(text, value) ? strictMessages([], text) : [] };
  const repeated = text === undefined ? undefined : yamlStrictMessage(text);
  if (repeated !== undefined) {
    const why = `error converting YAML to JSON: ${repeated}`;
    if (options.fieldValidation === 'Strict') throw badRequest(`error strict decoding YAML: ${why}`);
    ctx.warn(why);
  }
  return { type, value, strict: [] };
}
function parsePatchJson(body: Extract<RequestBody, { kind: 'bytes' }>, prefix: string): unknown {
  const text = body.bytes.toString('utf8');
  try {
    const value = parseJson(text);
    checkDepth(value);
    return value;
  } catch (err) {
    throw badRequest(`${prefix}${err instanceof Error ? err.message : String(err)}`);
  }
}
function parseApply(body: Extract<RequestBody, { kind: 'bytes' }>): unknown {
  try {
    return parseYaml(body.bytes.toString('utf8'));
  } catch (err) {
    throw badRequest(`error decoding YAML: error converting YAML to JSON: ${err instanceof Error ? err.message : String(err)}`);
  }
}

/** The patched object, typed again; the argument stays as it is. */
function patched(ctx: RequestContext, patch: ReadPatch, object: KubeObject, target: WrittenKind, options: WriteOptions): Draft<KubeObject> {
  const value = applyByType(patch, object, target);
  // Of a strategic patch the map is shown; of others the text of what came out, which went through a map: its keys are sorted.
  const shown = () => (patch.type === STRATEGIC_PATCH ? goPrint(patch.value) : JSON.stringify(Object.fromEntries(Object.entries(value as object).toSorted(([a], [b]) => (a < b ? -1 : 1)))));
  const refuse = (why: string) => refusedPatch(shown(), why);
  let decoded;
  try {
    decoded = target.codec.decode(sameKind(patch, value, target));
  } catch (err) {
    throw refuse(err instanceof Error ? err.message : String(err));
  }
  const strict = [...patch.strict, ...decoded.strict];
  if (strict.length && options.fieldValidation === 'Strict') throw refuse(strictReason(strict));
  if (options.fieldValidation === 'Warn') for (const complaint of strict) ctx.warn(complaint);
  return decoded.object;
}
/** A strategic patch cannot change what kind the object is; other patches that would are refused. */
function sameKind(patch: ReadPatch, value: unknown, { expected }: WrittenKind): unknown {
  const own = apiVersionOf(expected.group, expected.version);
  const { apiVersion, kind } = readTypeMeta(value);
  if (apiVersion === own && kind === expected.kind) return value;
  if (patch.type === STRATEGIC_PATCH) return { ...(value as object), kind: expected.kind, apiVersion: own };
  const mismatch = kindMismatch({ ...splitApiVersion(apiVersion || own), kind: kind || expected.kind }, expected);
  if (mismatch !== undefined) throw new Error(mismatch);
  if (apiVersion !== '' && apiVersion !== own) throw new Error(`the API version in the data (${apiVersion}) does not match the expected API version (${own})`);
  return { ...(value as object), kind: expected.kind, apiVersion: own };
}
/** 422 about no kind in particular, as upstream's handler words it. */
function refusedPatch(shown: string, why: string): StatusError {
  const { type: reason, field, body: message } = invalidValue(fieldPath('patch'), shown, why);
  return new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: ` "" is invalid: ${field}: ${message}`, reason: 'Invalid', details: { causes: [{ reason, message, field }] }, code: 422 });
}
function applyByType(patch: ReadPatch, object: KubeObject, target: WrittenKind): unknown {
  const printed = printedObject(object);
  switch (patch.type) {
    case JSON_PATCH:
      return applyJsonPatch(printed, patch.value);
    case MERGE_PATCH:
      return applyMergePatch(printed, patch.value);
    default:
      return applyStrategicMergePatch(printed, patch.value, target.codec.structType!);
  }
}

function notConverted(value: unknown, { expected }: WrittenKind): StatusError {
  const { name = '', namespace = '' } = (value as Partial<KubeObject>).metadata ?? {};
  const apiVersion = apiVersionOf(expected.group, expected.version);
  return badRequest(`failed to convert new object (${namespace}/${name}; ${apiVersion}, Kind=${expected.kind}) to proper version: request to convert CR to an invalid group/version: ${apiVersion}`);
}

/** PATCH of a resource, of a subresource that is the object itself, or of one that shows the object through a view. */
export async function patchObject(ctx: RequestContext, subresource: string, view?: ObjectView): Promise<ObjectResult> {
  const { served, request } = ctx;
  const target: WrittenKind = view ?? { expected: served.info, codec: served.codec };
  const type = checkPatchType(request, target.codec);
  const apply = type === APPLY_PATCH;
  const options = writeOptions(request.query, 'PatchOptions', apply);
  const patch = await readPatch(ctx, type, options);
  return updateObject(ctx, {
    name: ctx.name,
    options,
    optionsKind: 'PatchOptions',
    subresource,
    allowCreate: apply && subresource === '',
    applied: apply,
    view,
    source: (existing) => {
      const draft = apply ? applyFields(ctx, { live: existing, patch: patch.value, options, subresource, written: view }) : patched(ctx, patch, existing!, target, options);
      if (apply && view?.refusesApply) throw notConverted(patch.value, target);
      checkName(draft, ctx.name, ctx.namespace);
      return draft;
    },
  });
}
