/** From a request's body to an object of the kind that is expected: upstream's `negotiate input serializer` and decoders. */
import { apiVersionOf, splitApiVersion, type KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, invalidValue } from '#machinery/field-errors.ts';
import { badRequest, invalid, unsupportedMediaType } from '#machinery/status-error.ts';
import { cannotHandle, decodeInto, readTypeMeta, strictReason } from '#machinery/decode.ts';
import { goQuote } from '#machinery/go-text.ts';
import { checkDepth, hasRepeatedKeys, parseJson as parseJsonText } from '#machinery/json.ts';
import { decodeObject } from '#machinery/protobuf.ts';
import { parseYaml, yamlStrictMessage } from '#machinery/yaml.ts';
import type { RequestContext } from '../context.ts';
import type { RequestBody } from '../request.ts';
import type { FieldValidation } from './options.ts';
import type { ResourceCodec } from './resource-registry.ts';
import { forgetEmpties } from './spelled-out.ts';

export const JSON_TYPE = 'application/json';
export const YAML_TYPE = 'application/yaml';
export const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';
const ACCEPTED = [JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE];

export interface ExpectedKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}
/** A body as a JSON value, with the text that shows what the value no longer does: repeated fields. */
export interface RawBody {
  readonly value: unknown;
  /** Undefined for JSON in which no key is repeated. */
  readonly text?: string | undefined;
  /** {@link text} is YAML. */
  readonly yaml?: boolean | undefined;
}

/** Message of a 415. */
export function unknownFormat(accepted: readonly string[]): Error {
  return unsupportedMediaType(`the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`);
}

/** The bytes a person would need to see to know what was sent: upstream's `summarizeData`. */
function summary(bytes: Buffer): string {
  if (bytes.length === 0) return '<empty>';
  const cut = bytes.length > 30 ? ' ...' : '';
  const head = bytes.subarray(0, 30);
  return bytes[0] === 0x7b ? head.toString('latin1') + cut : head.toString('hex') + cut;
}

function unrecognized(expected: ExpectedKind, why: string, bytes: Buffer): Error {
  return badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summary(bytes)})`);
}

/** The body's JSON value. `expected` names the kind for messages. */
export function parseBody(body: RequestBody, expected: ExpectedKind): RawBody {
  if (body.kind === 'value') return { value: body.value };
  const { bytes, mediaType } = body;
  switch (mediaType === '' ? JSON_TYPE : mediaType) {
    case JSON_TYPE:
      return parseJson(bytes, expected);
    case YAML_TYPE:
    case 'application/yml':
    case 'text/yaml':
      return parseYamlBody(bytes, expected);
    case PROTOBUF_TYPE:
      return parseProtobuf(bytes, expected);
    default:
      throw unknownFormat(ACCEPTED);
  }
}

function parseJson(bytes: Buffer, expected: ExpectedKind): RawBody {
  const text = bytes.toString('utf8');
  try {
    const value = parseJsonText(text);
    checkDepth(value);
    return { value, text: hasRepeatedKeys(text, value) ? text : undefined };
  } catch (err) {
    throw unrecognized(expected, `couldn't get version/kind; json parse error: ${messageOf(err)}`, bytes);
  }
}
function parseYamlBody(bytes: Buffer, expected: ExpectedKind): RawBody {
  try {
    const text = bytes.toString('utf8');
    return { value: parseYaml(text), text, yaml: true };
  } catch (err) {
    throw unrecognized(expected, messageOf(err), bytes);
  }
}
function parseProtobuf(bytes: Buffer, expected: ExpectedKind): RawBody {
  try {
    return { value: decodeObject(bytes) };
  } catch (err) {
    throw unrecognized(expected, messageOf(err), bytes);
  }
}

export interface DecodeOptions {
  readonly expected: ExpectedKind;
  readonly codec: Pick<ResourceCodec, 'decode'>;
  readonly fieldValidation: FieldValidation;
  /** Another version of the same fields, which is taken as the expected one. JSON and YAML only. */
  readonly alias?: string;
}

/** The object of a create or PUT: checked for its kind, typed, defaulted by the schema, and private to the request. */
export function decodeBody(ctx: RequestContext, body: RequestBody | undefined, options: DecodeOptions): Draft<KubeObject> {
  const { expected } = options;
  const given = body ?? { kind: 'bytes', mediaType: '', bytes: Buffer.alloc(0) };
  const raw = parseBody(given, expected);
  const object = decodeValue(ctx, { ...raw, value: identify(ctx, raw.value, options, given) }, options);
  if (given.kind === 'value') forgetEmpties(object);
  ctx.request.decoded?.(() => {
    const copy = structuredClone(object) as Draft<KubeObject>;
    if (expected.kind === ctx.served.info.kind) ctx.served.strategy.default?.(copy);
    return copy;
  });
  return object;
}
const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));

