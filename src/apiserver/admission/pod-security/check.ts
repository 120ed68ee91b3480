/** The shape of a Pod Security check, and how findings are worded. Source: the Kubernetes page "Pod Security Standards". */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { ObjectMeta } from '#api/gen/meta-v1.ts';
import type { AnyContainer } from '#api/pod-visitors.ts';
import { containersOf } from '#api/pod-visitors.ts';

/** Why a Pod is not allowed: `reason (detail)`. */
export interface Finding {
  readonly reason: string;
  readonly detail: string;
}
export type CheckPod = (spec: coreV1.PodSpec, metadata: ObjectMeta) => Finding | undefined;
export interface VersionedCheck {
  /** Minor version 1.x from which on this form of the check counts. */
  readonly since: number;
  readonly check: CheckPod;
  /** Baseline checks that this one makes needless. */
  readonly overrides?: readonly string[];
}
export interface Check {
  readonly id: string;
  readonly level: 'baseline' | 'restricted';
  /** Rising. */
  readonly versions: readonly VersionedCheck[];
}

export function joinQuote(items: readonly string[]): string {
  return items.map((i) => `"${i}"`).join(', ');
}
export function plural(singular: string, count: number, many = `${singular}s`): string {
  return count === 1 ? singular : many;
}
/** `container "a"` or `containers "a", "b"`. */
export function containerList(names: readonly string[]): string {
  return `${plural('container', names.length)} ${joinQuote(names)}`;
}
/** `pod and containers "a", "b"`: who sets a forbidden value. */
export function setters(pod: boolean, containers: readonly string[]): string {
  return [...(pod ? ['pod'] : []), ...(containers.length ? [containerList(containers)] : [])].join(' and ');
}
export function sorted(items: Iterable<string>): string[] {
  return [...new Set(items)].toSorted();
}
/** Names of the containers for which `bad` holds. */
export function offenders(spec: coreV1.PodSpec, bad: (c: AnyContainer) => boolean): string[] {
  return containersOf(spec).filter(bad).map((c) => c.name);
}
export function isWindows(spec: coreV1.PodSpec): boolean {
  return spec.os?.name === 'windows';
}
/** Pods in a user namespace: root in them is nobody outside. */
export function inUserNamespace(spec: coreV1.PodSpec): boolean {
  return spec.hostUsers === false;
}
