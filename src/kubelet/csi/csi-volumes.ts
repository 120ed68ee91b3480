/**
 * CSI volumes of the Pods of a node: waits for the attachment, stages a volume once for the node, publishes it for each Pod, and
 * takes it back in reverse. Upstream's counterpart: `pkg/volume/csi`.
 *
 * ```
 *   in use ──▶ (attached) ──▶ staged ──▶ published for a Pod      ┄▶ published anew, where the driver wants it
 *   not in use ◀── unstaged, with the last Pod ◀── unpublished
 * ```
 *
 * What the driver was asked for is written to the disk before it is asked: a later kubelet takes it down by that alone. Calls are
 * idempotent, so a kubelet that starts makes them again for the Pods that it takes up.
 */
import { mkdir, symlink, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Node, Pod, SecretReference } from '#api/gen/core-v1.ts';
import type { CSIDriver, VolumeAttachment } from '#api/gen/storage-v1.ts';
import { uidOf } from '#api/object.ts';
import { abortable, within } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { SECRETS, VOLUME_ATTACHMENTS } from '#client/kinds.ts';
import { csiAttachmentName, csiUniqueName } from '#machinery/volume-names.ts';
import type { KubeletConfig } from '../config.ts';
import type { TokenSource } from '../token-cache.ts';
import type { VolumeUse } from '../volumes/volume-use.ts';
import { UnreadyVolume, VolumeError } from '../volumes/volume-error.ts';
import { applyFsGroup } from '../volumes/fs-group.ts';
import type { CsiDrivers } from './drivers.ts';
import { publishAttributes } from './publish-attributes.ts';
import { volumeCapability, type CsiSource } from './source.ts';
import type { Type } from './types.ts';
import { CsiPaths, makeParent, removeEmpty, removeIfEmpty, removeTarget, removeVolumeData, writeVolumeData, type Published, type VolumeData } from './volume-data.ts';

const log = logger('kubelet');
/** Upstream's `podAttachAndMountTimeout`. */
const ATTACH_TIMEOUT_MS = 123_000;
/** Drivers that want volumes published anew are asked this often. */
export const REPUBLISH_MS = 60_000;

/** The node's own object. */
export interface NodeView {
  node(): Node | undefined;
  /** Called at each change of the object. Returns the unsubscriber. */
  onChange(listener: () => void): () => void;
  /** Writes the node's status now, {@link CsiVolumes.inUse} in it. */
  report(): Promise<void>;
}
export interface CsiVolumesOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  readonly clock: Clock;
  readonly drivers: Pick<CsiDrivers, 'client' | 'onRegistered'>;
  readonly node: NodeView;
  /** The CSIDriver object; undefined where there is none. */
  driverObject(name: string): Promise<CSIDriver | undefined>;
  readonly requestToken: TokenSource;
}
export interface CsiMount {
  /** What containers mount, or the device that they see. */
  readonly hostPath: string;
  /** Where the volume is staged; '' for drivers that do not stage. */
  readonly stagingPath: string;
  readonly capabilities: ReadonlySet<Type>;
  readonly republish: boolean;
}

