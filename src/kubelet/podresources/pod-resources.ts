/**
 * Tells monitoring agents of the node which devices, CPUs, memory of NUMA nodes and claims each container has: `PodResourcesLister` on `pod-resources/kubelet.sock`.
 * Source: concepts/extend-kubernetes/compute-storage-net/device-plugins#monitoring-device-plugin-resources.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { served, serveSocket, type SocketServer } from '#cri/socket-server.ts';
import type { Init } from '#cri/schema.ts';
import type { ContainerManager } from '../container-manager.ts';
import { HEALTHY } from '../devices/protocol.ts';
import type { ClaimInfo } from '../dra/claim-infos.ts';
import type { MemoryBlock } from '../memorymanager/machine-state.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { podResourcesCodec as codec } from './protocol.ts';
import type { AllocatableResourcesResponse, ContainerDevices, ContainerMemory, DynamicResource, PodResources } from './types.ts';

const SERVICE = '/v1.PodResourcesLister';

export interface PodResourcesOptions {
  readonly dir: string;
  readonly resources: Pick<ContainerManager, 'devices' | 'cpus' | 'memory' | 'dra'>;
  /** Pods that use the node's resources. */
  pods(): readonly Pod[];
}

export class PodResourcesServer {
  readonly #o: PodResourcesOptions;
  #server: SocketServer | undefined;
  constructor(options: PodResourcesOptions) {
    this.#o = options;
  }
  async start(): Promise<void> {
    await mkdir(this.#o.dir, { recursive: true, mode: 0o750 });
    this.#server = await serveSocket(join(this.#o.dir, 'kubelet.sock'), [
      served(`${SERVICE}/List`, codec('ListPodResourcesRequest'), codec('ListPodResourcesResponse'), () => ({ podResources: this.#o.pods().map((p) => this.#of(p)) })),
      served(`${SERVICE}/Get`, codec('GetPodResourcesRequest'), codec('GetPodResourcesResponse'), ({ podName, podNamespace }) => {
        const pod = this.#o.pods().find((p) => p.metadata.name === podName && p.metadata.namespace === podNamespace);
        if (!pod) throw new Error(`pod ${podName} in namespace ${podNamespace} not found`);
        return { podResources: this.#of(pod) };
      }),
      served(`${SERVICE}/GetAllocatableResources`, codec('AllocatableResourcesRequest'), codec('AllocatableResourcesResponse'), () => this.#allocatable()),
    ]);
  }
  async stop(): Promise<void> {
    await this.#server?.close();
  }

  #of(pod: Pod): Init<PodResources> {
    const { devices, cpus, memory, dra } = this.#o.resources;
    const known = devices.devices();
    const uid = uidOf(pod);
    return {
      name: pod.metadata.name, namespace: pod.metadata.namespace,
      containers: [...(pod.spec.initContainers ?? []).filter(isRestartableInit), ...pod.spec.containers].map((container) => ({
        name: container.name,
        devices: devices.allocationsOf(uid, container.name).flatMap(({ resource, ids }) => ids.map((id) => deviceOf(resource, id, known.get(resource)?.find((d) => d.ID === id)?.topology))),
        cpuIds: [...cpus.exclusiveOf(uid, container.name)],
        memory: memory.blocksOf(uid, container.name).map(memoryOf),
        dynamicResources: dra.claims.infosOf(pod, container).map(dynamicResource),
      })),
    };
  }
  #allocatable(): Init<AllocatableResourcesResponse> {
    const { devices, cpus, memory } = this.#o.resources;
    return {
      devices: [...devices.devices()].flatMap(([resource, list]) => list.filter((d) => d.health === HEALTHY).map((d) => deviceOf(resource, d.ID, d.topology))),
      cpuIds: [...cpus.allocatable()],
      memory: memory.allocatable().map(memoryOf),
    };
  }
}
function memoryOf({ type, size, numaAffinity }: MemoryBlock): Init<ContainerMemory> {
  return { memoryType: type, size, topology: { nodes: numaAffinity.map((ID) => ({ ID })) } };
}
function deviceOf(resourceName: string, id: string, topology: Init<ContainerDevices>['topology']): Init<ContainerDevices> {
  return { resourceName, deviceIds: [id], ...(topology ? { topology } : {}) };
}
/** Every device of the claim, whichever of its requests the container names. */
function dynamicResource({ name, namespace, drivers }: ClaimInfo): Init<DynamicResource> {
  return {
    claimName: name, claimNamespace: namespace,
    claimResources: Array.from(drivers).flatMap(([driverName, list]) => list.map((d) => ({
      driverName, poolName: d.pool, deviceName: d.device, cdiDevices: d.cdiIds.map((id) => ({ name: id })), ...(d.shareId === undefined ? {} : { shareId: d.shareId }),
    }))),
  };
}
