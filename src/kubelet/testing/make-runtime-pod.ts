/** Fluent builder of what the runtime has of a Pod. */
import type { Pod } from '#api/gen/core-v1.ts';
import { criMessage, type Init } from '#cri/schema.ts';
import type { ContainerState, ContainerStatus, PodSandboxStatus } from '#cri/types.ts';
import { containerHash, findContainer } from '../pods/containers.ts';
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-cache.ts';

const T0 = Date.parse('2026-01-02T03:00:00Z') * 1e6;

export class RuntimePodBuilder {
  readonly #pod: Pod;
  #sandboxes: PodSandboxStatus[] = [];
  #containers: RuntimeContainer[] = [];
  #made = 0;
  constructor(pod: Pod) {
    this.#pod = pod;
  }
  /** A sandbox newer than those before; containers that follow are in it. */
  sandbox(more: { ready?: boolean; ip?: string; hostNetwork?: boolean } = {}): this {
    const { ready = true, ip = '10.0.0.5', hostNetwork = this.#pod.spec.hostNetwork ?? false } = more;
    this.#sandboxes.unshift(criMessage('PodSandboxStatus', {
      id: `sandbox-${this.#sandboxes.length}`, metadata: { name: 'p', namespace: 'default', uid: 'u', attempt: this.#sandboxes.length }, state: ready ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY', createdAt: T0,
      network: { ip: hostNetwork ? '' : ip }, linux: { namespaces: { options: { network: hostNetwork ? 'NODE' : 'POD' } } },
    }));
    return this;
  }
  running(name: string, more: Init<ContainerStatus> & { hash?: string; restartCount?: number } = {}): this {
    return this.#add(name, 'CONTAINER_RUNNING', { startedAt: T0 + 1e9, ...more });
  }
  exited(name: string, exitCode = 0, more: Init<ContainerStatus> & { restartCount?: number } = {}): this {
    return this.#add(name, 'CONTAINER_EXITED', { exitCode, startedAt: T0 + 1e9, finishedAt: T0 + 2e9, reason: exitCode === 0 ? 'Completed' : 'Error', ...more });
  }
  created(name: string): this {
    return this.#add(name, 'CONTAINER_CREATED', {});
  }
  unknown(name: string): this {
    return this.#add(name, 'CONTAINER_UNKNOWN', {});
  }
  build(): RuntimePod {
    const { uid = '', name = '', namespace = '' } = this.#pod.metadata;
    return { uid, name, namespace, sandboxes: this.#sandboxes, containers: this.#containers };
  }
  #add(name: string, state: ContainerState, { hash, restartCount, ...more }: Init<ContainerStatus> & { hash?: string; restartCount?: number }): this {
    const container = findContainer(this.#pod, name)?.container;
    const runs = this.#containers.filter((c) => c.name === name).length;
    const status = criMessage('ContainerStatus', { id: `${name}-${runs}`, metadata: { name, attempt: runs }, state, createdAt: T0 + this.#made++, imageRef: 'sha256:abc', image: { image: 'docker.io/library/busybox:latest' }, ...more });
    this.#containers.unshift({ ...status, sandboxId: this.#sandboxes[0]?.id ?? '', name, restartCount: restartCount ?? runs, hash: hash ?? (container ? containerHash(container) : '') });
    return this;
  }
}
export function makeRuntimePod(pod: Pod): RuntimePodBuilder {
  return new RuntimePodBuilder(pod);
}
