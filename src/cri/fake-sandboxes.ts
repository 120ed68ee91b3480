import type { Clock } from '#base/clock.ts';
import { CriError } from './error.ts';
import type { FakeEvents } from './fake-events.ts';
import { once } from './fake-images.ts';
import { criMessage, type Init } from './schema.ts';
import type { PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata, PodSandboxState, PodSandboxStats, PodSandboxStatus, RunPodSandboxRequest, RuntimeService } from './types.ts';

/** One sandbox of a {@link FakeRuntime}. */
export interface SandboxRecord {
  readonly id: string;
  readonly config: Init<PodSandboxConfig>;
  readonly metadata: PodSandboxMetadata;
  readonly runtimeHandler: string;
  readonly createdAt: number;
  state: PodSandboxState;
  /** Empty for the node's own network. */
  ip: string;
}

/** What happens to the containers of a sandbox. */
export interface ContainersOfSandbox {
  stopAll(sandbox: SandboxRecord): void;
  removeAll(sandbox: SandboxRecord): void;
}

export interface FakeSandboxesOptions {
  readonly clock: Clock;
  readonly events: FakeEvents;
  /** A /24 such as `10.244.0.0/24`. */
  readonly podCIDR: string;
  readonly newId: () => string;
  readonly failure: (request: Init<RunPodSandboxRequest>) => CriError | undefined;
  readonly containers: () => ContainersOfSandbox;
}

export type SandboxService = Pick<RuntimeService, 'runPodSandbox' | 'stopPodSandbox' | 'removePodSandbox' | 'podSandboxStatus' | 'listPodSandbox' | 'streamPodSandboxes' | 'podSandboxStats' | 'listPodSandboxStats' | 'streamPodSandboxStats' | 'updatePodSandboxResources'>;

/** The sandboxes of a {@link FakeRuntime}: their names, addresses and states. */
export class FakeSandboxes {
  readonly #options: FakeSandboxesOptions;
  readonly #sandboxes = new Map<string, SandboxRecord>();

  constructor(options: FakeSandboxesOptions) {
    this.#options = options;
  }

  get(id: string): SandboxRecord {
    const sandbox = this.#sandboxes.get(id);
    if (!sandbox) throw new CriError('NotFound', `an error occurred when try to find sandbox: not found`);
    return sandbox;
  }

