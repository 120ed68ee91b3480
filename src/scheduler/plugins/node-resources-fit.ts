/** Does the node have what the Pod asks for? Scores by what stays free (LeastAllocated). */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import type { DeviceClass } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import { IMPLICIT_PREFIX, type DeviceClasses } from '../dra/device-classes.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { MAX_NODE_SCORE, type Plugin } from '../framework/plugin.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { amountOf } from '../framework/resources.ts';
import { unresolvable, unschedulable, type Status } from '../framework/status.ts';

const NAME = 'NodeResourcesFit';

interface Shortage {
  readonly reason: string;
  /** True where even an empty node would not do. */
  readonly forGood: boolean;
}

/** What of the Pod's requests the node cannot give, in upstream's order: pods, cpu, memory, ephemeral storage, the rest. What devices stand for is DynamicResources' to find. */
function shortages(info: PodInfo, node: NodeInfo, classes: DeviceClasses): Shortage[] | undefined {
  let out: Shortage[] | undefined;
  const short = (name: string, asked: number, capacity: number) => (out ??= []).push({ reason: `Insufficient ${name}`, forGood: asked > capacity });
  if (node.pods.size + 1 > node.allocatablePods) (out ??= []).push({ reason: 'Too many pods', forGood: false });
  if (info.milliCPU > 0 && info.milliCPU > node.allocatableMilliCPU - node.requestedMilliCPU) short('cpu', info.milliCPU, node.allocatableMilliCPU);
  if (info.memory > 0 && info.memory > node.allocatableMemory - node.requestedMemory) short('memory', info.memory, node.allocatableMemory);
  if (info.requests.size > 2 || !(info.requests.has('cpu') && info.requests.has('memory'))) {
    for (const [name, asked] of info.requests) {
      if (name === 'cpu' || name === 'memory' || asked === 0) continue;
      const capacity = node.allocatable.get(name) ?? 0;
      if (capacity === 0 && classes.forResource(name)) continue;
      if (asked > capacity - (node.requestedOther.get(name) ?? 0)) short(name, asked, capacity);
    }
  }
  return out;
}
function refuse(found: readonly Shortage[]): Status {
  const reasons = found.map((s) => s.reason);
  return found.some((s) => s.forGood) ? unresolvable(NAME, ...reasons) : unschedulable(NAME, ...reasons);
}

function share(requested: number, capacity: number): number {
  return requested > capacity ? 0 : Math.trunc(((capacity - requested) * MAX_NODE_SCORE) / capacity);
}
/** The mean of the free shares of cpu and memory, of those that the node has at all. */
function leastAllocated(info: PodInfo, node: NodeInfo): number {
  let score = 0;
  let weights = 0;
  if (node.allocatableMilliCPU > 0) {
    score += share(node.nonZeroMilliCPU + info.nonZeroMilliCPU, node.allocatableMilliCPU);
    weights++;
  }
  if (node.allocatableMemory > 0) {
    score += share(node.nonZeroMemory + info.nonZeroMemory, node.allocatableMemory);
    weights++;
  }
  return weights === 0 ? 0 : Math.trunc(score / weights);
}

/** Could the Pod run on the node if it were empty? */
function couldFit(pod: Pod, node: Node, classes: DeviceClasses): boolean {
  const allocatable = node.status?.allocatable ?? {};
  if (amountOf('pods', allocatable['pods'] ?? '0') < 1) return false;
  for (const [name, asked] of PodInfo.of(pod).requests) {
    const has = amountOf(name, allocatable[name] ?? '0');
    if (asked > has && !(has === 0 && classes.forResource(name))) return false;
  }
  return true;
}
/** Is there more of anything the Pod asks for? Of what devices stand for there may be. */
function gained(pod: Pod, old: Node, node: Node, classes: DeviceClasses): boolean {
  const amount = (n: Node, name: string) => amountOf(name, n.status?.allocatable?.[name] ?? '0');
  return amount(node, 'pods') > amount(old, 'pods') || PodInfo.of(pod).requests.entries().some(([name, asked]) => asked > 0 && (amount(node, name) > amount(old, name) || (amount(node, name) === 0 && classes.forResource(name) !== undefined)));
}

/** The class now stands for something that the Pod asks for. */
function standsForMore(pod: Pod, old: DeviceClass | undefined, each: DeviceClass): boolean {
  const { requests } = PodInfo.of(pod);
  const { extendedResourceName } = each.spec;
  if (!old && requests.has(IMPLICIT_PREFIX + nameOf(each))) return true;
  return extendedResourceName !== undefined && extendedResourceName !== old?.spec.extendedResourceName && requests.has(extendedResourceName);
}

export function newNodeResourcesFit({ dra: { classes } }: Pick<FrameworkHandle, 'dra'>): Plugin {
  return {
    name: NAME,
    filter(_state, info, node) {
      const found = shortages(info, node, classes);
      return found && refuse(found);
    },
    score: (_state, info, node) => leastAllocated(info, node),
    events: () => [
      { resource: 'AssignedPod', actions: ['Delete', 'UpdateScaleDown'] },
      { resource: 'TargetPod', actions: ['UpdateScaleDown'] },
      {
        resource: 'Node', actions: ['Add', 'UpdateAllocatable'],
        hint: (pod, old, node) => (couldFit(pod, node as Node, classes) && (!old || gained(pod, old as Node, node as Node, classes)) ? 'Queue' : 'Skip'),
      },
      { resource: 'DeviceClass', actions: ['Add', 'Update'], hint: (pod, old, obj) => (standsForMore(pod, old as DeviceClass | undefined, obj as DeviceClass) ? 'Queue' : 'Skip') },
    ],
  };
}
