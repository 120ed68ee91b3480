/**
 * Which devices each container has, and what came with them. Kept in `kubelet_internal_checkpoint`, in the shape that upstream's
 * kubelet writes, so that tools which read that file find what they look for.
 */
import { logger } from '#base/logger.ts';
import { checksum, listText, mapText, sorted, structText, verifyChecksum } from '../checkpoint-checksum.ts';
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
    readonly PodDeviceEntries: readonly { readonly PodUID: string; readonly ContainerName: string; readonly ResourceName: string; readonly DeviceIDs: Readonly<Record<string, readonly string[]>> | null; readonly AllocResp: string }[] | null;
    readonly RegisteredDevices: Readonly<Record<string, readonly string[] | null>>;
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
      verifyChecksum(Checksum, checksumOf(Data));
      this.#entries = (Data.PodDeviceEntries ?? []).map((e) => ({
        uid: e.PodUID, container: e.ContainerName, resource: e.ResourceName, ids: [...new Set(Object.values(e.DeviceIDs ?? {}).flat())], byNode: e.DeviceIDs ?? {},
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
    const entries = this.#entries.flatMap((e) => (e.response ? [{ PodUID: e.uid, ContainerName: e.container, ResourceName: e.resource, DeviceIDs: sorted(e.byNode, (ids) => ids), AllocResp: deviceCodec('ContainerAllocateResponse').encode(e.response).toString('base64') }] : []));
    const data: Checkpoint['Data'] = { PodDeviceEntries: entries.length ? entries : null, RegisteredDevices: sorted(registered, (ids) => ids) };
    return this.#file.write(JSON.stringify({ Data: data, Checksum: checksumOf(data) } satisfies Checkpoint));
  }

  async idle(): Promise<void> {
    await this.#file.idle();
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

function checksumOf({ PodDeviceEntries, RegisteredDevices }: Checkpoint['Data']): number {
  const ids = (list: readonly string[] | null): string => (list ? listText(list) : '<nil>');
  const entry = (e: NonNullable<Checkpoint['Data']['PodDeviceEntries']>[number]): string => structText([
    ['PodUID', 'string', e.PodUID], ['ContainerName', 'string', e.ContainerName], ['ResourceName', 'string', e.ResourceName],
    ['DeviceIDs', 'checkpoint.DevicesPerNUMA', e.DeviceIDs ? mapText(e.DeviceIDs, ids) : '<nil>'], ['AllocResp', '[]uint8', listText([...Buffer.from(e.AllocResp, 'base64')])],
  ]);
  const fields = [
    ['PodDeviceEntries', '[]checkpoint.PodDevicesEntry', PodDeviceEntries ? listText(PodDeviceEntries.map(entry)) : '<nil>'],
    ['RegisteredDevices', 'map[string][]string', mapText(RegisteredDevices, ids)],
  ] as const;
  return checksum(`(checkpoint.checkpointData)${structText(fields)}`);
}
