/** Decides which daemon Pods to make and which to delete. Pure: what is seen goes in, the decisions come out. */
import type { DaemonSet } from '#api/gen/apps-v1.ts';
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { CONTROLLER_REVISION_HASH } from '../history/revisions.ts';
import { scaledValue } from '../workload/int-or-percent.ts';
import { isPodAvailable, isPodReady, isPodTerminal } from '../workload/pods.ts';
import { nodeFit, targetNodeOf } from './node-fit.ts';

export const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';
export const TEMPLATE_GENERATION_LABEL = 'pod-template-generation';

export interface Observed {
  readonly ds: DaemonSet;
  readonly nodes: readonly Node[];
  /** Daemon Pods by the node that they are on or meant for. */
  readonly podsByNode: ReadonlyMap<string, readonly Pod[]>;
  /** The hash of the present revision. */
  readonly hash: string;
  readonly now: number;
}
export interface Plan {
  /** Names of the nodes that need a Pod. */
  readonly create: readonly string[];
  readonly delete: readonly Pod[];
}

/** Pods that have ended and are being deleted count for nothing any more. */
export function groupByNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const out = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = targetNodeOf(pod);
    if (node === undefined || (isPodTerminal(pod) && isDeleted(pod))) continue;
    out.set(node, [...(out.get(node) ?? []), pod]);
  }
  return out;
}
const isDeleted = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;

export function isUpdated(ds: DaemonSet, pod: Pod, hash: string): boolean {
  const labels = pod.metadata.labels ?? {};
  const generation = ds.metadata.annotations?.[TEMPLATE_GENERATION];
  return labels[CONTROLLER_REVISION_HASH] === hash || (generation !== undefined && labels[TEMPLATE_GENERATION_LABEL] === generation);
}
/** Scheduled Pods first, then the older. */
export function byAge(a: Pod, b: Pod): number {
  const scheduled = Number(!!b.spec.nodeName) - Number(!!a.spec.nodeName);
  const [left, right] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (scheduled || left === right) return scheduled || (nameOf(a) < nameOf(b) ? -1 : 1);
  return left < right ? -1 : 1;
}
export function allowsSurge(ds: DaemonSet): boolean {
  return ds.spec.updateStrategy?.type === 'RollingUpdate' && scaledValue(ds.spec.updateStrategy.rollingUpdate?.maxSurge, 100, 'up') > 0;
}

/** What to do about a Pod that has ended: the caller tells of it, and may keep it for a while. */
export type OnEnded = (pod: Pod, node: string) => 'delete' | 'keep';

/** Brings each node to one Pod where there should be one, and to none elsewhere. */
export function placement(observed: Observed, onEnded: OnEnded): Plan {
  const create: string[] = [];
  const remove: Pod[] = [];
  for (const node of observed.nodes) {
    const pods = observed.podsByNode.get(nameOf(node)) ?? [];
    const { shouldRun, shouldContinue } = nodeFit(observed.ds, node);
    if (shouldRun && pods.length === 0) create.push(nameOf(node));
    else if (shouldContinue) {
      const ended = pods.filter((p) => !isDeleted(p) && isPodTerminal(p));
      remove.push(...ended.filter((p) => onEnded(p, nameOf(node)) === 'delete'));
      const running = pods.filter((p) => !isDeleted(p) && !isPodTerminal(p)).toSorted(byAge);
      remove.push(...(allowsSurge(observed.ds) ? surplusWithSurge(observed, running) : running.slice(1)));
      // While surging a node must not wait for its last Pod to be gone.
      if (allowsSurge(observed.ds) && shouldRun && running.length === 0) create.push(nameOf(node));
    } else remove.push(...pods.filter((p) => !isDeleted(p)));
  }
  const known = new Set(observed.nodes.map(nameOf));
  for (const [node, pods] of observed.podsByNode) if (!known.has(node)) remove.push(...pods.filter((p) => !p.spec.nodeName && !isDeleted(p)));
  return { create, delete: remove };
}
/** Two Pods may share a node only while the old one is ready and the new one is not available yet. */
function surplusWithSurge({ ds, hash, now }: Observed, running: readonly Pod[]): Pod[] {
  if (running.length <= 1) return [];
  const fresh = running.find((p) => p.metadata.labels?.[CONTROLLER_REVISION_HASH] === hash);
  const old = running.find((p) => p.metadata.labels?.[CONTROLLER_REVISION_HASH] !== hash);
  const surplus = running.filter((p) => p !== fresh && p !== old);
  if (fresh && old && (!isPodReady(old) || isPodAvailable(fresh, ds.spec.minReadySeconds ?? 0, now))) surplus.push(old);
  return surplus;
}

function bounds({ ds, nodes }: Observed): { surge: number; unavailable: number } {
  const desired = nodes.filter((n) => nodeFit(ds, n).shouldRun).length;
  const { maxSurge, maxUnavailable } = ds.spec.updateStrategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, desired, 'up');
  const unavailable = scaledValue(maxUnavailable ?? 1, desired, 'up');
  return { surge, unavailable: surge === 0 && unavailable === 0 && desired > 0 ? 1 : unavailable };
}
/** The new and the old Pod of a node; undefined when there are more of a kind than one, which {@link placement} will see to. */
function pair({ ds, hash }: Observed, pods: readonly Pod[]): { fresh: Pod | undefined; old: Pod | undefined } | undefined {
  const alive = pods.filter((p) => !isDeleted(p));
  const fresh = alive.filter((p) => isUpdated(ds, p, hash));
  const old = alive.filter((p) => !isUpdated(ds, p, hash));
  return fresh.length > 1 || old.length > 1 ? undefined : { fresh: fresh[0], old: old[0] };
}

/** The next step of a rolling update. */
export function rollingUpdate(observed: Observed): Plan {
  const { surge, unavailable } = bounds(observed);
  return surge > 0 ? surgeStep(observed, surge) : replaceStep(observed, unavailable);
}
/** Deletes old Pods: those that are not available at once, the others as far as the bound allows. */
function replaceStep(observed: Observed, maxUnavailable: number): Plan {
  const isAvailable = (pod: Pod) => isPodAvailable(pod, observed.ds.spec.minReadySeconds ?? 0, observed.now);
  const broken: Pod[] = [];
  const candidates: Pod[] = [];
  let unavailable = 0;
  for (const pods of observed.podsByNode.values()) {
    const found = pair(observed, pods);
    if (!found || (!found.fresh && !found.old)) unavailable++;
    else if (found.fresh) unavailable += isAvailable(found.fresh) ? 0 : 1;
    else if (!isAvailable(found.old!)) broken.push(found.old!);
    else candidates.push(found.old!);
  }
  return { create: [], delete: [...broken, ...candidates.slice(0, Math.max(0, maxUnavailable - unavailable))] };
}
/** Makes new Pods beside the old ones, and deletes an old one when the new one is available. */
function surgeStep(observed: Observed, maxSurge: number): Plan {
  const isAvailable = (pod: Pod) => isPodAvailable(pod, observed.ds.spec.minReadySeconds ?? 0, observed.now);
  const urgent: string[] = [];
  const candidates: string[] = [];
  const replaced: Pod[] = [];
  let surging = 0;
  for (const [node, pods] of observed.podsByNode) {
    const found = pair(observed, pods);
    if (!found) surging++;
    else if (!found.old) continue;
    else if (!found.fresh) (isAvailable(found.old) ? candidates : urgent).push(node);
    else if (isAvailable(found.fresh)) replaced.push(found.old);
    else surging++;
  }
  return { create: [...urgent, ...candidates.slice(0, Math.max(0, maxSurge - surging))], delete: replaced };
}
