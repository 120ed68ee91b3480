/** The API server's metrics, under upstream's names. */
import { Counter, Gauge, Registry } from '#base/metrics.ts';
import type { RequestInfo } from '../interfaces.ts';
import type { VersionInfo } from './paths.ts';
import { Histograms } from './metric-families.ts';
import { labelText, metricBlock, RequestSeries, requestMetricsText } from './request-metrics.ts';
import { WatchSeries, watchMetricsText } from './watch-metrics.ts';

/** Upstream's scope label. */
export function scopeOf(info: RequestInfo): string {
  if (!info.isResourceRequest) return '';
  if (info.name !== '' || info.verb === 'create') return 'resource';
  return info.namespace === '' ? 'cluster' : 'namespace';
}
const KNOWN_VERBS: ReadonlySet<string> = new Set(['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']);
/** Labels are closed sets: what clients invent is counted as OTHER. */
function verbOf(info: RequestInfo): string {
  if (!info.isResourceRequest) return info.verb === 'get' || info.verb === 'head' ? 'GET' : 'OTHER';
  const verb = info.verb === 'create' ? 'POST' : info.verb === 'update' ? 'PUT' : info.verb;
  return KNOWN_VERBS.has(info.verb) ? verb.toUpperCase() : 'OTHER';
}

function seriesId(info: RequestInfo, known: boolean, dryRun: string): string {
  return known ? `${verbOf(info)} ${info.apiGroup}/${info.apiVersion}/${info.resource}/${info.subresource} ${scopeOf(info)} ${dryRun}` : `${verbOf(info)} ${scopeOf(info)} ${dryRun}`;
}

