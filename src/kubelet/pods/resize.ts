/**
 * In-place resize: what a Pod asks for, what the node has granted it, and what its containers run with (KEP-1287).
 *
 * ```
 *   spec ──fits?──▶ allocated ──UpdateContainerResources──▶ actuated
 *     └─no─▶ PodResizePending (Deferred, Infeasible)   └─ until then PodResizeInProgress
 * ```
 * Allocations outlive the kubelet's process: they are kept in the Pod's directory.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Node, Pod, PodCondition, ResourceRequirements } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { podLimits } from '../cgroups/cgroup-manager.ts';
import type { KubeletConfig } from '../config.ts';
import { effectiveResources, linuxResources } from '../runtime/linux-resources.ts';
import type { ContainerToKill } from '../runtime/pod-actions.ts';
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-cache.ts';
import { podRequests } from './admission.ts';
import { podDir } from './paths.ts';
import { memoryBytes, qosOf } from './qos.ts';

/** By the name of the container; those of the Pod as a whole have none (KEP-5419). */
type ByContainer = Map<string, ResourceRequirements>;
const POD = '';
interface Pending {
  readonly reason: 'Deferred' | 'Infeasible';
  readonly message: string;
}
interface Entry {
  readonly allocated: ByContainer;
  readonly actuated: ByContainer;
  /** Written to the Pod's directory: only Pods that were resized have a file. */
  kept: boolean;
  pending?: Pending | undefined;
  error?: string | undefined;
}
/** A running container, with what it is given now and what it is to be given. */
interface Change {
  readonly c: Container;
  readonly run: RuntimeContainer;
  readonly from: ResourceRequirements;
  readonly to: ResourceRequirements;
}
export interface ResizeView {
  allocatedOf(container: string): ResourceRequirements | undefined;
  actuatedOf(container: string): ResourceRequirements | undefined;
  /** The Pod as the node has granted it, and as it runs. */
  readonly allocated: Pod;
  readonly actuated: Pod;
  readonly conditions: readonly Omit<PodCondition, 'lastTransitionTime'>[];
}
export interface ResizerOptions {
  readonly config: KubeletConfig;
  readonly runtime: Pick<ContainerRuntime, 'updateContainerResources'>;
  readonly recorder: EventRecorder;
  readonly cgroups: Parameters<typeof linuxResources>[3];
  memoryCapacityBytes(): number;
  node(): Node | undefined;
  /** The other Pods that use the node. */
  others(uid: string): readonly Pod[];
  /** Bytes that a container of the Pod uses now, or the Pod with all of them; undefined where that is not known. */
  memoryUsage(pod: Pod, containerId?: string): Promise<number | undefined>;
  /** Gives the Pod's cgroup the limits of this Pod; with `raiseOnly` none below what it has. */
  resizePod(pod: Pod, options?: { readonly raiseOnly?: boolean }): Promise<unknown>;
}

export class Resizer {
  readonly #o: ResizerOptions;
  readonly #entries = new Map<string, Entry>();
  constructor(options: ResizerOptions) {
    this.#o = options;
  }

  /** The Pod with the resources that the node has granted it: what everything else on the node goes by. */
  async allocate(pod: Pod): Promise<Pod> {
    const entry = await this.#entryOf(pod);
    const asked = parts(pod).filter((c) => !sameResources(entry.allocated.get(c.name), c.resources));
    if (asked.length === 0) entry.pending = undefined;
    else {
      const refusal = this.#refusal(pod);
      if (refusal && refusal.message !== entry.pending?.message) this.#event(pod, 'Warning', `Resize${refusal.reason}`, refusal.message);
      entry.pending = refusal;
      if (!refusal) {
        for (const c of asked) entry.allocated.set(c.name, c.resources ?? {});
        await this.#save(pod, entry);
        this.#event(pod, 'Normal', 'ResizeStarted', `Pod resize started: ${describe(asked)}`);
      }
    }
    return this.allocatedPod(pod);
  }
  /** The same, from what was granted before. */
  allocatedPod(pod: Pod): Pod {
    const entry = this.#entries.get(uidOf(pod));
    return entry ? withResources(pod, entry.allocated) : pod;
  }
  /** The Pod as it runs now: with what its containers were last given. */
  actuatedPod(pod: Pod): Pod {
    const entry = this.#entries.get(uidOf(pod));
    return entry ? withResources(pod, new Map([...entry.allocated, ...entry.actuated])) : pod;
  }

