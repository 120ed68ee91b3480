/** Asks metrics.k8s.io for the use of Pods. */
import type { KubeList, KubeObject } from '#api/object.ts';
import { nameOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { parseDurationMs } from '#machinery/duration.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { isReason } from '#machinery/status-error.ts';
import type { PodMetric } from './replica-calculator.ts';

const POD_METRICS = { group: 'metrics.k8s.io', version: 'v1beta1', plural: 'pods', namespaced: true };
interface PodMetrics extends KubeObject {
  readonly timestamp: string;
  readonly window: string;
  readonly containers?: readonly { readonly name: string; readonly usage: Readonly<Record<string, string>> }[];
}

/** Use by Pod, in thousandths; of one container where `container` is given. Rejects in upstream's words. */
export async function resourceMetrics(client: Client, options: { readonly namespace: string; readonly selector: string; readonly resource: string; readonly container: string | undefined; readonly signal: AbortSignal }): Promise<Map<string, PodMetric>> {
  const { namespace, selector, resource, container, signal } = options;
  const list = (await client.transport.call({ verb: 'list', resource: POD_METRICS, namespace, query: { labelSelector: selector } }, signal).catch((err: unknown) => {
    const why = isReason(err, 'NotFound') ? 'the server could not find the requested resource (get pods.metrics.k8s.io)' : err instanceof Error ? err.message : String(err);
    throw new Error(`unable to fetch metrics from resource metrics API: ${why}`, { cause: err });
  })) as KubeList<PodMetrics>;
  if (list.items.length === 0) throw new Error('no metrics returned from resource metrics API');
  const out = new Map<string, PodMetric>();
  for (const pod of list.items) {
    const counted = (pod.containers ?? []).filter((c) => container === undefined || c.name === container);
    // A Pod with a container that was not measured counts as not measured.
    if (counted.length === 0 || counted.some((c) => c.usage[resource] === undefined)) continue;
    out.set(nameOf(pod), { value: counted.reduce((sum, c) => sum + Number(parseQuantity(c.usage[resource]!).milliValue()), 0), at: Date.parse(pod.timestamp), windowMs: parseDurationMs(pod.window) });
  }
  return out;
}
