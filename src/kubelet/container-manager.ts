/**
 * What containers are given of the node beyond shares of it: devices, CPUs, memory of NUMA nodes. Asked when a Pod is admitted and when a container is
 * created.
 * Upstream's counterpart: the container manager (`pkg/kubelet/cm`).
 */
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Pod, ResourceStatus } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { Init } from '#cri/schema.ts';
import type { CDIDevice, Device, Mount } from '#cri/types.ts';
import type { KubeletConfig } from './config.ts';
import { CpuManager, type RunningContainer } from './cpumanager/cpu-manager.ts';
import { DeviceManager, type DeviceCapacity } from './devices/device-manager.ts';
import type { ContainerAllocateResponse } from './devices/types.ts';
import type { Dra } from './dra/dra.ts';
import { StartError, type AnyContainer } from './interfaces.ts';
import { MemoryManager } from './memorymanager/memory-manager.ts';
import type { KubeletMetrics } from './metrics.ts';
import { readMachineTopology, type MachineTopology } from './node/machine-topology.ts';
import type { PodRejection } from './pods/pod-workers.ts';
import { AdmissionError } from './topologymanager/admission-error.ts';
import { topologyPolicy } from './topologymanager/policy.ts';
import { TopologyManager } from './topologymanager/topology-manager.ts';

/** What a container's configuration gets beside what its Pod says. */
export interface RunOptions {
  readonly envs: readonly { readonly key: string; readonly value: string }[];
  readonly mounts: readonly Init<Mount>[];
  readonly devices: readonly Init<Device>[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly cdiDevices: readonly Init<CDIDevice>[];
  /** Where it may run, and whether nobody else does. */
  readonly cpus?: { readonly cpus: string; readonly exclusive: boolean } | undefined;
  /** The NUMA nodes that its memory is on; undefined: any. */
  readonly memoryNodes?: string | undefined;
}
export interface ContainerManagerOptions {
  readonly config: KubeletConfig;
  readonly clock: Clock;
  readonly metrics: KubeletMetrics;
  readonly dra: Dra;
  readonly runtime: Pick<ContainerRuntime, 'updateContainerResources'>;
  running(): readonly RunningContainer[];
  /** The Pod holds the node's resources no more. Asked only once every Pod of the node is known. */
  isOver(uid: string): boolean;
  /** The node has other capacities than before. */
  onCapacity(): void;
  /** The health of devices may have changed: Pods that have some tell of it. */
  onDeviceHealth(): void;
  /** What the runtime is, where it cannot put CDI devices into containers. */
  withoutCdi(): string | undefined;
  /** The machine; read from it where absent. */
  topology?(): Promise<MachineTopology>;
}

export class ContainerManager {
  readonly devices: DeviceManager;
  readonly cpus: CpuManager;
  readonly dra: Dra;
  readonly #withoutCdi: () => string | undefined;
  readonly memory: MemoryManager;
  readonly #o: ContainerManagerOptions;
  #topology: TopologyManager | undefined;
  #allKnown = false;

