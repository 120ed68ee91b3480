/**
 * The OpenAPI documents of the API server: v2 as one document, v3 as an index and one document for each group's version.
 * Built from the schema graph and the resource table; custom resources come in with their own schemas.
 */
import { createHash } from 'node:crypto';
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { addCustomKind, customName } from './openapi/custom-kind.ts';
import { DefinitionSet, metaType, type Describe, type Dialect, type Json } from './openapi/definitions.ts';
import { groupVersionPath, resourcePaths, tagOf, type Operation, type Parameter, type PathItem, type Payload } from './openapi/operations.ts';

export { encodeOpenApiV2, OPENAPI_V2_PROTOBUF, OPENAPI_V2_PROTOBUF_ANSWER } from './openapi/v2-protobuf.ts';
export { clientDescriptions } from './openapi/descriptions.ts';
export type { Describe, Json } from './openapi/definitions.ts';

/** A resource that a CustomResourceDefinition defines. */
export interface CustomKind {
  readonly resource: ResourceInfo;
  /** `openAPIV3Schema` of the version, without `apiVersion`, `kind` and `metadata`. */
  readonly schema: Json;
}
export interface OpenApiOptions {
  /** `v1.36.0` */
  readonly version: string;
  /** The built-in resources that are served. Default: those that are by default. */
  readonly resources?: readonly ResourceInfo[];
  readonly custom?: readonly CustomKind[];
  readonly describe?: Describe;
}

const MEDIA_TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
/** Custom resources have no protobuf. */
const CUSTOM_MEDIA_TYPES = ['application/json', 'application/yaml'];
const WATCH_MEDIA_TYPES = ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'];
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
const PATCH_MEDIA_TYPES = ['application/json-patch+json', 'application/merge-patch+json', STRATEGIC_PATCH, 'application/apply-patch+yaml'];
const CODE_TEXTS: Readonly<Record<number, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted', 401: 'Unauthorized' };
const SECURITY = { BearerToken: { description: 'Bearer Token authentication', in: 'header', name: 'authorization', type: 'apiKey' } } as const;

/** Paths of the server that belong to no group, by the keys of their v3 documents. */
const SERVER_PATHS: Readonly<Record<string, { readonly tag: string; readonly description: string; readonly id: string; readonly mediaType: string }>> = {
  '.well-known/openid-configuration': { tag: 'WellKnown', description: 'get the OpenID configuration of the issuer of service account tokens', id: 'getServiceAccountIssuerOpenIDConfiguration', mediaType: 'application/json' },
  'openid/v1/jwks': { tag: 'openid', description: 'get the public keys of the issuer of service account tokens', id: 'getServiceAccountIssuerOpenIDKeyset', mediaType: 'application/jwk-set+json' },
  version: { tag: 'version', description: 'get the version of this server', id: 'getCodeVersion', mediaType: 'application/json' },
};

class DocumentBuilder {
  readonly definitions: DefinitionSet;
  readonly paths: Record<string, Json> = {};
  readonly #dialect: Dialect;
  readonly #custom = new Set<string>();

  constructor(dialect: Dialect, describe: Describe | undefined) {
    this.#dialect = dialect;
    this.definitions = new DefinitionSet(dialect, describe);
  }