export class CsiVolumes {
  readonly #o: CsiVolumesOptions;
  readonly #paths: CsiPaths;
  /** Pods that use a volume, by its unique name. */
  readonly #users = new Map<string, Set<string>>();
  /** Of those, the volumes that are attached. */
  readonly #inUse = new Set<string>();
  readonly #staged = new Set<string>();
  /** By `uid/specName`: published by this process. */
  readonly #published = new Map<string, CsiMount>();
  /** Pods that wanted a driver that was not there, by its name. */
  readonly #missed = new Map<string, Set<string>>();
  #listener: (uid: string) => void = () => {};
  /** Work on one volume is done in turn. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #abort = new AbortController();

  constructor(options: CsiVolumesOptions) {
    this.#o = options;
    this.#paths = new CsiPaths(options.config.rootDir);
    options.drivers.onRegistered((driver) => {
      void this.#unstageUnused(driver);
      for (const uid of this.#missed.get(driver) ?? []) this.#listener(uid);
      this.#missed.delete(driver);
    });
  }
  /** Called with the uid of a Pod whose driver has come. */
  onChange(listener: (uid: string) => void): void {
    this.#listener = listener;
  }
  /** Learns from the disk what an earlier process of the kubelet left. */
  async start(): Promise<void> {
    for (const uid of await this.#paths.podUids()) {
      for (const { data } of await this.#paths.publishedOf(uid)) this.#use(uid, data);
    }
  }
  stop(): void {
    this.#abort.abort(new Error('the kubelet is stopping'));
  }
  /** `node.status.volumesInUse`: what must not be detached. */
  inUse(): string[] {
    return [...this.#inUse].toSorted();
  }

  /** Makes a volume ready for a Pod; cheap when it is. Rejects in the words of upstream's events. */
  async setUp(pod: Pod, volumeName: string, source: CsiSource, signal: AbortSignal): Promise<CsiMount> {
    const uid = uidOf(pod);
    const known = this.#published.get(`${uid}/${source.specName}`);
    if (known && !known.republish) return known;
    const driver = await this.#o.driverObject(source.driver);
    checkLifecycle(source, driver);
    const attachable = source.lifecycle === 'Persistent' && driver?.spec.attachRequired !== false;
    const { nodeName } = this.#o.config;
    const data: VolumeData = {
      specVolID: source.specName, driverName: source.driver, volumeHandle: source.handle, nodeName, volumeLifecycleMode: source.lifecycle,
      ...(attachable ? { attachmentID: csiAttachmentName(source.handle, source.driver, nodeName) } : {}),
    };
    const attachment = attachable ? await this.#attach(uid, volumeName, data, signal) : undefined;
    return await this.#inTurn(csiUniqueName(source.driver, source.handle), async () => {
      signal.throwIfAborted();
      const mount = await this.#mount(pod, source, data, driver, attachment, signal);
      this.#published.set(`${uid}/${source.specName}`, mount);
      return mount;
    });
  }
  /** Has the driver grow a volume that is mounted. */
  async expand(source: CsiSource, mount: CsiMount, bytes: number, signal: AbortSignal): Promise<void> {
    await this.#inTurn(csiUniqueName(source.driver, source.handle), async () => {
      const secrets = await this.#secrets('NodeExpandSecretRef', source.expandSecret, signal);
      const client = this.#o.drivers.client(source.driver);
      await client.nodeExpandVolume({
        volumeId: source.handle, volumePath: mount.hostPath, stagingTargetPath: mount.stagingPath, capacityRange: { requiredBytes: bytes }, volumeCapability: volumeCapability(source, mount.capabilities, undefined), secrets,
      }, { signal });
    });
  }
  /** How full a mounted volume is, as its driver says. */
  async use(source: CsiSource, mount: CsiMount, signal: AbortSignal): Promise<VolumeUse> {
    const { usage } = await this.#o.drivers.client(source.driver).nodeGetVolumeStats({ volumeId: source.handle, volumePath: mount.hostPath }, { signal });
    if (usage.length === 0) throw new Error('failed to get usage from response. usage is nil');
    const [bytes, inodes] = (['BYTES', 'INODES'] as const).map((unit) => usage.find((u) => u.unit === unit));
    return { capacityBytes: bytes?.total ?? 0, availableBytes: bytes?.available ?? 0, usedBytes: bytes?.used ?? 0, inodes: inodes?.total ?? 0, inodesFree: inodes?.available ?? 0, inodesUsed: inodes?.used ?? 0 };
  }
  /** Takes down everything of a Pod, whoever made it. Rejects when a driver refuses or is away; to be called again. */
  async tearDown(uid: string): Promise<void> {
    for (const { specName, at, data } of await this.#paths.publishedOf(uid)) {
      await this.#inTurn(csiUniqueName(data.driverName, data.volumeHandle), () => this.#unmount(uid, specName, at, data));
    }
    for (const pods of this.#missed.values()) pods.delete(uid);
    // Volumes that never came as far as the disk.
    for (const [name, users] of this.#users) if (users.has(uid)) this.#release(name, uid);
  }

  async #attach(uid: string, volumeName: string, data: VolumeData, signal: AbortSignal): Promise<VolumeAttachment> {
    const { node, clock, client } = this.#o;
    const name = csiUniqueName(data.driverName, data.volumeHandle);
    if (this.#use(uid, data)) await node.report();
    const isAttached = (): boolean => node.node()?.status?.volumesAttached?.some((v) => v.name === name) ?? false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const unsubscribe = node.onChange(() => isAttached() && resolve());
    try {
      if (!isAttached()) await abortable(within(clock, ATTACH_TIMEOUT_MS, promise, () => new UnreadyVolume(volumeName, new Error('timed out waiting for the condition'), 'attach')), signal);
    } finally {
      unsubscribe();
      resolve();
    }
    try {
      const attachment = await client.of(VOLUME_ATTACHMENTS).get('', data.attachmentID!, signal);
      if (!attachment.status?.attached) throw new Error(`volume attachment is not ready: ${data.attachmentID}`);
      return attachment;
    } catch (err) {
      if (signal.aborted) throw err;
      throw new VolumeError('MountVolume.WaitForAttach', data.specVolID!, err);
    }
  }
  async #mount(pod: Pod, source: CsiSource, data: VolumeData, driver: CSIDriver | undefined, attachment: VolumeAttachment | undefined, signal: AbortSignal): Promise<CsiMount> {
    const { block, specName } = source;
    const uid = uidOf(pod);
    const publishContext = attachment?.status?.attachmentMetadata ?? {};
    const steps = block ? { stage: 'MapVolume.SetUpDevice', publish: 'MapVolume.MapPodDevice', reason: 'FailedMapVolume' } : { stage: 'MountVolume.MountDevice', publish: 'MountVolume.SetUp', reason: 'FailedMount' };
    const step = async <T>(operation: string, task: () => Promise<T>): Promise<T> => {
      try {
        return await task();
      } catch (err) {
        throw signal.aborted || err instanceof VolumeError ? err : new VolumeError(operation, specName, err, steps.reason);
      }
    };
    this.#use(uid, data);
    const capabilities = await step(source.lifecycle === 'Ephemeral' ? steps.publish : steps.stage, () => this.#capabilities(uid, source, signal));
    const { fsGroup } = pod.spec.securityContext ?? {};
    const delegated = capabilities.has('VOLUME_MOUNT_GROUP') && !block ? fsGroup : undefined;
    const capability = volumeCapability(source, capabilities, delegated);
    let stagingPath = '';
    if (capabilities.has('STAGE_UNSTAGE_VOLUME') && source.lifecycle === 'Persistent') {
      stagingPath = await step(steps.stage, () => this.#stage(source, data, { publishContext, volumeCapability: capability }, signal));
    }
    const at = this.#paths.published(uid, specName, block);
    await step(steps.publish, async () => {
      const attributes = await publishAttributes(pod, source, driver, this.#o.requestToken, signal);
      await writeVolumeData(at.dir, data);
      await makeParent(at.target);
      const secrets = { ...(await this.#secrets('NodePublishSecretRef', source.publishSecret, signal)), ...attributes.secrets };
      await this.#o.drivers.client(source.driver).nodePublishVolume({
        volumeId: source.handle, publishContext, stagingTargetPath: stagingPath, targetPath: at.target, volumeCapability: capability, readonly: source.readOnly, secrets, volumeContext: { ...source.attributes, ...attributes.context },
      }, { signal });
      const again = this.#published.has(`${uid}/${specName}`);
      if (!again && delegated === undefined && takesFsGroup(source, driver)) await applyFsGroup(pod, at.target, source.readOnly);
      await linkDevice(at);
    });
    return { hostPath: at.target, stagingPath, capabilities, republish: driver?.spec.requiresRepublish ?? false };
  }
  async #capabilities(uid: string, source: CsiSource, signal: AbortSignal): Promise<ReadonlySet<Type>> {
    const who = source.lifecycle === 'Ephemeral' ? 'mounter.SetUpAt failed to get CSI client' : source.block ? 'blockMapper.SetUpDevice failed to get CSI client' : 'attacher.MountDevice failed to create newCsiDriverClient';
    let client;
    try {
      client = this.#o.drivers.client(source.driver);
    } catch (err) {
      this.#missed.set(source.driver, (this.#missed.get(source.driver) ?? new Set()).add(uid));
      throw new Error(`kubernetes.io/csi: ${who}: ${(err as Error).message}`, { cause: err });
    }
    return await client.capabilities(signal);
  }
  async #stage(source: CsiSource, data: VolumeData, request: { publishContext: Readonly<Record<string, string>>; volumeCapability: ReturnType<typeof volumeCapability> }, signal: AbortSignal): Promise<string> {
    const { driver, handle, specName, block } = source;
    const at = this.#paths.staged(driver, handle, specName, block);
    const name = csiUniqueName(driver, handle);
    if (this.#staged.has(name)) return at.target;
    const secrets = await this.#secrets('NodeStageSecretRef', source.stageSecret, signal);
    await writeVolumeData(at.dir, block ? data : { driverName: driver, volumeHandle: handle });
    await mkdir(at.target, { recursive: true, mode: 0o750 });
    await this.#o.drivers.client(driver).nodeStageVolume({ volumeId: handle, stagingTargetPath: at.target, ...request, secrets, volumeContext: source.attributes }, { signal });
    this.#staged.add(name);
    return at.target;
  }

  async #unmount(uid: string, specName: string, at: Published, data: VolumeData): Promise<void> {
    const { signal } = this.#abort;
    const name = csiUniqueName(data.driverName, data.volumeHandle);
    this.#published.delete(`${uid}/${specName}`);
    await this.#o.drivers.client(data.driverName).nodeUnpublishVolume({ volumeId: data.volumeHandle, targetPath: at.target }, { signal });
    if (at.link) await unlink(at.link).catch(() => {});
    await removeTarget(at.target);
    if (at.block) await removeIfEmpty(dirname(at.target));
    else await removeVolumeData(at.dir);
    const others = [...(this.#users.get(name) ?? [])].some((u) => u !== uid);
    if (!others) await this.#unstage(data, specName, at.block);
    this.#release(name, uid);
  }
  async #unstage({ driverName, volumeHandle, volumeLifecycleMode }: VolumeData, specName: string, block: boolean): Promise<void> {
    const { signal } = this.#abort;
    const at = this.#paths.staged(driverName, volumeHandle, specName, block);
    if (volumeLifecycleMode !== 'Ephemeral') {
      const client = this.#o.drivers.client(driverName);
      const stages = (await client.capabilities(signal)).has('STAGE_UNSTAGE_VOLUME');
      if (stages) await client.nodeUnstageVolume({ volumeId: volumeHandle, stagingTargetPath: at.target }, { signal });
      if (stages) await removeEmpty(at.target);
      if (stages || block) await removeVolumeData(at.dir);
      if (block) await removeIfEmpty(dirname(at.dir));
    }
    this.#staged.delete(csiUniqueName(driverName, volumeHandle));
  }
  /** A kubelet that ended between the two steps left volumes staged that no Pod uses. */
  async #unstageUnused(driver: string): Promise<void> {
    for (const { data, block } of await this.#paths.allStaged()) {
      if (data.driverName !== driver) continue;
      const name = csiUniqueName(driver, data.volumeHandle);
      await this.#inTurn(name, async () => {
        if (!this.#users.get(name)?.size) await this.#unstage(data, data.specVolID ?? '', block);
      }).catch((err: unknown) => log.warn({ err, driver, volume: data.volumeHandle }, 'a volume that no pod uses stays staged'));
    }
  }

  /** Notes that a Pod uses a volume; true when the list of attached volumes in use has grown. */
  #use(uid: string, data: VolumeData): boolean {
    const name = csiUniqueName(data.driverName, data.volumeHandle);
    const users = this.#users.get(name) ?? new Set();
    this.#users.set(name, users.add(uid));
    if (data.attachmentID === undefined || this.#inUse.has(name)) return false;
    this.#inUse.add(name);
    return true;
  }
  #release(name: string, uid: string): void {
    const users = this.#users.get(name);
    users?.delete(uid);
    if (users?.size) return;
    this.#users.delete(name);
    if (this.#inUse.delete(name)) void this.#o.node.report().catch((err: unknown) => log.debug({ err }, 'volumes in use are reported later'));
  }
  async #secrets(field: string, ref: SecretReference | undefined, signal: AbortSignal): Promise<Record<string, string>> {
    if (!ref?.name) return {};
    const { name, namespace = '' } = ref;
    try {
      const secret = await this.#o.client.of(SECRETS).get(namespace, name, signal);
      return Object.fromEntries(Object.entries(secret.data ?? {}).map(([k, v]) => [k, Buffer.from(v, 'base64').toString('utf8')]));
    } catch (err) {
      if (signal.aborted) throw err;
      throw new Error(`fetching ${field} ${namespace}/${name} failed: kubernetes.io/csi: failed to find the secret ${name} in the namespace ${namespace} with error: ${(err as Error).message}`, { cause: err });
    }
  }
  async #inTurn<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const work = before.then(task);
    const settled = work.catch(() => {});
    this.#turns.set(name, settled);
    try {
      return await work;
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name);
    }
  }
}

