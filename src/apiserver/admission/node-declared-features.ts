/** NodeDeclaredFeatureValidator: a Pod on a node is changed only in ways that the node says it can follow. Source: KEP-5328. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { deepEqual, semanticEqual } from '#machinery/equality.ts';
import type { AdmissionAttributes, AdmissionPlugin, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf, quote, refusal } from './refusal.ts';

const NODES = resourceOf('', 'v1', 'nodes');

/** What the change asks of the node, in order. */
function neededFeatures(pod: coreV1.Pod, old: coreV1.Pod): string[] {
  const before = new Map(old.spec.initContainers?.map((c) => [c.name, c]));
  const initChanged = (pod.spec.initContainers ?? []).some((c) => c.restartPolicy !== 'Always' && !deepEqual(c.resources, before.get(c.name)?.resources));
  return [
    ...(semanticEqual(pod.spec.resources, old.spec.resources) ? [] : ['InPlacePodLevelResourcesVerticalScaling']),
    ...(initChanged ? ['InPlacePodVerticalScalingInitContainers'] : []),
  ];
}

export class NodeDeclaredFeatures implements AdmissionPlugin {
  readonly name = 'NodeDeclaredFeatureValidator';
  readonly handles = oneOf('UPDATE');
  readonly #reader: ObjectReader;

  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  validate(a: AdmissionAttributes): void {
    if (!isAbout(a, '', 'pods') && !isAbout(a, '', 'pods', 'resize')) return;
    const pod = a.object as coreV1.Pod;
    const { nodeName } = pod.spec;
    const needed = nodeName ? neededFeatures(pod, a.oldObject as coreV1.Pod) : [];
    if (!nodeName || needed.length === 0) return;
    const node = this.#reader.get<coreV1.Node>(NODES, '', nodeName);
    if (!node) throw refusal(a, `node ${quote(nodeName)} not found`);
    const missing = needed.filter((feature) => !node.status?.declaredFeatures?.includes(feature));
    if (missing.length > 0) throw refusal(a, `pod update requires features ${missing.join(', ')} which are not available on node ${quote(nodeName)}`);
  }
}
