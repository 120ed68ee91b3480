/**
 * Which devices each container has, and what came with them. Kept in `kubelet_internal_checkpoint`, in the shape that upstream's
 * kubelet writes, so that tools which read that file find what they look for.
 */
import { createHash } from 'node:crypto';
import { logger } from '#base/logger.ts';
import { CheckpointFile } from '../checkpoint-file.ts';
import { deviceCodec } from './protocol.ts';
import type { ContainerAllocateResponse } from './types.ts';

const log = logger('kubelet');
/** Devices that say nothing of their NUMA nodes are listed under this one. */
const NO_TOPOLOGY = '-1';

export interface DeviceAllocation {
  readonly ids: readonly string[];
  /** By NUMA node, as the plugin told. */
  readonly byNode: Readonly<Record<string, readonly string[]>>;
  /** Undefined while the plugin is being asked. */
  readonly response?: ContainerAllocateResponse | undefined;
}
interface Entry extends DeviceAllocation {
  readonly uid: string;
  readonly container: string;
  readonly resource: string;
}
interface Checkpoint {
  readonly Data: {
    readonly PodDeviceEntries: readonly { readonly PodUID: string; readonly ContainerName: string; readonly ResourceName: string; readonly DeviceIDs: Readonly<Record<string, readonly string[]>>; readonly AllocResp: string }[] | null;
    readonly RegisteredDevices: Readonly<Record<string, readonly string[]>>;
  };
  readonly Checksum: number;
}

export function idsByNode(devices: readonly { readonly ID: string; readonly topology?: { readonly nodes: readonly { readonly ID: number }[] } | undefined }[]): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  for (const d of devices) for (const node of d.topology?.nodes.length ? d.topology.nodes.map((n) => String(n.ID)) : [NO_TOPOLOGY]) (out[node] ??= []).push(d.ID);
  return out;
}

export class DeviceAllocations {
  readonly #file: CheckpointFile;
  #entries: readonly Entry[] = [];

  constructor(file: string) {
    this.#file = new CheckpointFile(file);
  }
  /** Takes up what an earlier process wrote; gives the resources that it knew. A file that cannot be read is told and left aside. */
  async load(): Promise<readonly string[]> {
    const text = await this.#file.read();
    if (text === undefined) return [];
    try {
      const { Data, Checksum } = JSON.parse(text) as Checkpoint;
      if (Checksum !== checksum(Data)) throw new Error('checkpoint is corrupted');
      this.#entries = (Data.PodDeviceEntries ?? []).map((e) => ({
        uid: e.PodUID, container: e.ContainerName, resource: e.ResourceName, ids: [...new Set(Object.values(e.DeviceIDs).flat())], byNode: e.DeviceIDs,
        response: deviceCodec('ContainerAllocateResponse').decode(Buffer.from(e.AllocResp, 'base64')),
      }));
      return Object.keys(Data.RegisteredDevices);
    } catch (err) {
      log.warn({ err: (err as Error).message, file: this.#file.path }, 'checkpoint of device allocations cannot be used: containers that run keep their devices, but nobody knows of them');
      return [];
    }
  }
  /** Resolves when this state, or a later one, is on the disk. */
  save(registered: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const entries = this.#entries.flatMap((e) => (e.response ? [{ PodUID: e.uid, ContainerName: e.container, ResourceName: e.resource, DeviceIDs: e.byNode, AllocResp: deviceCodec('ContainerAllocateResponse').encode(e.response).toString('base64') }] : []));
    const data: Checkpoint['Data'] = { PodDeviceEntries: entries.length ? entries : null, RegisteredDevices: registered };
    return this.#file.write(JSON.stringify({ Data: data, Checksum: checksum(data) } satisfies Checkpoint));
  }

  of(uid: string, container: string, resource: string): DeviceAllocation | undefined {
    return this.#entries.find((e) => e.uid === uid && e.container === container && e.resource === resource);
  }
  /** Everything that a container has, by resource. */
  ofContainer(uid: string, container: string): readonly (DeviceAllocation & { readonly resource: string })[] {
    return this.#entries.filter((e) => e.uid === uid && e.container === container);
  }
  set(uid: string, container: string, resource: string, allocation: DeviceAllocation): void {
    this.delete(uid, container, resource);
    this.#entries = [...this.#entries, { uid, container, resource, ...allocation }];
  }
  delete(uid: string, container: string, resource: string): void {
    this.#entries = this.#entries.filter((e) => e.uid !== uid || e.container !== container || e.resource !== resource);
  }
  /** Gives back what the Pods have; true when that was anything. */
  release(uids: (uid: string) => boolean): boolean {
    const left = this.#entries.filter((e) => !uids(e.uid));
    const released = left.length !== this.#entries.length;
    this.#entries = left;
    return released;
  }
  inUse(resource: string): Set<string> {
    return new Set(this.#entries.filter((e) => e.resource === resource).flatMap((e) => e.ids));
  }
  resources(): Set<string> {
    return new Set(this.#entries.map((e) => e.resource));
  }
}

function checksum(data: Checkpoint['Data']): number {
  return createHash('sha256').update(JSON.stringify(data)).digest().readUInt32BE(0);
}
