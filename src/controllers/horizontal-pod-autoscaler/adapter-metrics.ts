/** Asks the APIs that adapters serve: custom.metrics.k8s.io for Pods and objects, external.metrics.k8s.io for everything else. Amounts are in thousandths. */
import type { APIService } from '#api/gen/apiregistration-v1.ts';
import type { CrossVersionObjectReference } from '#api/gen/autoscaling-v2.ts';
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import { splitApiVersion } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { Client } from '#client/client.ts';
import type { ResourceRef } from '#client/transport.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { PodMetric } from './replica-calculator.ts';

const CUSTOM = 'custom.metrics.k8s.io';
const EXTERNAL = 'external.metrics.k8s.io';
const CUSTOM_VERSIONS = ['v1beta2', 'v1beta1'];
const DEFAULT_WINDOW_SECONDS = 60;

interface MetricValue {
  readonly describedObject?: { readonly name?: string };
  readonly timestamp?: string;
  readonly window?: number;
  readonly windowSeconds?: number;
  readonly value: string;
}
interface ValueList {
  readonly items?: readonly MetricValue[];
}
export interface AdapterQuery {
  readonly metric: string;
  readonly namespace: string;
  /** Of the metric, as its source knows it. */
  readonly metricSelector: LabelSelector | undefined;
  readonly signal: AbortSignal;
}
/** Where adapters are found. */
export interface Adapters {
  readonly client: Client;
  /** The APIServices of now. */
  services(): readonly APIService[];
  /** The resource of a kind; undefined for one that is not served. */
  resourceOf(group: string, kind: string): Pick<ResourceInfo, 'group' | 'plural'> | undefined;
}
const milli = (value: string): number => Number(parseQuantity(value).milliValue());
const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));
function textOf(selector: LabelSelector | undefined): string | undefined {
  return selector === undefined ? undefined : labelMatcherOf(selector).toString() || undefined;
}

export class AdapterMetrics {
  readonly #o: Adapters;

  constructor(options: Adapters) {
    this.#o = options;
  }
  /** The metric of each Pod that the selector matches. Rejects in upstream's words. */
  async ofPods(query: AdapterQuery, selector: string): Promise<Map<string, PodMetric>> {
    const items = await this.#custom(query, { plural: 'pods', namespaced: true }, '*', { labelSelector: selector });
    if (items.length === 0) throw new Error('no metrics returned from custom metrics API');
    return new Map(items.map((m) => [m.describedObject?.name ?? '', { value: milli(m.value), at: Date.parse(m.timestamp ?? ''), windowMs: (m.windowSeconds ?? m.window ?? DEFAULT_WINDOW_SECONDS) * 1000 }]));
  }
  /** The metric of one object in the namespace, or of the namespace itself. */
  async ofObject(query: AdapterQuery, object: CrossVersionObjectReference): Promise<number> {
    const { group } = splitApiVersion(object.apiVersion ?? 'v1');
    const items = group === '' && object.kind === 'Namespace'
      ? await this.#custom(query, { plural: 'metrics', namespaced: true }, query.metric, {})
      : await this.#custom(query, { plural: this.#qualified(group, object.kind), namespaced: true }, object.name, {});
    if (items.length !== 1) throw new Error(`unable to fetch metrics from custom metrics API: the custom metrics API server returned ${items.length} results when we asked for exactly one`);
    return milli(items[0]!.value);
  }
  /** All values of a metric from outside of the cluster. */
  async external({ metric, namespace, metricSelector, signal }: AdapterQuery): Promise<number[]> {
    const failed = (why: string, cause?: unknown) => new Error(`unable to fetch metrics from external metrics API: ${why}`, { cause });
    if (!this.#o.services().some((s) => s.spec.group === EXTERNAL)) throw failed(`the server could not find the requested resource (get ${metric}.${EXTERNAL})`);
    const resource = { group: EXTERNAL, version: 'v1beta1', plural: metric, namespaced: true };
    const list = (await this.#o.client.transport.call({ verb: 'list', resource, namespace, query: { labelSelector: textOf(metricSelector) } }, signal).catch((err: unknown) => {
      throw failed(messageOf(err), err);
    })) as ValueList;
    if (!list.items?.length) throw new Error('no metrics returned from external metrics API');
    return list.items.map((m) => milli(m.value));
  }

  #qualified(group: string, kind: string): string {
    const resource = this.#o.resourceOf(group, kind);
    if (!resource) throw new Error(`unable to fetch metrics from custom metrics API: unable to map kind ${kind}${group ? `.${group}` : ''} to resource: no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`);
    return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
  }
  async #custom({ metric, namespace, metricSelector, signal }: AdapterQuery, { plural, namespaced }: Pick<ResourceRef, 'plural' | 'namespaced'>, name: string, query: { readonly labelSelector?: string }): Promise<readonly MetricValue[]> {
    const failed = (why: string, cause?: unknown) => new Error(`unable to fetch metrics from custom metrics API: ${why}`, { cause });
    const served = this.#o.services().filter((s) => s.spec.group === CUSTOM).map((s) => s.spec.version ?? '');
    const version = CUSTOM_VERSIONS.find((v) => served.includes(v));
    if (version === undefined) throw failed(`no custom metrics API (${CUSTOM}) registered`);
    const subresource = plural === 'metrics' ? undefined : metric;
    const call = { verb: 'get', resource: { group: CUSTOM, version, plural, namespaced }, namespace, name, subresource, query: { ...query, metricLabelSelector: textOf(metricSelector) } } as const;
    const list = (await this.#o.client.transport.call(call, signal).catch((err: unknown) => {
      throw failed(messageOf(err), err);
    })) as ValueList;
    return list.items ?? [];
  }
}