  addResource(resource: ResourceInfo, isCustom = false): void {
    for (const item of resourcePaths(resource, isCustom)) this.paths[item.path] = this.#pathItem(item, tagOf(resource.group, resource.version));
  }
  addCustom({ resource, schema }: CustomKind): void {
    const { group, version, kind, listKind } = resource;
    const gvk = { group, version, kind };
    this.#custom.add(customName(gvk)).add(customName({ ...gvk, kind: listKind }));
    addCustomKind(this.definitions, this.#dialect, gvk, listKind, resource.plural, schema);
    this.addResource(resource, true);
  }
  /** Discovery's own paths of a group's version. */
  addDiscovery(path: string, tag: string, description: string, id: string, response: 'APIResourceList' | 'APIGroup' | 'APIGroupList' | 'APIVersions'): void {
    const schema = this.definitions.struct(metaType(response));
    this.paths[path] = { get: this.#wrap({ description, operationId: id, tags: [tag] }, [], undefined, undefined, [200], schema, MEDIA_TYPES, MEDIA_TYPES) };
  }
  /** A path of the server itself, by its key. */
  addServerPath(key: string): void {
    const { tag, description, id, mediaType } = SERVER_PATHS[key]!;
    const schema = key === 'version' ? this.definitions.version() : { type: 'string' };
    this.paths[`/${key}/`] = { get: this.#wrap({ description, operationId: id, tags: [tag] }, [], undefined, undefined, [200], schema, ['application/json'], [mediaType]) };
  }

  #payload(payload: Payload): Json {
    if (payload === 'text') return { type: 'string' };
    if ('meta' in payload && payload.meta === 'Patch') return this.definitions.add('io.k8s.apimachinery.pkg.apis.meta.v1.Patch', { type: 'object' });
    if ('meta' in payload) return this.definitions.struct(metaType(payload.meta));
    const { group, version, kind } = payload.kind;
    if (this.#custom.has(customName(payload.kind))) return this.definitions.refTo(customName(payload.kind));
    const type = structByKind(group, version, kind);
    return type ? this.definitions.struct(type) : { type: 'object' };
  }
  #pathItem(item: PathItem, tag: string): Json {
    const out: Record<string, unknown> = {};
    for (const operation of item.operations) out[operation.method] = this.#operation(operation, tag);
    out['parameters'] = item.parameters.map((p) => this.#parameter(p));
    return out;
  }
  #parameter(p: Parameter): Json {
    const head = { in: p.in, name: p.name, ...(p.in === 'path' ? { required: true } : {}) };
    const type = p.type === 'array' ? { type: 'array', items: { type: 'string' } } : { type: p.type };
    return this.#dialect === 'v2' ? { ...head, ...type, uniqueItems: true } : { ...head, schema: { ...type, uniqueItems: true } };
  }
  #operation(operation: Operation, tag: string): Json {
    const { group, version, kind } = operation.gvk;
    const head = {
      description: operation.description, operationId: operation.id, tags: [tag], 'x-kubernetes-action': operation.action, 'x-kubernetes-group-version-kind': { group, kind, version },
    };
    // Clients choose the kind of patch by this list: custom resources have no strategic merge.
    const isCustom = this.#custom.has(customName(operation.gvk));
    const patches = isCustom ? PATCH_MEDIA_TYPES.filter((type) => type !== STRATEGIC_PATCH) : PATCH_MEDIA_TYPES;
    const consumes = operation.action === 'patch' ? patches : isCustom ? CUSTOM_MEDIA_TYPES : ['*/*'];
    const produces = isCustom ? CUSTOM_MEDIA_TYPES : operation.response === 'text' ? (operation.action === 'connect' ? ['*/*'] : ['text/plain', ...MEDIA_TYPES]) : operation.watches ? [...MEDIA_TYPES, ...WATCH_MEDIA_TYPES] : MEDIA_TYPES;
    return this.#wrap(head, operation.parameters, operation.body && this.#payload(operation.body), operation.bodyRequired, operation.codes, this.#payload(operation.response), consumes, produces);
  }

  #wrap(head: Json, parameters: readonly Parameter[], body: Json | undefined, bodyRequired: boolean | undefined, codes: readonly number[], response: Json, consumes: readonly string[], produces: readonly string[]): Json {
    const shown = parameters.map((p) => this.#parameter(p));
    const responses = (content: Json): Json => Object.fromEntries([...codes.map((code) => [String(code), { description: CODE_TEXTS[code], ...content }]), ['401', { description: CODE_TEXTS[401] }]] as [string, Json][]);
    const required = bodyRequired ? { required: true } : {};
    if (this.#dialect === 'v2') {
      const all = body ? [...shown, { in: 'body', name: 'body', ...required, schema: body }] : shown;
      return { ...head, consumes, produces, schemes: ['https'], ...(all.length ? { parameters: all } : {}), responses: responses({ schema: response }) };
    }
    const content = (types: readonly string[], schema: Json): Json => ({ content: Object.fromEntries(types.map((type) => [type, { schema }])) });
    return {
      ...head, ...(shown.length ? { parameters: shown } : {}),
      ...(body ? { requestBody: { ...content(consumes, body), ...required } } : {}),
      responses: responses(content(produces, response)),
    };
  }
}

function sorted(paths: Readonly<Record<string, Json>>): Record<string, Json> {
  return Object.fromEntries(Object.entries(paths).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
function addDiscoveryOf(builder: DocumentBuilder, group: string, version: string): void {
  const tag = tagOf(group, version);
  builder.addDiscovery(`${groupVersionPath(group, version)}/`, tag, 'get available resources', `get${tag.replace(/^./, (c) => c.toUpperCase()).replace('_v', 'V')}APIResources`, 'APIResourceList');
}
/** The paths that list groups: one of the core group, one of all, and one for each. Documents of their own in v3, named by the key. */
function addDiscoveryOfGroup(builder: DocumentBuilder, key: string): void {
  if (key === 'api') return builder.addDiscovery('/api/', 'core', 'get available API versions', 'getCoreAPIVersions', 'APIVersions');
  if (key === 'apis') return builder.addDiscovery('/apis/', 'apis', 'get available API versions', 'getAPIVersions', 'APIGroupList');
  const tag = tagOf(key.slice('apis/'.length), '').replace(/_$/, '');
  builder.addDiscovery(`/${key}/`, tag, 'get information of a group', `get${tag.replace(/^./, (c) => c.toUpperCase())}APIGroup`, 'APIGroup');
}
/** Keys of the documents that {@link addDiscoveryOfGroup} fills. */
function groupKeys(resources: readonly ResourceInfo[]): string[] {
  return ['api', 'apis', ...new Set(resources.flatMap((r) => (r.group === '' ? [] : [`apis/${r.group}`])))];
}

/** The v2 document, `GET /openapi/v2`. Building it takes tens of milliseconds: keep it until the custom resources change. */
export function buildOpenApiV2(options: OpenApiOptions): Json {
  const builder = new DocumentBuilder('v2', options.describe);
  const builtin = options.resources ?? RESOURCES;
  for (const resource of builtin) builder.addResource(resource);
  for (const custom of options.custom ?? []) builder.addCustom(custom);
  for (const { group, version } of builtin) addDiscoveryOf(builder, group, version);
  for (const key of groupKeys(builtin)) addDiscoveryOfGroup(builder, key);
  for (const key of Object.keys(SERVER_PATHS)) builder.addServerPath(key);
  builder.definitions.struct(metaType('WatchEvent'));
  return {
    swagger: '2.0', info: { title: 'Kubernetes', version: options.version }, paths: sorted(builder.paths), definitions: builder.definitions.all(), securityDefinitions: SECURITY, security: [{ BearerToken: [] }],
  };
}

/** Keys of the v3 documents: `api/v1`, `apis/apps/v1`, and those that hold no resources: `apis/apps`, `version`. */
export function openApiV3Keys(options: Pick<OpenApiOptions, 'resources' | 'custom'>): string[] {
  const builtin = options.resources ?? RESOURCES;
  const resources = [...builtin, ...(options.custom ?? []).map((c) => c.resource)];
  return [...new Set([...resources.map((r) => groupVersionPath(r.group, r.version).slice(1)), ...groupKeys(builtin), ...Object.keys(SERVER_PATHS)])].toSorted();
}

/** A v3 document, `GET /openapi/v3/apis/apps/v1`; undefined where nothing is served. */
export function buildOpenApiV3(key: string, options: OpenApiOptions): Json | undefined {
  const builder = new DocumentBuilder('v3', options.describe);
  const document = (): Json => ({
    openapi: '3.0.0', info: { title: 'Kubernetes', version: options.version }, paths: sorted(builder.paths), components: { schemas: builder.definitions.all(), securitySchemes: SECURITY },
  });
  if (key in SERVER_PATHS) {
    builder.addServerPath(key);
    return document();
  }
  if (groupKeys(options.resources ?? RESOURCES).includes(key)) {
    addDiscoveryOfGroup(builder, key);
    return document();
  }
  const isHere = (r: ResourceInfo): boolean => groupVersionPath(r.group, r.version) === `/${key}`;
  const resources = (options.resources ?? RESOURCES).filter(isHere);
  const custom = (options.custom ?? []).filter((c) => isHere(c.resource));
  if (resources.length === 0 && custom.length === 0) return undefined;
  for (const resource of resources) builder.addResource(resource);
  for (const kind of custom) builder.addCustom(kind);
  if (resources[0]) addDiscoveryOf(builder, resources[0].group, resources[0].version);
  if (resources.some((r) => r.verbs.includes('watch'))) builder.definitions.struct(metaType('WatchEvent'));
  return document();
}

/** The hash in a v3 document's address: clients keep the document as long as it stays the same. */
export function openApiHash(document: string | Buffer): string {
  return createHash('sha512').update(document).digest('hex').toUpperCase();
}

/** The v3 index, `GET /openapi/v3`, of documents by key with the hash of their JSON text. */
export function openApiV3Index(hashes: ReadonlyMap<string, string>): Json {
  return { paths: Object.fromEntries([...hashes].map(([key, hash]) => [key, { serverRelativeURL: `/openapi/v3/${key}?hash=${hash}` }])) };
}