  readonly service: SandboxService = {
    runPodSandbox: async (request) => ({ podSandboxId: this.#run(request).id }),
    stopPodSandbox: async ({ podSandboxId = '' }) => {
      const sandbox = this.#sandboxes.get(podSandboxId);
      if (sandbox) this.#stop(sandbox);
      return {};
    },
    removePodSandbox: async ({ podSandboxId = '' }) => {
      const sandbox = this.#sandboxes.get(podSandboxId);
      if (!sandbox) return {};
      this.#stop(sandbox);
      this.#options.containers().removeAll(sandbox);
      this.#sandboxes.delete(podSandboxId);
      this.#emit(sandbox, 'CONTAINER_DELETED_EVENT');
      return {};
    },
    podSandboxStatus: async ({ podSandboxId = '' }) => criMessage('PodSandboxStatusResponse', { status: statusOf(this.get(podSandboxId)) }),
    listPodSandbox: async ({ filter }) => ({ items: this.#list(filter).map(itemOf) }),
    streamPodSandboxes: ({ filter }) => once(async () => criMessage('StreamPodSandboxesResponse', { podSandboxes: this.#list(filter).map(itemOf) })),
    podSandboxStats: async ({ podSandboxId = '' }) => ({ stats: statsOf(this.get(podSandboxId)) }),
    listPodSandboxStats: async ({ filter }) => ({ stats: this.#list({ id: filter?.id ?? '', labelSelector: filter?.labelSelector ?? {} }).map(statsOf) }),
    streamPodSandboxStats: () => once(async () => criMessage('StreamPodSandboxStatsResponse', { podSandboxStats: this.#list().map(statsOf) })),
    updatePodSandboxResources: async ({ podSandboxId = '' }) => {
      this.get(podSandboxId);
      return {};
    },
  };

  #run(request: Init<RunPodSandboxRequest>): SandboxRecord {
    const failure = this.#options.failure(request);
    if (failure) throw failure;
    const config = request.config ?? {};
    const metadata = criMessage('PodSandboxMetadata', config.metadata ?? {});
    const name = nameOf(metadata);
    const holder = [...this.#sandboxes.values()].find((s) => nameOf(s.metadata) === name);
    if (holder) throw new CriError('Unknown', `failed to reserve sandbox name "${name}": name "${name}" is reserved for "${holder.id}"`);
    const onHost = config.linux?.securityContext?.namespaceOptions?.network === 'NODE';
    const sandbox: SandboxRecord = {
      id: this.#options.newId(), config, metadata, runtimeHandler: request.runtimeHandler ?? '', createdAt: this.#options.clock.now() * 1e6, state: 'SANDBOX_READY', ip: onHost ? '' : this.#freeAddress(),
    };
    this.#sandboxes.set(sandbox.id, sandbox);
    this.#emit(sandbox, 'CONTAINER_CREATED_EVENT');
    this.#emit(sandbox, 'CONTAINER_STARTED_EVENT');
    return sandbox;
  }

  #stop(sandbox: SandboxRecord): void {
    this.#options.containers().stopAll(sandbox);
    if (sandbox.state === 'SANDBOX_NOTREADY') return;
    sandbox.state = 'SANDBOX_NOTREADY';
    sandbox.ip = '';
    this.#emit(sandbox, 'CONTAINER_STOPPED_EVENT');
  }

  #emit(sandbox: SandboxRecord, type: Parameters<FakeEvents['emit']>[1]): void {
    this.#options.events.emit(sandbox.id, type, this.#options.clock.now() * 1e6);
  }

  #freeAddress(): string {
    const prefix = this.#options.podCIDR.replace(/\.\d+\/\d+$/, '');
    const used = new Set([...this.#sandboxes.values()].map((s) => s.ip));
    for (let host = 2; host < 255; host++) if (!used.has(`${prefix}.${host}`)) return `${prefix}.${host}`;
    throw new CriError('Unknown', `failed to setup network for sandbox: plugin type="bridge" failed (add): failed to allocate for range 0: no IP addresses available in range set: ${prefix}.1-${prefix}.254`);
  }

  #list(filter?: Init<PodSandboxFilter>): SandboxRecord[] {
    return [...this.#sandboxes.values()].filter((s) => {
      if (filter?.id && s.id !== filter.id) return false;
      if (filter?.state && s.state !== filter.state.state) return false;
      return hasLabels(s.config.labels, filter?.labelSelector);
    });
  }
}

/** True when `labels` has every pair of `selector`. */
export function hasLabels(labels: Readonly<Record<string, string | undefined>> = {}, selector: Readonly<Record<string, string | undefined>> = {}): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

function nameOf(m: PodSandboxMetadata): string {
  return `${m.name}_${m.namespace}_${m.uid}_${m.attempt}`;
}
function statusOf(s: SandboxRecord): Init<PodSandboxStatus> {
  const namespaces = { options: s.config.linux?.securityContext?.namespaceOptions ?? {} };
  return { id: s.id, metadata: s.metadata, state: s.state, createdAt: s.createdAt, network: { ip: s.ip }, linux: { namespaces }, labels: s.config.labels, annotations: s.config.annotations, runtimeHandler: s.runtimeHandler };
}
function itemOf(s: SandboxRecord): PodSandbox {
  return criMessage('PodSandbox', { id: s.id, metadata: s.metadata, state: s.state, createdAt: s.createdAt, labels: s.config.labels, annotations: s.config.annotations, runtimeHandler: s.runtimeHandler });
}
function statsOf(s: SandboxRecord): PodSandboxStats {
  return criMessage('PodSandboxStats', { attributes: { id: s.id, metadata: s.metadata, labels: s.config.labels, annotations: s.config.annotations } });
}