/** Clients that are counted apart, by the name before the slash in their `User-Agent`. */
const SYSTEM_CLIENTS: ReadonlySet<string> = new Set(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']);
function systemClientOf(userAgent: string | undefined): string {
  const slash = userAgent?.indexOf('/') ?? -1;
  const name = slash < 0 ? '' : userAgent!.slice(0, slash);
  return SYSTEM_CLIENTS.has(name) ? name : '';
}
/** The values of `dryRun`, of which there is one that is valid. */
function dryRunOf(values: readonly string[]): string {
  if (values.length === 0) return '';
  return values.every((value) => value === 'All') ? 'All' : 'invalid';
}
const HANDSHAKE_ERRORS = 'apiserver_tls_handshake_errors_total';
/** Every 100,000 from 50,000 to the largest body that is read. */
const BODY_BYTES = Array.from({ length: 31 }, (_, i) => 50_000 + i * 100_000);

/** What is counted of a request beyond its {@link RequestInfo}. */
export interface ObservedRequest {
  readonly info: RequestInfo;
  /** The resource that the path belongs to, where it is served; other paths share one label set. */
  readonly served: { readonly warnings?: readonly string[] | undefined } | undefined;
  readonly code: number;
  readonly seconds: number;
  /** Of these: for a seat, and for webhooks. */
  readonly waitedSeconds: number;
  readonly bytes: number | undefined;
  readonly dryRun: readonly string[];
  readonly userAgent: string | undefined;
}

export class ServerMetrics {
  /** For metrics of others in the process. */
  readonly registry = new Registry();
  readonly #series = new Map<string, RequestSeries>();
  /** Texts of parts that count for themselves. */
  readonly #texts: (() => string)[] = [];
  /** How many requests of each kind are in, asked when somebody scrapes. */
  inFlight: Readonly<Record<'mutating' | 'readOnly', () => number>> | undefined;
  readonly #longRunning: Gauge;
  readonly #terminations: Counter;
  readonly #bodies = new Histograms('apiserver_request_body_size_bytes', 'Apiserver request body size in bytes broken out by resource and verb.', BODY_BYTES);
  #handshakeErrors = 0;
  readonly #watches = new Map<string, WatchSeries>();
  readonly #deprecated: Gauge;

  constructor() {
    const registers = [this.registry];
    const scope = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'];
    const inFlight = () => this.inFlight;
    this.registry.registerMetric(new Gauge({
      name: 'apiserver_current_inflight_requests', help: 'Number of requests being served, by kind.', labelNames: ['request_kind'], registers: [],
      collect() {
        for (const [kind, count] of Object.entries(inFlight() ?? {})) this.set({ request_kind: kind }, count());
      },
    }));
    this.#longRunning = new Gauge({ name: 'apiserver_longrunning_requests', help: 'Number of active long-running requests.', labelNames: scope, registers });
    this.#terminations = new Counter({ name: 'apiserver_request_terminations_total', help: 'Number of requests which the server terminated in self-defense.', labelNames: ['component', 'code', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'], registers });
    this.#deprecated = new Gauge({
      name: 'apiserver_requested_deprecated_apis', help: 'Deprecated APIs that have been requested, by group, version, resource, subresource and removed_release.',
      labelNames: ['group', 'version', 'resource', 'subresource', 'removed_release'], registers,
    });
  }

  observe({ info, served, code, seconds, waitedSeconds, bytes, dryRun, userAgent }: ObservedRequest): void {
    const known = served !== undefined;
    const trial = dryRunOf(dryRun);
    const id = seriesId(info, known, trial);
    let series = this.#series.get(id);
    if (!series) this.#series.set(id, (series = new RequestSeries(this.#labelsOf(info, known), trial)));
    series.observe(code, seconds, bytes, systemClientOf(userAgent));
    if (trial === '') series.ownSeconds.observe(seconds - waitedSeconds);
    if (served?.warnings?.length) this.#deprecated.set({ group: info.apiGroup, version: info.apiVersion, resource: info.resource, subresource: info.subresource, removed_release: '' }, 1);
  }
  /** TLS could not be agreed on with a client. */
  handshakeFailed(): void {
    this.#handshakeErrors += 1;
  }
  /** The body of a request for a resource that is served was read. */
  body({ apiGroup, resource, verb }: RequestInfo, bytes: number): void {
    this.#bodies.of({ group: apiGroup, resource, verb }).observe(bytes);
  }
  terminated(info: RequestInfo, known: boolean, code: number): void {
    this.#terminations.inc({ ...this.#labelsOf(info, known), code: String(code) });
  }
  /** Adds a part that counts for itself and prints when somebody scrapes. */
  addText(text: () => string): void {
    this.#texts.push(text);
  }
  /** What was built, as `kubernetes_build_info`. */
  addBuild(version: VersionInfo): void {
    const labels = {
      build_date: version.buildDate, compiler: version.compiler, git_commit: version.gitCommit, git_tree_state: version.gitTreeState, git_version: version.gitVersion,
      go_version: version.goVersion, major: version.major, minor: version.minor, platform: version.platform,
    };
    this.addText(() => metricBlock('kubernetes_build_info', "A constant 1, labelled with what '/version' tells.", 'gauge', [`kubernetes_build_info{${labelText(labels)}} 1`]) + this.#releases(version));
  }
  /** The release whose behaviour is shown, as `version_info` (KEP-4330). */
  #releases({ major, minor, emulationMajor, emulationMinor, minCompatibilityMajor, minCompatibilityMinor }: VersionInfo): string {
    const labels = { binary: `${major}.${minor}`, component: 'kube', emulation: `${emulationMajor}.${emulationMinor}`, min_compat: `${minCompatibilityMajor}.${minCompatibilityMinor}` };
    return metricBlock('version_info', 'Provides the compatibility version info of the component.', 'gauge', [`version_info{${labelText(labels)}} 1`]);
  }
  /** Everything, as Prometheus reads it. */
  async text(): Promise<string> {
    const own = [requestMetricsText([...this.#series.values()]), watchMetricsText([...this.#watches.values()]), this.#bodies.text(), metricBlock(HANDSHAKE_ERRORS, "Number of requests dropped with 'TLS handshake error from' error", 'counter', [`${HANDSHAKE_ERRORS} ${this.#handshakeErrors}`]), ...this.#texts.map((text) => text())];
    return `${own.join('\n')}\n${await this.registry.metrics()}`;
  }
  longRunning(info: RequestInfo, known: boolean, delta: 1 | -1): void {
    this.#longRunning.inc(this.#labelsOf(info, known), delta);
  }
  /** What is counted of watches of the resource. */
  watches({ apiGroup, apiVersion, resource }: RequestInfo): WatchSeries {
    return this.#watches.getOrInsertComputed(`${apiGroup}/${apiVersion}/${resource}`, () => new WatchSeries({ group: apiGroup, version: apiVersion, resource }));
  }

  #labelsOf(info: RequestInfo, known: boolean): Record<string, string> {
    const labels = { verb: verbOf(info), group: '', version: '', resource: '', subresource: '', scope: scopeOf(info), component: 'apiserver' };
    return known ? { ...labels, group: info.apiGroup, version: info.apiVersion, resource: info.resource, subresource: info.subresource } : labels;
  }
}
