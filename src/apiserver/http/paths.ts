/** What is served outside of the resources: discovery, OpenAPI, version, health and metrics. */
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import { PageNotFound, verbNotAllowed } from '../generic-errors.ts';
import type { PathHandler } from '../pipeline.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import type { ApiRequest, ApiResult, RawResult } from '../request.ts';
import { Discovery, type AggregatedVersion } from './discovery.ts';
import { HealthMetrics } from './health-metrics.ts';
import { answerHealth, ENDPOINTS, type HealthCheck, type HealthEndpoint } from './health.ts';
import type { ServerMetrics } from './metrics.ts';
import { parseAccept } from './negotiation.ts';
import { flagPage, type FlagValues } from './flagz.ts';
import { statusPage, type ServerStatus } from './statusz.ts';
import { answerZPage } from './zpage.ts';
import type { OpenApiPaths } from './openapi-paths.ts';

export interface VersionInfo {
  readonly major: string;
  readonly minor: string;
  /** The release whose behaviour is shown, and the oldest one that works beside it (KEP-4330). */
  readonly emulationMajor: string;
  readonly emulationMinor: string;
  readonly minCompatibilityMajor: string;
  readonly minCompatibilityMinor: string;
  readonly gitVersion: string;
  readonly gitCommit: string;
  readonly gitTreeState: string;
  readonly buildDate: string;
  readonly goVersion: string;
  readonly compiler: string;
  readonly platform: string;
}
export interface PathOptions {
  readonly resources: ResourceRegistry;
  readonly serverAddress: () => string;
  readonly version: VersionInfo;
  readonly health: Readonly<Record<HealthEndpoint, () => readonly HealthCheck[]>>;
  readonly metrics: ServerMetrics;
  readonly flags: FlagValues;
  readonly openapi: OpenApiPaths;
  readonly clock: Pick<Clock, 'now'>;
  /** More paths of the cluster's own: an exact path or, with a trailing slash, a prefix. */
  readonly extra?: ReadonlyMap<string, PathHandler> | undefined;
}

export function rawText(code: number, text: string, contentType = 'text/plain; charset=utf-8'): RawResult {
  return { kind: 'raw', code, headers: { 'content-type': contentType, 'x-content-type-options': 'nosniff' }, body: Buffer.from(text) };
}
/** What is no page of words: nothing is said about guessing its type. */
function rawDocument(text: string, contentType: string): RawResult {
  return { kind: 'raw', code: 200, headers: { 'content-type': contentType }, body: Buffer.from(text) };
}
/** Paths whose handlers take GET alone; the others answer whatever they are asked by. */
function takesGetAlone(discovery: Discovery, head: string, rest: readonly string[]): boolean {
  return (head === 'api' && rest.length < 2) || (head === 'apis' && rest.length === 2 && discovery.resourceList(rest[0]!, rest[1]!) !== undefined) || (head === 'version' && rest.length === 0) || ['openid', '.well-known'].includes(head);
}
const object = (value: object | undefined): ApiResult | undefined => (value ? { kind: 'object', code: 200, object: value as KubeObject } : undefined);

export function pathHandler(options: PathOptions): PathHandler {
  const discovery = new Discovery(options.resources, options.serverAddress);
  const slis = new HealthMetrics();
  const startedAt = options.clock.now();
  return (request, user) => {
    const { path } = request.info;
    const [head = '', ...rest] = path.split('/').filter((part) => part !== '');
    if (takesGetAlone(discovery, head, rest) && request.method !== 'GET') throw verbNotAllowed();
    switch (head) {
      case '':
        return rawDocument(JSON.stringify({ paths: rootPaths(options, discovery) }, null, 2), 'application/json');
      case 'api':
      case 'apis':
        return answerDiscovery(discovery, head === 'api', rest, request);
      case 'version':
        return rest.length ? undefined : rawDocument(`${JSON.stringify(options.version, null, 2)}`, 'application/json');
      case 'healthz':
      case 'livez':
      case 'readyz':
        return path.endsWith('/') ? undefined : health(options, slis, head, rest.join('/'), request);
      case 'metrics':
        if (rest.length === 0) return options.metrics.text().then((text) => rawDocument(text, options.metrics.registry.contentType));
        return rest.join('/') === 'slis' ? slis.registry.metrics().then((text) => rawDocument(text, slis.registry.contentType)) : undefined;
      case 'statusz':
        return rest.length ? undefined : answerZPage(request.auth.header('accept'), statusPage(statusOf(options, startedAt)));
      case 'flagz':
        return rest.length ? undefined : answerZPage(request.auth.header('accept'), flagPage(options.flags));
      case 'openapi':
        return options.openapi.answer(rest, request);
      default:
        return extraPath(options, path)?.(request, user);
    }
  };
}

