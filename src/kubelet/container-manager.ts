/**
 * What containers are given of the node beyond shares of it: devices, CPUs. Asked when a Pod is admitted and when a container is created.
 * Upstream's counterpart: the container manager (`pkg/kubelet/cm`).
 */
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { Init } from '#cri/schema.ts';
import type { CDIDevice, Device, Mount } from '#cri/types.ts';
import type { KubeletConfig } from './config.ts';
import { CpuManager, type RunningContainer } from './cpumanager/cpu-manager.ts';
import { readTopology } from './cpumanager/topology.ts';
import { DeviceManager, type DeviceCapacity } from './devices/device-manager.ts';
import type { ContainerAllocateResponse } from './devices/types.ts';
import { StartError, type AnyContainer } from './interfaces.ts';
import type { KubeletMetrics } from './metrics.ts';
import type { PodRejection } from './pods/pod-workers.ts';

/** What a container's configuration gets beside what its Pod says. */
export interface RunOptions {
  readonly envs: readonly { readonly key: string; readonly value: string }[];
  readonly mounts: readonly Init<Mount>[];
  readonly devices: readonly Init<Device>[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly cdiDevices: readonly Init<CDIDevice>[];
  /** Where it may run, and whether nobody else does. */
  readonly cpus?: { readonly cpus: string; readonly exclusive: boolean } | undefined;
}
export interface ContainerManagerOptions {
  readonly config: KubeletConfig;
  readonly clock: Clock;
  readonly metrics: KubeletMetrics;
  readonly runtime: Pick<ContainerRuntime, 'updateContainerResources'>;
  running(): readonly RunningContainer[];
  /** The Pod holds the node's resources no more. Asked only once every Pod of the node is known. */
  isOver(uid: string): boolean;
  /** The node has other capacities than before. */
  onCapacity(): void;
  /** The health of devices may have changed: Pods that have some tell of it. */
  onDeviceHealth(): void;
}

export class ContainerManager {
  readonly devices: DeviceManager;
  readonly cpus: CpuManager;
  #allKnown = false;

  constructor(options: ContainerManagerOptions) {
    const { config, clock, metrics } = options;
    const isOver = (uid: string): boolean => this.#allKnown && options.isOver(uid);
    this.cpus = new CpuManager({ config, clock, metrics, runtime: options.runtime, topology: () => readTopology(), running: () => options.running(), isOver });
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
  async start(): Promise<void> {
    await Promise.all([this.devices.start(), this.cpus.start()]);
  }
  async stop(): Promise<void> {
    await Promise.all([this.devices.stop(), this.cpus.stop()]);
  }
  /** Every Pod of the node is known: what others hold is given back. */
  async podsKnown(): Promise<void> {
    this.#allKnown = true;
    await Promise.all([this.devices.releaseEnded(), this.cpus.releaseEnded()]);
  }
  capacity(): DeviceCapacity {
    return this.devices.capacity();
  }
  /** Reserves what the Pod's containers ask for; resolves with why the Pod cannot run here. */
  async allocate(pod: Pod, signal: AbortSignal): Promise<PodRejection | undefined> {
    try {
      await this.devices.allocate(pod, signal);
      await this.cpus.allocate(pod);
      return undefined;
    } catch (err) {
      if (signal.aborted) throw err;
      return { reason: 'UnexpectedAdmissionError', message: `Allocate failed due to ${(err as Error).message}, which is unexpected` };
    }
  }
  /** Rejects with {@link StartError} where a device cannot be made ready. */
  async runOptions(pod: Pod, container: AnyContainer, signal: AbortSignal): Promise<RunOptions> {
    try {
      return { ...runOptionsOf(await this.devices.prepare(pod, container, signal)), cpus: this.cpus.cpusOf(uidOf(pod), container.name) };
    } catch (err) {
      if (signal.aborted) throw err;
      throw new StartError('CreateContainerConfigError', (err as Error).message, { cause: err });
    }
  }
  async release(uid: string): Promise<void> {
    await Promise.all([this.devices.release(uid), this.cpus.release(uid)]);
  }
}

/** Several resources of one container may bring the same thing: each once, the first one's. */
export function runOptionsOf(responses: readonly ContainerAllocateResponse[]): RunOptions {
  const first = <T>(items: readonly T[], key: (item: T) => string): T[] => [...new Map(items.toReversed().map((i) => [key(i), i])).values()].toReversed();
  return {
    envs: first(responses.flatMap((r) => Object.entries(r.envs).map(([key, value]) => ({ key, value }))), (e) => e.key),
    mounts: first(responses.flatMap((r) => r.mounts), (m) => m.containerPath).map(({ containerPath, hostPath, readOnly }) => ({ containerPath, hostPath, readonly: readOnly })),
    devices: first(responses.flatMap((r) => r.devices), (d) => d.containerPath),
    annotations: Object.assign({}, ...responses.toReversed().map((r) => r.annotations)) as Record<string, string>,
    cdiDevices: first(responses.flatMap((r) => r.cdiDevices), (d) => d.name),
  };
}