/** Inline volumes need a driver that says it serves them. */
function checkLifecycle({ lifecycle, driver, specName }: CsiSource, object: CSIDriver | undefined): void {
  const modes = object ? (object.spec.volumeLifecycleModes ?? ['Persistent']) : ['Persistent'];
  if (modes.includes(lifecycle)) return;
  const why = object ? `only supports ${JSON.stringify(modes)}` : 'no CSIDriver object';
  throw new VolumeError('MountVolume.SetUp', specName, new Error(`kubernetes.io/csi: mounter.SetUpAt failed to check volume lifecycle mode: volume mode "${lifecycle}" not supported by driver ${driver} (${why})`));
}
/** Whether the kubelet gives the volume to the Pod's fsGroup: `CSIDriver.spec.fsGroupPolicy`. */
function takesFsGroup(source: CsiSource, driver: CSIDriver | undefined): boolean {
  if (source.block) return false;
  switch (driver?.spec.fsGroupPolicy ?? 'ReadWriteOnceWithFSType') {
    case 'None': return false;
    case 'File': return true;
    default: return source.fsType !== '' && !source.readOnly && source.accessModes.some((m) => m === 'ReadWriteOnce' || m === 'ReadWriteOncePod');
  }
}
/** A Pod's own name of its device: by it the device is found again. */
async function linkDevice({ link, target }: Published): Promise<void> {
  if (!link) return;
  await makeParent(link);
  await symlink(target, link).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'EEXIST') throw err;
  });
}
