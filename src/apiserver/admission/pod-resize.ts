/** PodResizeValidator: a Pod does not grow beyond what its node has to give. Source: KEP-1287. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { amountsOf, podAmounts } from '#machinery/pod-resources.ts';
import { StatusError } from '#machinery/status-error.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import type { AdmissionAttributes, AdmissionPlugin, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf, quote, refusal } from './refusal.ts';

const NODES = resourceOf('', 'v1', 'nodes');
const NOTHING = parseQuantity('0');
/** Each with the number that is told of it. */
const LIMITED: readonly (readonly [name: string, number: (q: Quantity) => bigint])[] = [['cpu', (q) => q.milliValue()], ['memory', (q) => q.value()]];

function shortage(pod: coreV1.Pod, node: coreV1.Node): string | undefined {
  const requests = podAmounts(pod.spec, 'requests');
  const allocatable = amountsOf(node.status?.allocatable);
  const short = LIMITED.flatMap(([name, number]) => {
    const [wanted, given] = [requests.get(name) ?? NOTHING, allocatable.get(name) ?? NOTHING];
    return wanted.cmp(given) > 0 ? [`${name}, requested: ${number(wanted)}, allocatable: ${number(given)}`] : [];
  });
  return short.length > 0 ? `node didn't have enough allocatable resources: ${short.join('; ')}` : undefined;
}
function refusalFor(a: AdmissionAttributes, why: string, reason: 'NodeCapacity' | 'UnsupportedPlatform'): StatusError {
  const { status } = refusal(a, why);
  return new StatusError({ ...status, details: { ...status.details, causes: [{ reason }] } });
}

export class PodResize implements AdmissionPlugin {
  readonly name = 'PodResizeValidator';
  readonly handles = oneOf('UPDATE');
  readonly #reader: ObjectReader;

  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  validate(a: AdmissionAttributes): void {
    if (!isAbout(a, '', 'pods', 'resize')) return;
    const pod = a.object as coreV1.Pod;
    const { nodeName } = pod.spec;
    if (!nodeName || semanticEqual(pod.spec, (a.oldObject as coreV1.Pod).spec)) return;
    const node = this.#reader.get<coreV1.Node>(NODES, '', nodeName);
    if (!node) throw refusal(a, `node ${quote(nodeName)} not found`);
    const os = node.metadata.labels?.['kubernetes.io/os'] ?? 'linux';
    if (os !== 'linux') throw refusalFor(a, `pod resize is only supported on linux nodes, node ${quote(nodeName)} is ${quote(os)}`, 'UnsupportedPlatform');
    const short = shortage(pod, node);
    if (short !== undefined) throw refusalFor(a, short, 'NodeCapacity');
  }
}
