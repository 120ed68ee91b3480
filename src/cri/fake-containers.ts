import { sleep, type Clock, type Timer } from '#base/clock.ts';
import type { CallOptions } from './call.ts';
import { CriError } from './error.ts';
import type { FakeEvents } from './fake-events.ts';
import { once, type FakeImages } from './fake-images.ts';
import { hasLabels, type ContainersOfSandbox, type FakeSandboxes, type SandboxRecord } from './fake-sandboxes.ts';
import { criMessage, type Init } from './schema.ts';
import type {
  Container, ContainerConfig, ContainerFilter, ContainerStats, ContainerStatus, CreateContainerRequest, ExecSyncRequest, ExecSyncResponse, PodSandboxConfig, RuntimeService,
} from './types.ts';

/** What one container does. Absent means: created and started at once, runs until it is stopped, heeds SIGTERM at once. */
export interface ContainerScript {
  readonly createError?: CriError | undefined;
  readonly startError?: CriError | undefined;
  readonly startDelayMs?: number | undefined;
  /** Ends by itself `afterMs` after its start. `reason` defaults to `Completed` or `Error`. */
  readonly exit?: { readonly afterMs: number; readonly code: number; readonly reason?: string; readonly message?: string } | undefined;
  /** How it answers SIGTERM: not at all, or by ending `afterMs` later with `code`. */
  readonly term?: 'ignore' | { readonly afterMs: number; readonly code: number } | undefined;
  readonly execSync?: ((request: Init<ExecSyncRequest>) => Init<ExecSyncResponse> | Promise<Init<ExecSyncResponse>>) | undefined;
  readonly usage?: { readonly nanoCores: number; readonly memoryBytes: number } | undefined;
}

export type ScriptOf = (config: Init<ContainerConfig>, sandbox: Init<PodSandboxConfig>) => ContainerScript | undefined;

export interface FakeContainersOptions {
  readonly clock: Clock;
  readonly events: FakeEvents;
  readonly images: FakeImages;
  readonly sandboxes: FakeSandboxes;
  readonly newId: () => string;
  readonly script: ScriptOf;
  /** Images need not have been pulled. */
  readonly anyImage: boolean;
}

export type ContainerService = Pick<RuntimeService, 'createContainer' | 'startContainer' | 'stopContainer' | 'removeContainer' | 'listContainers' | 'streamContainers' | 'containerStatus' | 'updateContainerResources' | 'reopenContainerLog' | 'execSync' | 'containerStats' | 'listContainerStats' | 'streamContainerStats'>;

interface ContainerRecord {
  status: ContainerStatus;
  readonly config: Init<ContainerConfig>;
  readonly sandbox: SandboxRecord;
  readonly script: ContainerScript;
  readonly name: string;
  readonly timers: Set<Timer>;
  readonly ended: PromiseWithResolvers<void>;
}

const SIGKILL_CODE = 137;
const SIGTERM_CODE = 143;

/** The containers of a {@link FakeRuntime}: they follow their scripts on the injected clock. */
export class FakeContainers implements ContainersOfSandbox {
  readonly #options: FakeContainersOptions;
  readonly #containers = new Map<string, ContainerRecord>();

  constructor(options: FakeContainersOptions) {
    this.#options = options;
  }

