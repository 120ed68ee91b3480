/** What the kubelet refuses although the scheduler sent it here. Source: upstream's lifecycle predicates; texts as users meet them in status and events. */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { requiredNodeAffinity } from '#machinery/node-selector.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { toleratesTaint } from '#machinery/tolerations.ts';
import { isExtendedResource } from '#machinery/resource-names.ts';
import { withoutClaimed } from '../dra/pod-claims.ts';
import { isRestartableInit } from './containers.ts';
import type { PodRejection } from './pod-workers.ts';
import type { Shortage } from './preemption.ts';
import { forbiddenSysctl } from './sysctls.ts';

/** The most that a Pod asks of each resource at any time of its life. */
export function podRequests(pod: Pod): Map<string, Quantity> {
  const out = podResources(pod, 'requests');
  for (const [k, v] of Object.entries(pod.spec.overhead ?? {})) out.set(k, (out.get(k) ?? parseQuantity('0')).add(parseQuantity(v)));
  return out;
}
/** What all containers ask for together, or may have at most where they say so; without the overhead of the runtime. */
export function podResources(pod: Pod, which: 'requests' | 'limits'): Map<string, Quantity> {
  const out = new Map<string, Quantity>();
  const add = (into: Map<string, Quantity>, list: Readonly<Record<string, string>> | undefined) => {
    for (const [k, v] of Object.entries(list ?? {})) into.set(k, (into.get(k) ?? parseQuantity('0')).add(parseQuantity(v)));
  };
  for (const c of pod.spec.containers) add(out, c.resources?.[which]);
  const sidecars = new Map<string, Quantity>();
  const peaks: Map<string, Quantity>[] = [];
  for (const c of pod.spec.initContainers ?? []) {
    if (isRestartableInit(c)) {
      add(out, c.resources?.[which]);
      add(sidecars, c.resources?.[which]);
      continue;
    }
    const peak = new Map(sidecars);
    add(peak, c.resources?.[which]);
    peaks.push(peak);
  }
  for (const peak of peaks) for (const [k, v] of peak) if (v.cmp(out.get(k) ?? parseQuantity('0')) > 0) out.set(k, v);
  for (const [k, v] of Object.entries(pod.spec.resources?.[which] ?? {})) out.set(k, parseQuantity(v));
  return out;
}

export interface AdmissionOptions {
  /** The node's own additions to the safe ones. */
  readonly allowedUnsafeSysctls?: readonly string[];
  /** Resources whose allocation decides, not sums of requests: those of device plugins. */
  readonly isAllocated?: (resource: string) => boolean;
}
/** A reason to refuse a Pod; `shortage`, where nothing but room for it is missing. */
export interface AdmissionFailure extends PodRejection {
  readonly shortage?: Shortage;
}
/** The first reason to refuse a Pod, as users are told. */
export function admitPod(pod: Pod, others: readonly Pod[], node: Node, options: AdmissionOptions = {}): PodRejection | undefined {
  const [first] = admissionFailures(pod, others, node, options);
  return first && { reason: first.reason, message: first.message };
}
/** Every reason to refuse a Pod, in the order in which they count. */
export function admissionFailures(pod: Pod, others: readonly Pod[], node: Node, { allowedUnsafeSysctls = [], isAllocated = () => false }: AdmissionOptions = {}): AdmissionFailure[] {
  const sysctl = forbiddenSysctl(pod, allowedUnsafeSysctls);
  if (sysctl !== undefined) return [{ reason: 'SysctlForbidden', message: sysctl }];
  const system = otherSystem(pod);
  if (system) return [system];
  // A runtime that does not know of the policy would add the groups of the image all the same.
  if (pod.spec.securityContext?.supplementalGroupsPolicy === 'Strict' && !node.status?.features?.supplementalGroupsPolicy) {
    return [{ reason: 'SupplementalGroupsPolicyNotSupported', message: 'SupplementalGroupsPolicy=Strict is not supported in this node' }];
  }
  const failures: AdmissionFailure[] = [];
  const allocatable = node.status?.allocatable ?? {};
  const maxPods = Number(allocatable['pods'] ?? 110);
  if (others.length + 1 > maxPods) failures.push(insufficient('pods', 1, others.length, maxPods));
  const used = new Map<string, Quantity>();
  for (const other of others) for (const [k, v] of podRequests(other)) used.set(k, (used.get(k) ?? parseQuantity('0')).add(v));
  for (const [k, v] of podRequests(withoutClaimed(pod))) {
    // What no node of this kind has is somebody else's business: the scheduler let the Pod come here.
    if (v.sign() === 0 || (isExtendedResource(k) && allocatable[k] === undefined) || isAllocated(k)) continue;
    const capacity = parseQuantity(allocatable[k] ?? '0');
    const taken = used.get(k) ?? parseQuantity('0');
    if (v.add(taken).cmp(capacity) <= 0) continue;
    const number = k === 'cpu' ? (q: Quantity) => Number(q.milliValue()) : (q: Quantity) => Number(q.value());
    failures.push(insufficient(k, number(v), number(taken), number(capacity)));
  }
  if (!(requiredNodeAffinity(pod.spec)?.(node) ?? true)) failures.push({ reason: 'NodeAffinity', message: 'Predicate NodeAffinity failed: node(s) didn\'t match Pod\'s node affinity/selector' });
  if (portClash(pod, others)) failures.push({ reason: 'NodePorts', message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports" });
  const taint = (node.spec.taints ?? []).find((t) => t.effect === 'NoExecute' && !toleratesTaint(pod.spec.tolerations, t));
  if (taint) failures.push({ reason: 'TaintToleration', message: "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate" });
  return failures;
}
/** Nodes here run Linux, whatever their label says. */
function otherSystem({ metadata, spec }: Pod): PodRejection | undefined {
  if ((metadata.labels?.['kubernetes.io/os'] ?? 'linux') !== 'linux') return { reason: 'PodOSSelectorNodeLabelDoesNotMatch', message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label" };
  return (spec.os?.name ?? 'linux') === 'linux' ? undefined : { reason: 'PodOSNotSupported', message: "Failed to admit pod as the OS field doesn't match node OS" };
}
function insufficient(resource: string, requested: number, used: number, capacity: number): AdmissionFailure {
  return { shortage: { resource, amount: requested - (capacity - used) }, reason: `OutOf${resource}`, message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}` };
}
function portClash(pod: Pod, others: readonly Pod[]): boolean {
  const wanted = hostPorts(pod);
  if (wanted.length === 0) return false;
  const any = (ip: string) => ip === '' || ip === '0.0.0.0' || ip === '::';
  return others.flatMap(hostPorts).some((o) => wanted.some((w) => w.port === o.port && w.protocol === o.protocol && (any(w.ip) || any(o.ip) || w.ip === o.ip)));
}
function hostPorts(pod: Pod): { port: number; protocol: string; ip: string }[] {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(isRestartableInit)].flatMap((c) => c.ports ?? []).filter((p) => p.hostPort).map((p) => ({ port: p.hostPort!, protocol: p.protocol ?? 'TCP', ip: p.hostIP ?? '' }));
}
