/** Fluent builder of Pods for the kubelet's tests. Each method gives a new builder. */
import type { Container, EphemeralContainer, Pod, PodSpec, PodStatus, Volume } from '#api/gen/core-v1.ts';

export class PodBuilder {
  readonly #pod: Pod;
  constructor(pod: Pod) {
    this.#pod = pod;
  }
  #with(change: Partial<Pod>): PodBuilder {
    return new PodBuilder({ ...this.#pod, ...change });
  }
  meta(change: Partial<Pod['metadata']>): PodBuilder {
    return this.#with({ metadata: { ...this.#pod.metadata, ...change } });
  }
  spec(change: Partial<PodSpec>): PodBuilder {
    return this.#with({ spec: { ...this.#pod.spec, ...change } });
  }
  status(change: Partial<PodStatus>): PodBuilder {
    return this.#with({ status: { ...this.#pod.status, ...change } });
  }
  restartPolicy(restartPolicy: 'Always' | 'OnFailure' | 'Never'): PodBuilder {
    return this.spec({ restartPolicy });
  }
  container(name: string, more: Partial<Container> = {}): PodBuilder {
    return this.spec({ containers: [...this.#pod.spec.containers, { name, image: 'busybox', ...more }] });
  }
  init(name: string, more: Partial<Container> = {}): PodBuilder {
    return this.spec({ initContainers: [...(this.#pod.spec.initContainers ?? []), { name, image: 'busybox', ...more }] });
  }
  sidecar(name: string, more: Partial<Container> = {}): PodBuilder {
    return this.init(name, { restartPolicy: 'Always', ...more });
  }
  ephemeral(name: string, more: Partial<EphemeralContainer> = {}): PodBuilder {
    return this.spec({ ephemeralContainers: [...(this.#pod.spec.ephemeralContainers ?? []), { name, image: 'busybox', ...more }] });
  }
  volume(name: string, source: Omit<Volume, 'name'>): PodBuilder {
    return this.spec({ volumes: [...(this.#pod.spec.volumes ?? []), { name, ...source }] });
  }
  deleting(graceSeconds = 30): PodBuilder {
    return this.meta({ deletionTimestamp: '2026-01-02T03:05:00Z', deletionGracePeriodSeconds: graceSeconds });
  }
  build(): Pod {
    return this.#pod;
  }
}

/** A Pod of the namespace `default` without containers. */
export function makePod(name = 'web', uid = `uid-${name}`): PodBuilder {
  return new PodBuilder({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', uid, generation: 1 }, spec: { restartPolicy: 'Always', containers: [] } });
}
