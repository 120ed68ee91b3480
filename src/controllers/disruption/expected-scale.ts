/** How many Pods the controllers of a budget's Pods want. */
import type { OwnerReference } from '#api/gen/meta-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf, splitApiVersion, uidOf, type KubeObject } from '#api/object.ts';
import type { InformerFactory } from '#client/informer.ts';
import { DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS, type KindRef } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import type { ControllerContext } from '../controller.ts';
import { controllerOf } from '../workload/controller-ref.ts';

interface Scale {
  readonly uid: string;
  readonly replicas: number;
}
export interface ExpectedScale {
  readonly expected: number;
  /** Pods without a controller. */
  readonly unmanaged: readonly Pod[];
}
type Scalable = KubeObject & { readonly spec?: { readonly replicas?: number | undefined } | undefined };

export class ScaleFinder {
  readonly #context: ControllerContext;

  constructor(context: ControllerContext) {
    this.#context = context;
  }
  /** Rejects when a controller is unknown, or of a kind that cannot be scaled. */
  async expected(pods: readonly Pod[], namespace: string, signal: AbortSignal): Promise<ExpectedScale> {
    const scales = new Map<string, number>();
    const seen = new Set<string>();
    const unmanaged: Pod[] = [];
    for (const pod of pods) {
      const ref = controllerOf(pod);
      if (!ref) unmanaged.push(pod);
      if (!ref || seen.has(ref.uid)) continue;
      seen.add(ref.uid);
      const scale = await this.#find(ref, namespace, signal);
      if (!scale) throw new Error(`found no controllers for pod ${JSON.stringify(nameOf(pod))}`);
      scales.set(scale.uid, scale.replicas);
    }
    return { expected: [...scales.values()].reduce((a, b) => a + b, 0), unmanaged };
  }
  async #find(ref: OwnerReference, namespace: string, signal: AbortSignal): Promise<Scale | undefined> {
    const { group } = splitApiVersion(ref.apiVersion);
    switch (`${group}/${ref.kind}`) {
      case '/ReplicationController':
        return this.#cached(REPLICATION_CONTROLLERS, ref, namespace);
      case 'apps/StatefulSet':
        return this.#cached(STATEFUL_SETS, ref, namespace);
      case 'apps/ReplicaSet':
        return this.#replicaSet(ref, namespace);
      default:
        return await this.#scale(ref, namespace, signal);
    }
  }
  #cached<T extends Scalable>(kind: KindRef<T>, ref: OwnerReference, namespace: string): Scale | undefined {
    const informers: InformerFactory = this.#context.informers;
    const owner = informers.informer(kind).get(namespace, ref.name);
    return owner && uidOf(owner) === ref.uid ? { uid: ref.uid, replicas: owner.spec?.replicas ?? 0 } : undefined;
  }
  /** The Deployment's number, where it has the ReplicaSet. */
  #replicaSet(ref: OwnerReference, namespace: string): Scale | undefined {
    const owner = this.#context.informers.informer(REPLICA_SETS).get(namespace, ref.name);
    const above = owner && uidOf(owner) === ref.uid ? controllerOf(owner) : undefined;
    return above?.kind === 'Deployment' ? this.#cached(DEPLOYMENTS, above, namespace) : this.#cached(REPLICA_SETS, ref, namespace);
  }
  /** Asks the scale subresource of any other kind. */
  async #scale(ref: OwnerReference, namespace: string, signal: AbortSignal): Promise<Scale | undefined> {
    const { group, version } = splitApiVersion(ref.apiVersion);
    const resource = this.#context.resources.list().find((r) => r.group === group && r.version === version && r.kind === ref.kind && r.namespaced);
    if (!resource) return undefined;
    if (!resource.subresources.some((s) => s.name === 'scale')) throw new Error(`${resource.plural}${group ? `.${group}` : ''} does not implement the scale subresource`);
    try {
      const scale = (await this.#context.client.transport.call({ verb: 'get', resource, namespace, name: ref.name, subresource: 'scale' }, signal)) as Scalable;
      return uidOf(scale) === ref.uid ? { uid: ref.uid, replicas: scale.spec?.replicas ?? 0 } : undefined;
    } catch (err) {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    }
  }
}
