/**
 * The claims that were prepared on the node, or are about to be, for which Pods, and what their drivers gave. Kept in `dra_manager_state`, in
 * the shape that upstream's kubelet writes.
 */
import { crc32 } from 'node:zlib';
import { CheckpointFile, UnusableCheckpoint } from '../checkpoint-file.ts';

export interface PreparedDevice {
  readonly pool: string;
  readonly device: string;
  readonly shareId?: string | undefined;
  /** Requests of the claim that it is for; none: all of them. */
  readonly requests: readonly string[];
  readonly cdiIds: readonly string[];
}
export interface ClaimInfo {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** UIDs of the Pods that it is, or was to be, prepared for. */
  readonly pods: ReadonlySet<string>;
  /** By driver; a driver that has given nothing is among them. */
  readonly drivers: ReadonlyMap<string, readonly PreparedDevice[]>;
  /** By this process: drivers are asked again after a restart. */
  readonly prepared: boolean;
}
interface StoredDevice {
  readonly PoolName: string;
  readonly DeviceName: string;
  readonly ShareID: string | null;
  readonly RequestNames: readonly string[] | null;
  readonly CDIDeviceIDs: readonly string[] | null;
}
interface StoredClaim {
  readonly ClaimUID: string;
  readonly ClaimName: string;
  readonly Namespace: string;
  readonly PodUIDs: Readonly<Record<string, object>>;
  readonly DriverState: Readonly<Record<string, { readonly Devices: readonly StoredDevice[] | null }>>;
}

export class ClaimInfos {
  readonly #file: CheckpointFile;
  /** By `namespace/name`. */
  readonly #infos = new Map<string, ClaimInfo>();

  constructor(path: string) {
    this.#file = new CheckpointFile(path);
  }
  /** Takes up what an earlier process wrote. Rejects where that cannot be read: somebody has to look then, as drivers may have prepared what nobody would give back. */
  async load(): Promise<void> {
    const text = await this.#file.read();
    if (text === undefined) return;
    try {
      const { Data, Checksum } = JSON.parse(text) as { readonly Data: string; readonly Checksum: number };
      if (crc32(Data) !== Checksum) throw new Error('checkpoint is corrupted');
      const { ClaimInfoStateList } = JSON.parse(Data) as { readonly ClaimInfoStateList: readonly StoredClaim[] | null };
      for (const stored of ClaimInfoStateList ?? []) this.set(fromStored(stored));
    } catch (err) {
      const { path } = this.#file;
      throw new UnusableCheckpoint(path, `could not initialize checkpoint manager, please drain node and remove DRA state file "${path}", err: ${(err as Error).message}`, err);
    }
  }
  save(): Promise<void> {
    const data = JSON.stringify({ kind: 'DRACheckpoint', apiVersion: 'checkpoint.dra.kubelet.k8s.io/v1', ClaimInfoStateList: [...this.#infos.values()].map(toStored) });
    return this.#file.write(JSON.stringify({ Data: data, Checksum: crc32(data) }));
  }

  get(namespace: string, name: string): ClaimInfo | undefined {
    return this.#infos.get(`${namespace}/${name}`);
  }
  all(): ClaimInfo[] {
    return [...this.#infos.values()];
  }
  ofPod(uid: string): ClaimInfo[] {
    return this.all().filter((c) => c.pods.has(uid));
  }
  set(info: ClaimInfo): void {
    this.#infos.set(`${info.namespace}/${info.name}`, info);
  }
  delete({ namespace, name }: Pick<ClaimInfo, 'namespace' | 'name'>): void {
    this.#infos.delete(`${namespace}/${name}`);
  }
}

function toStored({ uid, name, namespace, pods, drivers }: ClaimInfo): StoredClaim {
  return {
    ClaimUID: uid, ClaimName: name, Namespace: namespace, PodUIDs: Object.fromEntries(Array.from(pods, (p) => [p, {}])),
    DriverState: Object.fromEntries(Array.from(drivers, ([driver, devices]) => [driver, {
      Devices: devices.length === 0 ? null : devices.map((d) => ({ PoolName: d.pool, DeviceName: d.device, ShareID: d.shareId ?? null, RequestNames: d.requests, CDIDeviceIDs: d.cdiIds })),
    }])),
  };
}
function fromStored({ ClaimUID, ClaimName, Namespace, PodUIDs, DriverState }: StoredClaim): ClaimInfo {
  const device = (d: StoredDevice): PreparedDevice => ({ pool: d.PoolName, device: d.DeviceName, shareId: d.ShareID ?? undefined, requests: d.RequestNames ?? [], cdiIds: d.CDIDeviceIDs ?? [] });
  return {
    uid: ClaimUID, name: ClaimName, namespace: Namespace, pods: new Set(Object.keys(PodUIDs)), prepared: false,
    drivers: new Map(Object.entries(DriverState).map(([driver, { Devices }]) => [driver, (Devices ?? []).map(device)])),
  };
}
