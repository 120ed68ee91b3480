/** Which Pods a Service selects and the other way round, in time that grows with the answer and not with the namespace. */
import type { Pod, Service } from '#api/gen/core-v1.ts';
import { keyOf, namespaceOf } from '#api/object.ts';
import type { Informer } from '#client/informer.ts';
import { PODS, SERVICES } from '#client/kinds.ts';
import type { ControllerContext } from '../controller.ts';

const INDEX = 'service-selection';
const indexed = new WeakSet<object>();

type Labels = Readonly<Record<string, string>>;
function matches(selector: Labels, labels: Labels | undefined): boolean {
  return Object.entries(selector).every(([k, v]) => labels?.[k] === v);
}
/** The selector of a Service whose endpoints are found by it; undefined for all others. */
export function selectorOf(service: Service): Labels | undefined {
  const { selector, type } = service.spec;
  return type === 'ExternalName' || !selector || Object.keys(selector).length === 0 ? undefined : selector;
}
const pair = (namespace: string, key: string, value: string): string => `${namespace}\0${key}\0${value}`;

export interface Selection {
  readonly pods: Informer<Pod>;
  readonly services: Informer<Service>;
  podsOf(service: Service): Pod[];
  /** Keys of the Services that select the Pod. */
  servicesOf(pod: Pod): string[];
}

/** Over the context's shared informers; the indexes are added once. */
export function selectionOf({ informers }: ControllerContext): Selection {
  const pods = informers.informer(PODS);
  const services = informers.informer(SERVICES);
  if (!indexed.has(pods)) {
    indexed.add(pods);
    pods.addIndex(INDEX, (pod) => Object.entries(pod.metadata.labels ?? {}).map(([k, v]) => pair(namespaceOf(pod), k, v)));
    // One pair of the selector is enough to find the candidates.
    services.addIndex(INDEX, (service) => Object.entries(selectorOf(service) ?? {}).slice(0, 1).map(([k, v]) => pair(namespaceOf(service), k, v)));
  }
  return {
    pods,
    services,
    podsOf(service) {
      const selector = selectorOf(service);
      if (!selector) return [];
      const [key, value] = Object.entries(selector)[0]!;
      return pods.byIndex(INDEX, pair(namespaceOf(service), key, value)).filter((pod) => matches(selector, pod.metadata.labels));
    },
    servicesOf(pod) {
      const labels = pod.metadata.labels ?? {};
      const candidates = Object.entries(labels).flatMap(([k, v]) => services.byIndex(INDEX, pair(namespaceOf(pod), k, v)));
      return candidates.filter((s) => matches(selectorOf(s) ?? {}, labels)).map(keyOf);
    },
  };
}