/** `apiVersion` and `kind` must be those of the request; absent ones are taken from it. */
function identify(ctx: RequestContext, value: unknown, options: DecodeOptions, body: RequestBody): unknown {
  const { expected, alias } = options;
  const own = apiVersionOf(expected.group, expected.version);
  let meta;
  try {
    meta = readTypeMeta(value);
  } catch (err) {
    throw unrecognized(expected, messageOf(err), body.kind === 'bytes' ? body.bytes : Buffer.from(JSON.stringify(value)));
  }
  const { apiVersion, kind } = meta;
  if ((kind === '' || kind === expected.kind) && (apiVersion === '' || apiVersion === own)) {
    return kind !== '' && apiVersion !== '' ? value : { ...(value as object), kind: expected.kind, apiVersion: own };
  }
  if (alias !== undefined && kind === expected.kind && apiVersion === apiVersionOf(expected.group, alias)) return { ...(value as object), apiVersion: own };
  const { group, version } = splitApiVersion(apiVersion || own);
  // Of a custom resource the version is looked at first, and its kind is judged with the rest of it.
  const isCustom = !structByKind(expected.group, expected.version, expected.kind);
  if (isCustom && apiVersion !== '' && apiVersion !== own) {
    complain(ctx, unknownIn(value as object), options, { ...expected, version });
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${own})`);
  }
  if (isCustom) throw invalid({ group: expected.group, kind }, nameIn(value), [invalidValue(fieldPath('kind'), kind, `must be ${expected.kind}`)]);
  const mismatch = kindMismatch({ group, version, kind: kind || expected.kind }, expected);
  if (mismatch !== undefined) throw badRequest(cannotHandle(kind || expected.kind, version, expected.kind, mismatch));
  const data = apiVersionOf(group, version);
  throw badRequest(`the API version in the data (${data}) does not match the expected API version (${own})`);
}

/** What a custom resource holds that every kind has: of a version without a schema the rest is not known. */
function unknownIn(value: object): string[] {
  const { metadata } = value as { readonly metadata?: unknown };
  const inMetadata = typeof metadata === 'object' && metadata !== null ? decodeInto(structByKind('meta', 'v1', 'ObjectMeta')!, metadata).unknown : [];
  const others = Object.keys(value).filter((key) => !['apiVersion', 'kind', 'metadata'].includes(key)).toSorted();
  return [...inMetadata.map((path) => `metadata.${path}`), ...others].map((path) => `unknown field ${goQuote(path)}`);
}

const nameIn = (value: unknown): string => {
  const name = (value as { readonly metadata?: { readonly name?: unknown } | null }).metadata?.name;
  return typeof name === 'string' ? name : '';
};

/** What upstream's scheme says of an object that is not of the kind expected; undefined when it is, maybe in another version. */
export function kindMismatch({ group, version, kind }: ExpectedKind, expected: ExpectedKind): string | undefined {
  if (!structByKind(group, version, kind) && !(group === expected.group && version === expected.version && kind === expected.kind)) {
    return `no kind ${goQuote(kind)} is registered for version ${goQuote(apiVersionOf(group, version))} in scheme "pkg/api/legacyscheme/scheme.go:30"`;
  }
  if (kind === expected.kind) return undefined;
  return `converting (${version}.${kind}) to (${internalPackage(expected.group)}.${expected.kind}): unknown conversion`;
}
/** Go's package of the kinds of a group. */
export function internalPackage(group: string): string {
  return group.split('.', 1)[0] || 'core';
}

/** Types and defaults a JSON value; complaints of strict decoding become an error or warnings, as the request asks. */
export function decodeValue(ctx: RequestContext, raw: RawBody, options: DecodeOptions): Draft<KubeObject> {
  const { expected, codec, fieldValidation } = options;
  const text = fieldValidation === 'Ignore' ? undefined : raw.text;
  const refuse = (why: string) => badRequest(cannotHandle(expected.kind, expected.version, expected.kind, why));
  let decoded;
  try {
    decoded = codec.decode(raw.value, raw.yaml ? undefined : text);
  } catch (err) {
    throw refuse(messageOf(err));
  }
  const repeated = raw.yaml && text !== undefined ? yamlStrictMessage(text) : undefined;
  const strict = repeated === undefined ? decoded.strict : [repeated, ...decoded.strict];
  complain(ctx, strict, options, expected);
  return decoded.object;
}
/** Complaints of strict decoding as an error or as warnings, as the request asks. */
function complain(ctx: RequestContext, strict: readonly string[], { fieldValidation, expected }: DecodeOptions, given: ExpectedKind): void {
  if (strict.length && fieldValidation === 'Strict') throw badRequest(cannotHandle(expected.kind, given.version, expected.kind, strictReason(strict)));
  if (fieldValidation === 'Warn') for (const complaint of strict) ctx.warn(complaint);
}