  /**
   * Brings running containers, and the Pod as a whole, to what was allocated; resolves with those that must be restarted for it. `pod` is the allocated
   * one. The Pod's own limits are never below its containers': they are raised before, and lowered after them.
   */
  async actuate(pod: Pod, runtime: RuntimePod | undefined, signal: AbortSignal): Promise<ContainerToKill[]> {
    const entry = await this.#entryOf(pod);
    const changed = this.#behind(pod, entry, runtime);
    const ofPod = !sameResources(entry.actuated.get(POD), pod.spec.resources);
    entry.error = undefined;
    if (changed.length === 0 && !ofPod) return [];
    const restart = changed.filter(({ c, from, to }) => needsRestart(c, from, to));
    const update = changed.filter((r) => !restart.includes(r));
    try {
      await this.#checkUsage(pod, update);
      await this.#o.resizePod(pod, { raiseOnly: true });
      for (const { c, run } of update) {
        await this.#o.runtime.updateContainerResources({ containerId: run.id, linux: linuxResources(pod, c, this.#o.memoryCapacityBytes(), this.#o.cgroups) }, { signal });
        entry.actuated.set(c.name, c.resources ?? {});
      }
      if (restart.length === 0) await this.#o.resizePod(pod);
      if (pod.spec.resources) entry.actuated.set(POD, pod.spec.resources);
      await this.#save(pod, entry);
      if (restart.length === 0) this.#event(pod, 'Normal', 'ResizeCompleted', `Pod resize completed: ${describe(update.map((u) => u.c))}`);
    } catch (err) {
      if (signal.aborted) throw err;
      entry.error = (err as Error).message;
      this.#event(pod, 'Warning', 'ResizeError', `Error resizing pod: ${entry.error}`);
    }
    return restart.map(({ c, run }) => ({ id: run.id, name: c.name, reason: 'specChanged', message: `Container ${c.name} resize requires restart` }));
  }
  /** What is in use cannot be taken away: the kernel would refuse it, or kill. Checked before anything is changed, as far as that can be known. */
  async #checkUsage(pod: Pod, update: readonly Change[]): Promise<void> {
    const errors: string[] = [];
    const check = async (what: string, from: number, to: number, containerId?: string) => {
      if (to === 0 || (from !== 0 && to >= from)) return;
      const usage = await this.#o.memoryUsage(pod, containerId);
      if (usage !== undefined && usage >= to) errors.push(`attempting to set ${what} memory limit (${to}) below current usage (${usage})`);
    };
    await check('pod', podLimits(this.actuatedPod(pod)).memoryBytes ?? 0, podLimits(pod).memoryBytes ?? 0);
    for (const { c, run, from, to } of update) await check(`container ${JSON.stringify(c.name)}`, memoryBytes(from.limits), memoryBytes(to.limits), run.id);
    if (errors.length > 0) throw new Error(`cannot decrease memory limits: ${errors.length === 1 ? errors[0] : `[${errors.join(', ')}]`}`);
  }
  /** Running containers that have not what is allocated to them. Others will start with it. `pod` is the allocated one. */
  #behind(pod: Pod, entry: Entry, runtime: RuntimePod | undefined): Change[] {
    const before = this.actuatedPod(pod);
    const [old, all] = [containersOf(before), containersOf(pod)];
    return all.flatMap((c, i) => {
      const run = runtime?.containers.find((r) => r.name === c.name && r.state === 'CONTAINER_RUNNING');
      if (!run) return [];
      const from = entry.actuated.has(c.name) ? effectiveResources(before, old[i]!) : {};
      const to = effectiveResources(pod, c);
      return sameResources(from, to) ? [] : [{ c, run, from, to }];
    });
  }
  /** A container was started with what this Pod says. */
  async started(pod: Pod, container: string): Promise<void> {
    const entry = this.#entries.get(uidOf(pod));
    const given = containersOf(pod).find((c) => c.name === container);
    if (!entry || !given || (entry.actuated.has(container) && sameResources(entry.actuated.get(container), given.resources))) return;
    entry.actuated.set(container, given.resources ?? {});
    if (entry.kept) await this.#save(pod, entry);
  }
  view(pod: Pod, runtime: RuntimePod | undefined): ResizeView | undefined {
    const entry = this.#entries.get(uidOf(pod));
    if (!entry) return undefined;
    const { pending, error } = entry;
    const allocated = this.allocatedPod(pod);
    const behind = this.#behind(allocated, entry, runtime).some(({ c }) => entry.actuated.has(c.name)) || !sameResources(entry.actuated.get(POD), entry.allocated.get(POD));
    return {
      allocatedOf: (name) => entry.allocated.get(name),
      actuatedOf: (name) => entry.actuated.get(name),
      allocated,
      actuated: this.actuatedPod(pod),
      conditions: [
        ...(pending ? [{ type: 'PodResizePending', status: 'True', ...pending }] : []),
        ...(behind || error ? [{ type: 'PodResizeInProgress', status: 'True', ...(error ? { reason: 'Error', message: error } : {}) }] : []),
      ],
    };
  }
  /** Whether bringing the Pod to what it was granted failed, and is to be tried again. */
  hasFailed(pod: Pod): boolean {
    return this.#entries.get(uidOf(pod))?.error !== undefined;
  }
  /** Pods whose resize waits for room. */
  deferred(): string[] {
    return [...this.#entries].filter(([, e]) => e.pending?.reason === 'Deferred').map(([uid]) => uid);
  }
  forget(uid: string): void {
    this.#entries.delete(uid);
  }

  async #entryOf(pod: Pod): Promise<Entry> {
    const known = this.#entries.get(uidOf(pod));
    if (known) return known;
    const kept = await this.#load(pod);
    const entry: Entry = { allocated: kept?.allocated ?? new Map(), actuated: kept?.actuated ?? new Map(), kept: kept !== undefined };
    if (pod.spec.resources && !entry.allocated.has(POD)) entry.allocated.set(POD, pod.spec.resources);
    const ofPod = entry.allocated.get(POD);
    if (ofPod && !entry.actuated.has(POD)) entry.actuated.set(POD, ofPod);
    for (const c of containersOf(pod)) {
      // A container that runs already, from an earlier process, runs with what the API was told of it.
      const status = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find((s) => s.name === c.name);
      const told = status?.state?.running ? status.resources : undefined;
      if (!entry.allocated.has(c.name)) entry.allocated.set(c.name, told ?? c.resources ?? {});
      if (told && !entry.actuated.has(c.name)) entry.actuated.set(c.name, told);
    }
    this.#entries.set(uidOf(pod), entry);
    return entry;
  }
  #refusal(pod: Pod): Pending | undefined {
    const pinned = this.#pinnedBy(pod);
    if (pinned !== undefined) return { reason: 'Infeasible', message: `Resize is infeasible for Guaranteed Pods alongside ${pinned}` };
    const allocatable = this.#o.node()?.status?.allocatable ?? {};
    const zero = parseQuantity('0');
    const others = this.#o.others(uidOf(pod)).map((p) => podRequests(this.allocatedPod(p)));
    for (const [resource, wanted] of podRequests(pod)) {
      if (resource !== 'cpu' && resource !== 'memory') continue;
      const capacity = parseQuantity(allocatable[resource] ?? '0');
      const used = others.reduce((sum, o) => sum.add(o.get(resource) ?? zero), zero);
      const number = (q: typeof zero): bigint => (resource === 'cpu' ? q.milliValue() : q.value());
      if (wanted.cmp(capacity) > 0) return { reason: 'Infeasible', message: `Node didn't have enough capacity: ${resource}, requested: ${number(wanted)}, capacity: ${number(capacity)}` };
      if (wanted.add(used).cmp(capacity) > 0) return { reason: 'Deferred', message: `Node didn't have enough resource: ${resource}, requested: ${number(wanted)}, used: ${number(used)}, capacity: ${number(capacity)}` };
    }
    return undefined;
  }
  /** The policy by which a container that is to be resized may have that resource for itself: what it was given stays as it is. */
  #pinnedBy(pod: Pod): string | undefined {
    if (qosOf(pod) !== 'Guaranteed') return undefined;
    const { cpuManagerPolicy, memoryManagerPolicy } = this.#o.config;
    const allocated = this.#entries.get(uidOf(pod))?.allocated;
    const changes = (resource: string): boolean => containersOf(pod).some((c) => !sameQuantity(allocated?.get(c.name)?.requests?.[resource], c.resources?.requests?.[resource]));
    if (cpuManagerPolicy === 'static' && changes('cpu')) return 'CPU Manager policy "static"';
    return memoryManagerPolicy === 'Static' && changes('memory') ? 'Memory Manager policy "Static"' : undefined;
  }
  #file(pod: Pod): string {
    return join(podDir(this.#o.config, uidOf(pod)), 'allocation.json');
  }
  async #load(pod: Pod): Promise<{ allocated: ByContainer; actuated: ByContainer } | undefined> {
    const text = await readFile(this.#file(pod), 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    const kept = JSON.parse(text) as Record<'allocated' | 'actuated', Record<string, ResourceRequirements>>;
    return { allocated: new Map(Object.entries(kept.allocated)), actuated: new Map(Object.entries(kept.actuated)) };
  }
  /** Only what was resized needs remembering: everything else is as its spec says. */
  async #save(pod: Pod, entry: Entry): Promise<void> {
    const path = this.#file(pod);
    await writeFile(`${path}.tmp`, JSON.stringify({ allocated: Object.fromEntries(entry.allocated), actuated: Object.fromEntries(entry.actuated) }));
    await rename(`${path}.tmp`, path);
    entry.kept = true;
  }
  #event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#o.recorder.eventFor(referenceTo(pod), type, reason, message);
  }
}

