/** PodTopologyLabels: a Pod that is bound to a node gets the node's zone and region as labels. Source: KEP-4742. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import type { AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf } from './refusal.ts';

const NODES = resourceOf('', 'v1', 'nodes');
/** One-level keys of `topology.kubernetes.io`, and only those: other topologies are nobody's business here. */
const KEYS = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'];

export class PodTopologyLabels implements AdmissionPlugin {
  readonly name = 'PodTopologyLabels';
  readonly handles = oneOf('CREATE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (isAbout(a, '', 'pods', 'binding') || isAbout(a, '', 'bindings')) {
      const binding = a.object as Draft<coreV1.Binding>;
      if (!binding.target.kind || binding.target.kind === 'Node') this.#label(binding, binding.target.name);
    } else if (isAbout(a, '', 'pods')) {
      const pod = a.object as Draft<coreV1.Pod>;
      this.#label(pod, pod.spec?.nodeName);
    }
  }
  /** The binding's labels become the Pod's when it is stored. The node's values win. */
  #label(object: Pick<Draft<coreV1.Binding>, 'metadata'>, nodeName: string | undefined): void {
    const labels = nodeName ? this.#reader.get<coreV1.Node>(NODES, '', nodeName)?.metadata.labels : undefined;
    for (const key of KEYS) if (labels?.[key] !== undefined) (object.metadata.labels ??= {})[key] = labels[key];
  }
}
