/** What KMS plugins are asked, and which keys are in use: upstream's `apiserver_envelope_encryption_…` metrics. */
import type { Clock } from '#base/clock.ts';
import { Buckets, metricBlock } from '../http/request-metrics.ts';

type Direction = 'from_storage' | 'to_storage';
const PREFIX = 'apiserver_envelope_encryption_';
/** Seconds from 0.1 ms, each twice the one before, as upstream's. */
const LATENCY = Array.from({ length: 14 }, (_, i) => Number((0.0001 * 2 ** i).toFixed(4)));
/** Keys turn slowly: more series than this are a plugin gone wrong. */
const MAX_SERIES = 1_000;

export class KmsMetrics {
  readonly #clock: Clock;
  readonly #used = new Map<string, { count: number; last: number }>();
  readonly #current = new Map<string, number>();
  readonly #invalid = new Map<string, number>();
  readonly #cached = new Map<string, number>();
  readonly #calls = new Map<string, Buckets>();
  constructor(clock: Clock) {
    this.#clock = clock;
  }
  used(direction: Direction, provider: string, hash: string): void {
    const labels = `key_id_hash="${hash}",provider_name="${provider}",transformation_type="${direction}"`;
    const series = this.#used.get(labels) ?? bounded(this.#used, labels, { count: 0, last: 0 });
    series.count += 1;
    series.last = this.#clock.now() / 1000;
  }
  current(provider: string, hash: string): void {
    bounded(this.#current, `key_id_hash="${hash}",provider_name="${provider}"`, this.#clock.now() / 1000);
  }
  invalid(provider: string, error: string): void {
    const labels = `error="${error}",provider_name="${provider}"`;
    this.#invalid.set(labels, (this.#invalid.get(labels) ?? 0) + 1);
  }
  cached(provider: string, size: number): void {
    this.#cached.set(`provider_name="${provider}"`, size);
  }
  called(provider: string, method: string, code: string, seconds: number): void {
    const labels = `grpc_status_code="${code}",method_name="${method}",provider_name="${provider}"`;
    (this.#calls.get(labels) ?? bounded(this.#calls, labels, new Buckets(LATENCY))).observe(seconds);
  }
  text(): string {
    const used = [...this.#used];
    return metricBlock(`${PREFIX}key_id_hash_total`, 'Number of times a keyID is used split by transformation type, provider, and apiserver identity.', 'counter', used.map(([labels, s]) => `${PREFIX}key_id_hash_total{${labels}} ${s.count}`))
      + metricBlock(`${PREFIX}key_id_hash_last_timestamp_seconds`, 'The last time in seconds when a keyID was used.', 'gauge', used.map(([labels, s]) => `${PREFIX}key_id_hash_last_timestamp_seconds{${labels}} ${s.last}`))
      + this.#simple('key_id_hash_status_last_timestamp_seconds', 'The last time in seconds when a keyID was returned by the Status RPC call.', 'gauge', this.#current)
      + this.#simple('invalid_key_id_from_status_total', 'Number of times an invalid keyID is returned by the Status RPC call split by error.', 'counter', this.#invalid)
      + this.#simple('dek_source_cache_size', 'Number of records in data encryption key (DEK) source cache.', 'gauge', this.#cached)
      + metricBlock(`${PREFIX}kms_operations_latency_seconds`, 'KMS operation duration with gRPC error code status total.', 'histogram', [...this.#calls].flatMap(([labels, b]) => b.lines(`${PREFIX}kms_operations_latency_seconds`, labels)));
  }
  #simple(name: string, help: string, type: 'counter' | 'gauge', series: ReadonlyMap<string, number>): string {
    return metricBlock(PREFIX + name, help, type, [...series].map(([labels, value]) => `${PREFIX}${name}{${labels}} ${value}`));
  }
}
/** Puts a value in; the oldest goes when there are too many. */
function bounded<V>(map: Map<string, V>, key: string, value: V): V {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_SERIES) for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
  return value;
}
