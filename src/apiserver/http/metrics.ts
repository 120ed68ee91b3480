/** The API server's metrics, under upstream's names. */
import { Counter, Gauge, Histogram, Registry } from '#base/metrics.ts';
import type { RequestInfo } from '../interfaces.ts';

const SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const BYTES = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/** Upstream's scope label. */
function scopeOf(info: RequestInfo): string {
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

export class ServerMetrics {
  readonly registry = new Registry();
  readonly #requests: Counter;
  readonly #durations: Histogram;
  readonly #sizes: Histogram;
  readonly #inFlight: Gauge;
  readonly #longRunning: Gauge;
  readonly #terminations: Counter;
  readonly #watchEvents: Counter;
  /** Label sets by what they are made of: prom-client hashes labels on every call, we make the object once. */
  readonly #labels = new Map<string, Record<string, string>>();

  constructor() {
    const registers = [this.registry];
    const scope = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'];
    this.#requests = new Counter({ name: 'apiserver_request_total', help: 'Counter of apiserver requests broken out for each verb, group, version, resource, scope, component and HTTP response code.', labelNames: [...scope, 'code', 'dry_run'], registers });
    this.#durations = new Histogram({ name: 'apiserver_request_duration_seconds', help: 'Response latency distribution in seconds.', labelNames: [...scope, 'dry_run'], buckets: SECONDS, registers });
    this.#sizes = new Histogram({ name: 'apiserver_response_sizes', help: 'Response size distribution in bytes.', labelNames: scope, buckets: BYTES, registers });
    this.#inFlight = new Gauge({ name: 'apiserver_current_inflight_requests', help: 'Number of requests being served, by kind.', labelNames: ['request_kind'], registers });
    this.#longRunning = new Gauge({ name: 'apiserver_longrunning_requests', help: 'Number of active long-running requests.', labelNames: scope, registers });
    this.#terminations = new Counter({ name: 'apiserver_request_terminations_total', help: 'Number of requests which the server terminated in self-defense.', labelNames: ['component', 'code', 'group', 'resource', 'scope', 'subresource', 'verb', 'version'], registers });
    this.#watchEvents = new Counter({ name: 'apiserver_watch_events_total', help: 'Number of events sent in watch clients.', labelNames: ['group', 'version', 'resource'], registers });
  }

  /** `known`: the path belongs to a resource that is served; others share one label set. */
  observe(info: RequestInfo, known: boolean, code: number, seconds: number, bytes: number | undefined): void {
    const labels = this.#labelsOf(info, known);
    this.#requests.inc({ ...labels, code: String(code), dry_run: '' });
    this.#durations.observe({ ...labels, dry_run: '' }, seconds);
    if (bytes !== undefined) this.#sizes.observe(labels, bytes);
  }
  terminated(info: RequestInfo, known: boolean, code: number): void {
    this.#terminations.inc({ ...this.#labelsOf(info, known), code: String(code) });
  }
  inFlight(kind: 'mutating' | 'readOnly', count: number): void {
    this.#inFlight.set({ request_kind: kind }, count);
  }
  longRunning(info: RequestInfo, known: boolean, delta: 1 | -1): void {
    this.#longRunning.inc(this.#labelsOf(info, known), delta);
  }
  watchEvents(info: RequestInfo, count: number): void {
    this.#watchEvents.inc({ group: info.apiGroup, version: info.apiVersion, resource: info.resource }, count);
  }

  #labelsOf(info: RequestInfo, known: boolean): Record<string, string> {
    const [verb, scope] = [verbOf(info), scopeOf(info)];
    const id = known ? `${verb} ${info.apiGroup}/${info.apiVersion}/${info.resource}/${info.subresource} ${scope}` : `${verb} ${scope}`;
    let labels = this.#labels.get(id);
    if (!labels) {
      labels = { verb, group: '', version: '', resource: '', subresource: '', scope, component: 'apiserver' };
      if (known) Object.assign(labels, { group: info.apiGroup, version: info.apiVersion, resource: info.resource, subresource: info.subresource });
      this.#labels.set(id, labels);
    }
    return labels;
  }
}
