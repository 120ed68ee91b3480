/** Which Pod goes first when the node runs out of something. Source: node-pressure-eviction#pod-selection-for-kubelet-eviction. */
import type { Pod } from '#api/gen/core-v1.ts';
import { podRequests } from '../pods/admission.ts';
import type { EvictionSignal } from './pressure.ts';

/** What a Pod uses, in bytes and processes; containers by name. */
export interface PodUse {
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly inodes: number;
  readonly processes: number;
  readonly containers: ReadonlyMap<string, { readonly memoryBytes: number; readonly diskBytes: number }>;
}
export const NOTHING: PodUse = { memoryBytes: 0, diskBytes: 0, inodes: 0, processes: 0, containers: new Map() };

const SYSTEM_CRITICAL_PRIORITY = 2_000_000_000;
/** Pods that the node keeps whatever it lacks: static ones and those of the system's priorities. */
export function isCriticalPod(pod: Pod): boolean {
  const annotations = pod.metadata.annotations ?? {};
  const source = annotations['kubernetes.io/config.source'];
  return (source !== undefined && source !== 'api') || annotations['kubernetes.io/config.mirror'] !== undefined || (pod.spec.priority ?? 0) >= SYSTEM_CRITICAL_PRIORITY;
}

/** Pods in the order in which they are evicted: above their requests first, then by priority, then by how much they are above them. */
export function rankForEviction(pods: readonly Pod[], signal: EvictionSignal, useOf: (pod: Pod) => PodUse | undefined): Pod[] {
  const above = (pod: Pod): number => {
    const use = useOf(pod) ?? NOTHING;
    const requested = (resource: string): number => Number(podRequests(pod).get(resource)?.value() ?? 0n);
    switch (signal) {
      case 'memory.available': case 'allocatableMemory.available': return use.memoryBytes - requested('memory');
      case 'pid.available': return use.processes;
      case 'nodefs.inodesFree': case 'imagefs.inodesFree': return use.inodes;
      default: return use.diskBytes - requested('ephemeral-storage');
    }
  };
  const byRequest = signal !== 'pid.available';
  const rows = pods.map((pod) => ({ pod, above: above(pod), priority: pod.spec.priority ?? 0 }));
  const exceeds = (row: { above: number }): number => (byRequest && row.above > 0 ? 0 : 1);
  return rows.toSorted((a, b) => exceeds(a) - exceeds(b) || a.priority - b.priority || b.above - a.above).map((r) => r.pod);
}