  constructor(options: ContainerManagerOptions) {
    this.dra = options.dra;
    this.#withoutCdi = () => options.withoutCdi();
    const { config, clock, metrics } = options;
    this.#o = options;
    const isOver = (uid: string): boolean => this.#allKnown && options.isOver(uid);
    this.cpus = new CpuManager({ config, clock, metrics, runtime: options.runtime, running: () => options.running(), isOver });
    this.memory = new MemoryManager({ config, metrics, isOver });
    this.devices = new DeviceManager({
      dir: join(config.rootDir, 'device-plugins'), clock,
      isOver,
      onChange: () => {
        options.onCapacity();
        options.onDeviceHealth();
      },
      onRegistration: (resource) => metrics.devicePluginRegistrations.inc({ resource_name: resource }),
      onAllocation: (resource, ms) => metrics.devicePluginAllocation.observe({ resource_name: resource }, ms / 1000),
    });
  }
  /** Rejects where what is configured, or was given out by an earlier process, does not fit the machine. */
  async start(): Promise<void> {
    const { config, clock, metrics } = this.#o;
    const machine = await (this.#o.topology?.() ?? readMachineTopology());
    const { topologyManagerPolicy: name, topologyManagerPolicyOptions, topologyManagerScope: scope } = config;
    const policy = name === 'none' ? undefined : topologyPolicy(name, topologyManagerPolicyOptions, machine.nodes);
    // Those that may refuse come first: they leave nothing behind.
    await this.memory.start(machine.nodes, totalmem());
    await this.cpus.start(machine);
    await this.devices.start(machine.nodes.map((n) => n.id));
    this.#topology = new TopologyManager({ policy, scope, providers: [this.devices, this.cpus, this.memory], metrics, clock });
  }
  async stop(): Promise<void> {
    await Promise.all([this.devices.stop(), this.cpus.stop()]);
  }
  /** Every Pod of the node is known: what others hold is given back. */
  async podsKnown(): Promise<void> {
    this.#allKnown = true;
    await this.#releaseEnded();
  }
  capacity(): DeviceCapacity {
    return this.devices.capacity();
  }
  /** Reserves what the Pod's containers ask for; resolves with why the Pod cannot run here. */
  async allocate(pod: Pod, signal: AbortSignal): Promise<PodRejection | undefined> {
    try {
      await this.#releaseEnded();
      await this.#topology!.admit(pod, signal);
      return undefined;
    } catch (err) {
      if (signal.aborted) throw err;
      if (err instanceof AdmissionError) return { reason: err.reason, message: err.message };
      return { reason: 'UnexpectedAdmissionError', message: `Allocate failed due to ${(err as Error).message}, which is unexpected` };
    }
  }
  /** Takes back what ended Pods have. */
  async #releaseEnded(): Promise<void> {
    await Promise.all([this.devices.releaseEnded(), this.cpus.releaseEnded(), this.memory.releaseEnded()]);
  }
  /** Asked right before a container is created. Rejects with {@link StartError} where a device cannot be made ready. */
  async runOptions(pod: Pod, container: AnyContainer, signal: AbortSignal): Promise<RunOptions> {
    try {
      const uid = uidOf(pod);
      await this.memory.starting(pod, container);
      const options = runOptionsOf(await this.devices.prepare(pod, container, signal), this.dra.claims.cdiDevices(pod, container));
      const withoutCdi = options.cdiDevices.length ? this.#withoutCdi() : undefined;
      if (withoutCdi !== undefined) throw new Error(`container runtime ${withoutCdi} cannot inject CDI devices, containerd 1.7 or later can: ${options.cdiDevices.map((d) => d.name).join(', ')}`);
      return { ...options, cpus: this.cpus.cpusOf(uid, container.name), memoryNodes: this.memory.nodesFor(uid, container.name) };
    } catch (err) {
      if (signal.aborted) throw err;
      throw new StartError('CreateContainerConfigError', (err as Error).message, { cause: err });
    }
  }
  /** How the devices of a container are, of plugins and of claims, by resource. */
  health(pod: Pod, container: AnyContainer): readonly ResourceStatus[] {
    return [...this.devices.health(uidOf(pod), container.name), ...this.dra.health(pod, container)].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
  async release(uid: string): Promise<void> {
    await Promise.all([this.devices.release(uid), this.cpus.release(uid), this.memory.release(uid)]);
  }
}

/** Several resources of one container may bring the same thing: each once, the first one's. */
export function runOptionsOf(responses: readonly ContainerAllocateResponse[], cdiDevices: readonly string[] = []): RunOptions {
  const first = <T>(items: readonly T[], key: (item: T) => string): T[] => [...new Map(items.toReversed().map((i) => [key(i), i])).values()].toReversed();
  return {
    envs: first(responses.flatMap((r) => Object.entries(r.envs).map(([key, value]) => ({ key, value }))), (e) => e.key),
    mounts: first(responses.flatMap((r) => r.mounts), (m) => m.containerPath).map(({ containerPath, hostPath, readOnly }) => ({ containerPath, hostPath, readonly: readOnly })),
    devices: first(responses.flatMap((r) => r.devices), (d) => d.containerPath),
    annotations: Object.assign({}, ...responses.toReversed().map((r) => r.annotations)) as Record<string, string>,
    cdiDevices: first([...cdiDevices.map((name) => ({ name })), ...responses.flatMap((r) => r.cdiDevices)], (d) => d.name),
  };
}