/** Containers whose resources may change while they run. */
function containersOf(pod: Pod): Container[] {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
}
/** All that may be resized: the Pod as a whole among its containers. */
function parts(pod: Pod): Pick<Container, 'name' | 'resources'>[] {
  return [{ name: POD, resources: pod.spec.resources }, ...containersOf(pod)];
}
function withResources(pod: Pod, by: ReadonlyMap<string, ResourceRequirements>): Pod {
  if (parts(pod).every((c) => sameResources(by.get(c.name), c.resources))) return pod;
  const grant = (c: Container): Container => (by.has(c.name) ? { ...c, resources: by.get(c.name) } : c);
  const { initContainers, containers } = pod.spec;
  return { ...pod, spec: { ...pod.spec, containers: containers.map(grant), ...(initContainers && { initContainers: initContainers.map(grant) }), resources: by.get(POD) } };
}
function sameResources(a: ResourceRequirements | undefined, b: ResourceRequirements | undefined): boolean {
  return (['requests', 'limits'] as const).every((list) => ['cpu', 'memory'].every((name) => sameQuantity(a?.[list]?.[name], b?.[list]?.[name])));
}
function sameQuantity(a: string | undefined, b: string | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && parseQuantity(a).cmp(parseQuantity(b)) === 0);
}
/** Whether a resource that changes has the policy RestartContainer. */
function needsRestart(c: Container, from: ResourceRequirements, to: ResourceRequirements): boolean {
  return (c.resizePolicy ?? []).some(({ resourceName, restartPolicy }) =>
    restartPolicy === 'RestartContainer' && (['requests', 'limits'] as const).some((list) => !sameQuantity(from[list]?.[resourceName], to[list]?.[resourceName])));
}
function describe(resized: readonly Pick<Container, 'name' | 'resources'>[]): string {
  return JSON.stringify({ containers: resized.filter((c) => c.name !== POD).map((c) => ({ name: c.name, resources: c.resources ?? {} })) });
}