function statusOf({ clock, version: v }: PathOptions, startedAt: number): ServerStatus {
  const paths = ['/flagz', ...ENDPOINTS.map((e) => `/${e}`), '/metrics', '/statusz', '/version'].toSorted();
  return { startedAt, now: clock.now(), goVersion: v.goVersion, binaryVersion: `${v.major}.${v.minor}`, emulationVersion: `${v.emulationMajor}.${v.emulationMinor}`, paths };
}

function extraPath(options: PathOptions, path: string): PathHandler | undefined {
  if (!options.extra) return undefined;
  const exact = options.extra.get(path);
  if (exact) return exact;
  for (const [prefix, handler] of options.extra) if (prefix.endsWith('/') && path.startsWith(prefix)) return handler;
  return undefined;
}

async function health(options: PathOptions, slis: HealthMetrics, endpoint: HealthEndpoint, name: string, request: ApiRequest): Promise<ApiResult | undefined> {
  const answer = await answerHealth(endpoint, name, request.query, options.health[endpoint](), (...check) => slis.observe(...check));
  if (!answer) throw new PageNotFound();
  return name !== '' && answer.code === 200 ? rawDocument(answer.text, 'text/plain; charset=utf-8') : rawText(answer.code, answer.text);
}

function answerDiscovery(discovery: Discovery, core: boolean, rest: readonly string[], request: ApiRequest): ApiResult | undefined {
  if (rest.length === 0) {
    const version = aggregatedVersion(request.auth.header('accept'));
    if (version) return aggregated(discovery, core, version, request);
    return object(core ? discovery.coreVersions() : discovery.groupList());
  }
  if (core) return rest.length === 1 ? object(discovery.resourceList('', rest[0]!)) : undefined;
  if (rest.length === 1) return object(discovery.group(rest[0]!));
  return rest.length === 2 ? object(discovery.resourceList(rest[0]!, rest[1]!)) : undefined;
}

/** The aggregated form when a clause asks for it before one that takes plain JSON. */
export function aggregatedVersion(accept: string | undefined): AggregatedVersion | undefined {
  for (const { type, parameters } of accept === undefined ? [] : parseAccept(accept)) {
    if (type !== 'application/json') {
      if (type === '*/*' || type === 'application/*') return undefined;
      continue;
    }
    const version = parameters.get('v');
    const wanted = parameters.get('g') === 'apidiscovery.k8s.io' && parameters.get('as') === 'APIGroupDiscoveryList';
    if (wanted && (version === 'v2' || version === 'v2beta1')) return version;
    if (!parameters.has('as')) return undefined;
  }
  return undefined;
}
function aggregated(discovery: Discovery, core: boolean, version: AggregatedVersion, request: ApiRequest): RawResult {
  const { body, etag } = discovery.aggregated(core, version);
  const headers = { 'content-type': `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`, etag, vary: 'Accept' };
  if (request.auth.header('if-none-match') === etag) return { kind: 'raw', code: 304, headers: { etag, vary: 'Accept' }, body: Buffer.alloc(0) };
  return { kind: 'raw', code: 200, headers, body };
}

function rootPaths(options: PathOptions, discovery: Discovery): readonly string[] {
  const groups = discovery.groupList().groups.flatMap((g) => [`/apis/${g.name}`, ...g.versions.map((v) => `/apis/${v.groupVersion}`)]);
  const checks = ENDPOINTS.flatMap((e) => [`/${e}`, ...options.health[e]().map((c) => `/${e}/${c.name}`)]);
  return ['/api', '/api/v1', '/apis', ...groups, ...checks, '/flagz', '/metrics', '/metrics/slis', '/openapi/v2', '/openapi/v3', '/statusz', '/version'].toSorted();
}
