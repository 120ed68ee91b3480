/** RuntimeClass: its overhead, node selector and tolerations become the Pod's. Source: KEP-585, KEP-688. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as nodeV1 from '#api/gen/node-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf, quote, refusal } from './refusal.ts';

const CLASSES = resourceOf('node.k8s.io', 'v1', 'runtimeclasses');
type Resources = Readonly<Record<string, string>>;

function sameResources(x: Resources | undefined, y: Resources | undefined): boolean {
  const keys = new Set([...Object.keys(x ?? {}), ...Object.keys(y ?? {})]);
  return [...keys].every((k) => {
    const [one, other] = [getOwn(x, k), getOwn(y, k)];
    return one !== undefined && other !== undefined && parseQuantity(one).cmp(parseQuantity(other)) === 0;
  });
}

export class RuntimeClass implements AdmissionPlugin {
  readonly name = 'RuntimeClass';
  readonly handles = oneOf('CREATE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  admit(a: MutableAdmissionAttributes): void {
    const spec = isAbout(a, '', 'pods') ? (a.object as Draft<coreV1.Pod>).spec : undefined;
    const found = spec && this.#classOf(a, spec.runtimeClassName);
    if (!spec || !found) return;
    const overhead = found.overhead?.podFixed as Resources | undefined;
    if (spec.overhead === undefined && overhead !== undefined) spec.overhead = { ...overhead };
    if (!found.scheduling) return;
    for (const [key, value] of Object.entries(found.scheduling.nodeSelector ?? {})) {
      const selector = (spec.nodeSelector ??= {});
      const own = getOwn(selector, key);
      if (own !== undefined && own !== value) throw refusal(a, `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`);
      setOwn(selector, key, value);
    }
    for (const toleration of found.scheduling.tolerations ?? []) {
      const same = (spec.tolerations ??= []).some((t) => JSON.stringify(t) === JSON.stringify(toleration));
      if (!same) spec.tolerations.push(draftOf(toleration));
    }
  }
  validate(a: AdmissionAttributes): void {
    const spec = isAbout(a, '', 'pods') ? (a.object as coreV1.Pod).spec : undefined;
    if (!spec) return;
    const overhead = this.#classOf(a, spec.runtimeClassName)?.overhead?.podFixed as Resources | undefined;
    const own = spec.overhead as Resources | undefined;
    if (overhead === undefined && own !== undefined) throw refusal(a, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
    if (overhead !== undefined && !sameResources(own, overhead)) throw refusal(a, 'pod rejected: Pod\'s Overhead doesn\'t match RuntimeClass\'s defined Overhead');
  }
  #classOf(a: AdmissionAttributes, name: string | undefined): nodeV1.RuntimeClass | undefined {
    if (name === undefined) return undefined;
    if (name === '') throw badRequest('resource name may not be empty');
    const found = this.#reader.get<nodeV1.RuntimeClass>(CLASSES, '', name);
    if (!found) throw refusal(a, `pod rejected: RuntimeClass ${quote(name)} not found`);
    return found;
  }
}
