/**
 * Lets Pods in whose devices, CPUs and memory can lie together as the node's policy wants, and has them given there.
 *
 * ```
 *   Pod ──▶ hints of every provider ──merge──▶ place ──not good enough──▶ TopologyAffinityError
 *             (of the Pod, or of each          └──▶ every provider allocates on it
 *              container in turn)
 * ```
 * One Pod at a time: what a place is good for must still be there when it is used. Without a policy nobody is asked for hints.
 * Upstream's counterpart: the topology manager. Source: tasks/administer-cluster/topology-manager.
 */
import type { Container, Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { KubeletMetrics } from '../metrics.ts';
import { topologyAffinityError } from './admission-error.ts';
import type { Hint, ResourceHints } from './hints.ts';
import { nodesOf } from './numa-mask.ts';
import type { TopologyPolicy } from './policy.ts';

const log = logger('kubelet');
/** No place in particular. */
export const NO_AFFINITY: Hint = { nodes: undefined, preferred: false };

/** Something that containers are given for themselves. */
export interface HintProvider {
  /** Begins with one Pod; what containers of it leave to later ones is kept in what is returned. */
  begin(pod: Pod): ProviderAdmission;
}
export interface ProviderAdmission {
  /** Where all that the Pod asks for can be had. */
  podHints(): ResourceHints;
  hints(container: Container): ResourceHints;
  /** Gives a container what it asks for, if possible at this place; what it has already it keeps. Rejects with what the Pod is told. */
  allocate(container: Container, affinity: Hint, signal: AbortSignal): Promise<void>;
}
export type TopologyScope = 'container' | 'pod';
export interface TopologyManagerOptions {
  /** Absent: things are given wherever they are. */
  readonly policy?: TopologyPolicy | undefined;
  readonly scope: TopologyScope;
  readonly providers: readonly HintProvider[];
  readonly metrics: KubeletMetrics;
  readonly clock: Clock;
}

export class TopologyManager {
  readonly #o: TopologyManagerOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: TopologyManagerOptions) {
    this.#o = options;
    const { policy, metrics } = options;
    if (policy) for (const scope of ['container', 'pod'] as const) for (const counter of [metrics.aligned, metrics.alignedFailures]) counter.inc({ scope, boundary: 'numa_node' }, 0);
  }
  /** Rejects with why the Pod cannot run here. */
  async admit(pod: Pod, signal: AbortSignal): Promise<void> {
    const { policy, metrics, clock } = this.#o;
    metrics.topologyAdmissions.inc();
    const admit = async (): Promise<void> => {
      signal.throwIfAborted();
      const began = clock.monotonic();
      try {
        await this.#admit(pod, signal);
      } finally {
        metrics.topologyAdmissionMs.observe(clock.monotonic() - began);
      }
    };
    if (!policy) return await admit();
    const done = this.#last.then(admit);
    this.#last = done.catch(() => {});
    await done;
  }
  async #admit(pod: Pod, signal: AbortSignal): Promise<void> {
    const { policy, scope, providers, metrics } = this.#o;
    const admissions = providers.map((p) => p.begin(pod));
    const ofPod = policy && scope === 'pod' ? this.#place(policy, pod, admissions.map((a) => a.podHints())) : NO_AFFINITY;
    for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
      const affinity = policy && scope === 'container' ? this.#place(policy, pod, admissions.map((a) => a.hints(container)), container) : ofPod;
      try {
        for (const a of admissions) await a.allocate(container, affinity, signal);
      } catch (err) {
        if (policy) metrics.topologyErrors.inc();
        throw err;
      }
      if (policy?.guaranteesAlignment && scope === 'container') metrics.aligned.inc({ scope, boundary: 'numa_node' });
    }
    if (policy?.guaranteesAlignment && scope === 'pod') metrics.aligned.inc({ scope, boundary: 'numa_node' });
  }
  #place(policy: TopologyPolicy, pod: Pod, hints: readonly ResourceHints[], container?: Container): Hint {
    const { scope, metrics } = this.#o;
    const { admit, ...hint } = policy.place(hints);
    log.debug({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, container: container?.name, nodes: hint.nodes === undefined ? 'any' : nodesOf(hint.nodes), preferred: hint.preferred, admit }, 'NUMA nodes for what a pod asks for');
    if (admit) return hint;
    if (policy.guaranteesAlignment) metrics.alignedFailures.inc({ scope, boundary: 'numa_node' });
    metrics.topologyErrors.inc();
    throw topologyAffinityError();
  }
}