  readonly service: ContainerService = {
    createContainer: async (request) => ({ containerId: this.#create(request).status.id }),
    startContainer: async ({ containerId = '' }, options) => {
      await this.#start(this.#get(containerId), options);
      return {};
    },
    stopContainer: async ({ containerId = '', timeout = 0 }, options) => {
      await this.#stop(this.#get(containerId), timeout * 1000, options);
      return {};
    },
    removeContainer: async ({ containerId = '' }) => {
      const c = this.#containers.get(containerId);
      if (c) this.#remove(c);
      return {};
    },
    listContainers: async ({ filter }) => ({ containers: this.#list(filter).map(itemOf) }),
    streamContainers: ({ filter }) => once(async () => criMessage('StreamContainersResponse', { containers: this.#list(filter).map(itemOf) })),
    containerStatus: async ({ containerId = '' }) => ({ status: this.#get(containerId).status, info: {} }),
    updateContainerResources: async ({ containerId = '', linux }) => {
      const c = this.#get(containerId);
      c.status = criMessage('ContainerStatus', { ...c.status, resources: { linux } });
      return {};
    },
    reopenContainerLog: async ({ containerId = '' }) => {
      if (this.#get(containerId).status.state !== 'CONTAINER_RUNNING') throw new CriError('Unknown', 'container is not running');
      return {};
    },
    execSync: (request) => this.#execSync(request),
    containerStats: async ({ containerId = '' }) => ({ stats: this.#stats(this.#get(containerId)) }),
    listContainerStats: async ({ filter }) => ({ stats: this.#list(filter && { id: filter.id, podSandboxId: filter.podSandboxId, labelSelector: filter.labelSelector }).map((c) => this.#stats(c)) }),
    streamContainerStats: () => once(async () => criMessage('StreamContainerStatsResponse', { containerStats: this.#list().map((c) => this.#stats(c)) })),
  };

  stopAll(sandbox: SandboxRecord): void {
    for (const c of this.#containers.values()) if (c.sandbox === sandbox) this.#end(c, SIGKILL_CODE);
  }
  removeAll(sandbox: SandboxRecord): void {
    for (const c of this.#containers.values()) if (c.sandbox === sandbox) this.#remove(c);
  }
  /** Ends a running container from outside, as the kernel or an operator would. */
  kill(containerId: string, code = SIGKILL_CODE, reason?: string): void {
    this.#end(this.#get(containerId), code, reason);
  }
  isRunning(name: string, attempt: number): boolean {
    return this.#list().some(({ status: { metadata, state } }) => state === 'CONTAINER_RUNNING' && metadata?.name === name && metadata.attempt === attempt);
  }
  /** Cancels every timer. */
  close(): void {
    for (const c of this.#containers.values()) cancelTimers(c);
  }

  #nanos(): number {
    return this.#options.clock.now() * 1e6;
  }
  #get(id: string): ContainerRecord {
    const c = this.#containers.get(id);
    if (!c) throw new CriError('NotFound', `an error occurred when try to find container "${id}": not found`);
    return c;
  }

  #create(request: Init<CreateContainerRequest>): ContainerRecord {
    const { clock: _, images, sandboxes, newId, anyImage, events } = this.#options;
    const sandbox = sandboxes.get(request.podSandboxId ?? '');
    const config = request.config ?? {};
    const metadata = criMessage('ContainerMetadata', config.metadata ?? {});
    const id = newId();
    const pod = sandbox.metadata;
    const name = `${metadata.name}_${pod.name}_${pod.namespace}_${pod.uid}_${metadata.attempt}`;
    const holder = [...this.#containers.values()].find((c) => c.name === name);
    if (holder) throw new CriError('Unknown', `failed to reserve container name "${name}": name "${name}" is reserved for "${holder.status.id}"`);
    if (sandbox.state !== 'SANDBOX_READY') throw new CriError('Unknown', `sandbox container "${sandbox.id}" is not running`);
    const ref = config.image?.image ?? '';
    if (anyImage && !images.find(ref)) images.add(ref);
    const image = images.find(ref);
    if (!image) throw new CriError('NotFound', `failed to resolve image "${ref}": not found`);
    const script = this.#options.script(config, request.sandboxConfig ?? sandbox.config) ?? {};
    if (script.createError) throw script.createError;
    const status = criMessage('ContainerStatus', {
      id, metadata, state: 'CONTAINER_CREATED', createdAt: this.#nanos(), image: { image: image.repoTags[0] ?? ref }, imageRef: image.repoDigests[0] ?? image.id, imageId: image.id,
      labels: config.labels, annotations: config.annotations, mounts: config.mounts, logPath: config.logPath ? `${sandbox.config.logDirectory ?? ''}/${config.logPath}` : '',
      resources: { linux: config.linux?.resources }, stopSignal: 'SIGTERM',
    });
    const record: ContainerRecord = { status, config, sandbox, script, name, timers: new Set(), ended: Promise.withResolvers() };
    this.#containers.set(id, record);
    events.emit(id, 'CONTAINER_CREATED_EVENT', status.createdAt);
    return record;
  }

  async #start(c: ContainerRecord, options: CallOptions = {}): Promise<void> {
    if (c.status.state !== 'CONTAINER_CREATED') throw new CriError('Unknown', `failed to set starting state for container "${c.status.id}": container is in ${c.status.state} state`);
    if (c.script.startDelayMs) await sleep(this.#options.clock, c.script.startDelayMs, options.signal);
    const { startError, exit } = c.script;
    if (startError) {
      this.#set(c, { state: 'CONTAINER_EXITED', startedAt: 0, finishedAt: this.#nanos(), exitCode: 128, reason: 'StartError', message: startError.desc });
      c.ended.resolve();
      throw startError;
    }
    this.#set(c, { state: 'CONTAINER_RUNNING', startedAt: this.#nanos() });
    this.#options.events.emit(c.status.id, 'CONTAINER_STARTED_EVENT', c.status.startedAt);
    if (exit) this.#after(c, exit.afterMs, () => this.#end(c, exit.code, exit.reason, exit.message));
  }

  async #stop(c: ContainerRecord, graceMs: number, options: CallOptions = {}): Promise<void> {
    if (c.status.state !== 'CONTAINER_RUNNING') return;
    const { term } = c.script;
    if (graceMs <= 0) this.#end(c, SIGKILL_CODE);
    else {
      if (term !== 'ignore') this.#after(c, term?.afterMs ?? 0, () => this.#end(c, term?.code ?? SIGTERM_CODE));
      this.#after(c, graceMs, () => this.#end(c, SIGKILL_CODE));
    }
    await aborted(c.ended.promise, options.signal);
  }

  #end(c: ContainerRecord, exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error', message = ''): void {
    if (c.status.state !== 'CONTAINER_RUNNING') return;
    cancelTimers(c);
    this.#set(c, { state: 'CONTAINER_EXITED', finishedAt: this.#nanos(), exitCode, reason, message });
    this.#options.events.emit(c.status.id, 'CONTAINER_STOPPED_EVENT', c.status.finishedAt);
    c.ended.resolve();
  }

  #remove(c: ContainerRecord): void {
    this.#end(c, SIGKILL_CODE);
    if (this.#containers.delete(c.status.id)) this.#options.events.emit(c.status.id, 'CONTAINER_DELETED_EVENT', this.#nanos());
  }

  async #execSync(request: Init<ExecSyncRequest>): Promise<ExecSyncResponse> {
    const c = this.#get(request.containerId ?? '');
    if (c.status.state !== 'CONTAINER_RUNNING') throw new CriError('Unknown', `container is in ${c.status.state} state`);
    const done = c.script.execSync ? await c.script.execSync(request) : {};
    return criMessage('ExecSyncResponse', done);
  }

  #stats(c: ContainerRecord): ContainerStats {
    const { nanoCores = 0, memoryBytes = 0 } = c.script.usage ?? {};
    const running = c.status.state === 'CONTAINER_RUNNING';
    const timestamp = this.#nanos();
    return criMessage('ContainerStats', {
      attributes: { id: c.status.id, metadata: c.status.metadata, labels: c.status.labels, annotations: c.status.annotations },
      ...(running && {
        cpu: { timestamp, usageCoreNanoSeconds: { value: Math.round(((timestamp - c.status.startedAt) / 1e9) * nanoCores) }, usageNanoCores: { value: nanoCores } },
        memory: { timestamp, workingSetBytes: { value: memoryBytes }, usageBytes: { value: memoryBytes }, rssBytes: { value: memoryBytes } },
      }),
      writableLayer: { timestamp, fsId: { mountpoint: '/var/lib/fake-images' }, usedBytes: {}, inodesUsed: {} },
    });
  }

  #list(filter?: Init<ContainerFilter>): ContainerRecord[] {
    return [...this.#containers.values()].filter((c) => {
      if (filter?.id && c.status.id !== filter.id) return false;
      if (filter?.podSandboxId && c.sandbox.id !== filter.podSandboxId) return false;
      if (filter?.state && c.status.state !== filter.state.state) return false;
      return hasLabels(c.status.labels, filter?.labelSelector);
    });
  }

  #set(c: ContainerRecord, change: Partial<ContainerStatus>): void {
    c.status = { ...c.status, ...change };
  }
  #after(c: ContainerRecord, ms: number, fn: () => void): void {
    const timer = this.#options.clock.after(ms, () => {
      c.timers.delete(timer);
      fn();
    });
    c.timers.add(timer);
  }
}

function cancelTimers(c: ContainerRecord): void {
  for (const timer of c.timers) timer.cancel();
  c.timers.clear();
}

function itemOf(c: ContainerRecord): Container {
  const { id, metadata, state, createdAt, labels, annotations, image, imageRef, imageId } = c.status;
  return criMessage('Container', { id, podSandboxId: c.sandbox.id, metadata, image, imageRef, imageId, state, createdAt, labels, annotations });
}

/** `promise`, or the signal's reason where that comes first. */
function aborted(promise: Promise<void>, signal?: AbortSignal): Promise<void> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void promise.then(resolve).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
