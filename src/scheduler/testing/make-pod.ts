/** Pods for tests, built fluently: `makePod('web').req({ cpu: '1' }).label('app', 'web').obj()`. */
import type { Affinity, Container, Pod, PodAffinityTerm, PodSpec, PodStatus, Toleration, TopologySpreadConstraint, Volume } from '#api/gen/core-v1.ts';
import type { LabelSelector, ObjectMeta, OwnerReference } from '#api/gen/meta-v1.ts';
import type { Draft } from '#base/draft.ts';
import { deepFreeze, draftOf } from '#base/draft.ts';

export class PodBuilder {
  readonly #meta: Draft<ObjectMeta>;
  readonly #spec: Draft<PodSpec> = { containers: [], schedulerName: 'default-scheduler' };
  #status: Draft<PodStatus> = { phase: 'Pending' };

  constructor(name: string) {
    this.#meta = { name, namespace: 'default', uid: name, resourceVersion: '1' };
  }
  /** The Pod, deeply frozen. */
  obj(): Pod {
    const spec = draftOf(this.#spec);
    if (spec.containers.length === 0) spec.containers = [{ name: 'c0', image: 'pause' }];
    return deepFreeze({ apiVersion: 'v1', kind: 'Pod', metadata: draftOf(this.#meta), spec, status: draftOf(this.#status) }) as Pod;
  }
  namespace(namespace: string): this {
    this.#meta.namespace = namespace;
    return this;
  }
  uid(uid: string): this {
    this.#meta.uid = uid;
    return this;
  }
  label(key: string, value: string): this {
    this.#meta.labels = { ...this.#meta.labels, [key]: value };
    return this;
  }
  terminating(at = '2026-01-01T00:00:00Z'): this {
    this.#meta.deletionTimestamp = at;
    return this;
  }
  owner(kind: string, name: string, apiVersion = 'apps/v1'): this {
    const ref: OwnerReference = { apiVersion, kind, name, uid: `${kind}-${name}`, controller: true };
    this.#meta.ownerReferences = [draftOf(ref)];
    return this;
  }
  node(nodeName: string): this {
    this.#spec.nodeName = nodeName;
    return this;
  }
  scheduler(name: string): this {
    this.#spec.schedulerName = name;
    return this;
  }
  priority(priority: number): this {
    this.#spec.priority = priority;
    return this;
  }
  preemptionPolicy(policy: 'Never' | 'PreemptLowerPriority'): this {
    this.#spec.preemptionPolicy = policy;
    return this;
  }
  gate(...names: string[]): this {
    this.#spec.schedulingGates = names.map((name) => ({ name }));
    return this;
  }
  /** One more container with these requests. */
  req(requests: Record<string, string>, image = 'pause'): this {
    return this.container({ name: `c${this.#spec.containers.length}`, image, resources: { requests } });
  }
  initReq(requests: Record<string, string>, restartPolicy?: 'Always'): this {
    const list = (this.#spec.initContainers ??= []);
    list.push({ name: `i${list.length}`, image: 'pause', resources: { requests }, ...(restartPolicy ? { restartPolicy } : {}) });
    return this;
  }
  container(container: Container): this {
    this.#spec.containers.push(draftOf(container));
    return this;
  }
  hostPort(hostPort: number, protocol: 'TCP' | 'UDP' | 'SCTP' = 'TCP', hostIP = ''): this {
    return this.container({ name: `c${this.#spec.containers.length}`, image: 'pause', ports: [{ containerPort: hostPort, hostPort, protocol, hostIP }] });
  }
  overhead(overhead: Record<string, string>): this {
    this.#spec.overhead = overhead;
    return this;
  }
  nodeSelector(labels: Record<string, string>): this {
    this.#spec.nodeSelector = labels;
    return this;
  }
  toleration(toleration: Toleration): this {
    (this.#spec.tolerations ??= []).push(draftOf(toleration));
    return this;
  }
  affinity(affinity: Affinity): this {
    this.#spec.affinity = { ...this.#spec.affinity, ...draftOf(affinity) };
    return this;
  }
  /** Wants a Pod with these labels in the same domain. */
  podAffinity(topologyKey: string, matchLabels: Record<string, string>, more: Partial<PodAffinityTerm> = {}): this {
    return this.affinity({ podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: { matchLabels }, ...more }] } });
  }
  podAntiAffinity(topologyKey: string, matchLabels: Record<string, string>, more: Partial<PodAffinityTerm> = {}): this {
    return this.affinity({ podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: { matchLabels }, ...more }] } });
  }
  spread(topologyKey: string, maxSkew: number, whenUnsatisfiable: 'DoNotSchedule' | 'ScheduleAnyway', labelSelector: LabelSelector, more: Partial<TopologySpreadConstraint> = {}): this {
    (this.#spec.topologySpreadConstraints ??= []).push(draftOf({ topologyKey, maxSkew, whenUnsatisfiable, labelSelector, ...more }));
    return this;
  }
  volume(volume: Volume): this {
    (this.#spec.volumes ??= []).push(draftOf(volume));
    return this;
  }
  pvc(claimName: string): this {
    return this.volume({ name: `v${this.#spec.volumes?.length ?? 0}`, persistentVolumeClaim: { claimName } });
  }
  status(status: PodStatus): this {
    this.#status = { ...this.#status, ...draftOf(status) };
    return this;
  }
  startTime(startTime: string): this {
    return this.status({ startTime });
  }
  nominated(nominatedNodeName: string): this {
    return this.status({ nominatedNodeName });
  }
}
export function makePod(name: string): PodBuilder {
  return new PodBuilder(name);
}
