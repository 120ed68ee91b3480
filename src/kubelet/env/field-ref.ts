/** Values that a Pod's fields and resources give to its environment and to downwardAPI files. Source: concepts/workloads/pods/downward-api. */
import type { Pod, ResourceFieldSelector } from '#api/gen/core-v1.ts';
import { goQuote } from '#machinery/go-text.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { AnyContainer } from '../interfaces.ts';

export interface NodeFacts {
  readonly nodeName: string;
  readonly nodeIPs: readonly string[];
  /** Stands for a limit that a container does not have. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/** `key="escaped value"` lines, sorted, as downwardAPI files show labels and annotations. */
function mapText(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${goQuote(v)}`).join('\n');
}

/** The value of a field path; undefined for a path that is not supported. */
export function fieldValue(pod: Pod, path: string, podIPs: readonly string[], node: NodeFacts): string | undefined {
  const keyed = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2]!] ?? '';
  switch (path) {
    case 'metadata.name': return pod.metadata.name ?? '';
    case 'metadata.namespace': return pod.metadata.namespace ?? '';
    case 'metadata.uid': return pod.metadata.uid ?? '';
    case 'metadata.labels': return mapText(pod.metadata.labels);
    case 'metadata.annotations': return mapText(pod.metadata.annotations);
    case 'spec.nodeName': return node.nodeName;
    case 'spec.serviceAccountName': return pod.spec.serviceAccountName ?? '';
    case 'status.hostIP': return node.nodeIPs[0] ?? '';
    case 'status.hostIPs': return node.nodeIPs.join(',');
    case 'status.podIP': return podIPs[0] ?? '';
    case 'status.podIPs': return podIPs.join(',');
    default: return undefined;
  }
}

/** A request or limit divided by the divisor, rounded up. Throws an Error with upstream's words for what is not there. */
export function resourceValue(container: AnyContainer, selector: ResourceFieldSelector, node: NodeFacts): string {
  const [kind = '', ...rest] = selector.resource.split('.');
  const name = rest.join('.');
  if ((kind !== 'limits' && kind !== 'requests') || name === '') throw new Error(`unsupported container resource : ${selector.resource}`);
  const { limits, requests } = container.resources ?? {};
  const text = kind === 'limits' ? (limits?.[name] ?? node.allocatable[name]) : (requests?.[name] ?? limits?.[name]);
  const value = parseQuantity(text ?? '0');
  const divisor = parseQuantity(selector.divisor && selector.divisor !== '0' ? selector.divisor : '1');
  const scale = name === 'cpu' ? (q: typeof value) => q.milliValue() : (q: typeof value) => q.value();
  const by = scale(divisor);
  return String((scale(value) + by - 1n) / by);
}
