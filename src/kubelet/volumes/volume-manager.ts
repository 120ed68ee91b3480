/** Makes a Pod's volumes ready on the host, keeps their content current and takes them down. */
import { createHash } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod, Volume } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock, Timer } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { KubeletConfig } from '../config.ts';
import { podLimits } from '../cgroups/cgroup-manager.ts';
import { REPUBLISH_MS, type CsiMount, type CsiVolumes } from '../csi/csi-volumes.ts';
import { expandOnNode, pendingGrowth } from '../csi/expansion.ts';
import { inlineSource, persistentSource, type CsiSource } from '../csi/source.ts';
import type { ReadyVolume, VolumeManager } from '../interfaces.ts';
import { podDir } from '../pods/paths.ts';
import { writeAtomically } from './atomic-writer.ts';
import type { ImageMounts } from '#cri/image-mounts.ts';
import { isHugePagesMedium, pageSizeOf } from './huge-pages.ts';
import { applyFsGroup } from './fs-group.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounter } from './mounter.ts';
import { boundClaim, isReadOnlyVolume, pathOf, type BoundClaim } from './persistent.ts';
import { defaultMode, downwardPayload, keyedPayload, projectedPayload, type IndexedSource, type PayloadContext, type VolumePayload } from './payload.ts';
import { prepareSubPath } from './sub-path.ts';
import { directoryUse, fileSystemUse } from './volume-use.ts';
import { UnreadyVolume, VolumeError } from './volume-error.ts';

export interface VolumeManagerOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly mounter: Mounter;
  readonly payload: PayloadContext;
  /** Where the runtime does not mount images itself. */
  readonly images?: ImageMounts | undefined;
  readonly csi: Pick<CsiVolumes, 'setUp' | 'tearDown' | 'onChange' | 'expand' | 'use'>;
}

const EMPTY_DIR_MODE = 0o777;
const STICKY = 0o1000;
/** Upstream's plugin names, as they stand in paths. */
const PLUGIN_DIRS = { emptyDir: 'kubernetes.io~empty-dir', configMap: 'kubernetes.io~configmap', image: 'kubernetes.io~image' } as const;

const NOTHING_MOUNTED: ReadonlyMap<string, ReadyVolume> = new Map();

export function newVolumeManager(options: VolumeManagerOptions): VolumeManager {
  const { config, clock, client, mounter, recorder, payload, csi } = options;
  const timers = new Map<string, { readonly at: number; readonly timer: Timer }>();
  /** What was ready once, by Pod: it goes on being used where bringing it up to date fails. */
  const mounted = new Map<string, Map<string, ReadyVolume>>();
  const tokens = new Map<string, { refreshAt: number; payload: VolumePayload; generation: string }>();
  let listener: (uid: string) => void = () => {};

  const diskDir = (uid: string, plugin: string, name: string): string => join(podDir(config, uid), 'volumes', plugin, name);
  const secretDir = (uid: string, name: string): string => join(config.secretsDir, uid, name);

  async function emptyDir(pod: Pod, volume: Volume): Promise<ReadyVolume> {
    const dir = diskDir(uidOf(pod), PLUGIN_DIRS.emptyDir, volume.name);
    const made = await mkdir(dir, { recursive: true });
    const { medium = '', sizeLimit } = volume.emptyDir!;
    const pageSize = isHugePagesMedium(medium) ? pageSizeOf(medium, pod) : undefined;
    if (medium !== '' && medium !== 'Memory' && !pageSize) throw new Error(`unknown storage medium "${medium}"`);
    const fresh = made !== undefined || (medium !== '' && !(await mounter.isMountPoint(dir)));
    const ready = { name: volume.name, hostPath: dir, readOnly: false, measure: () => directoryUse(dir) };
    if (!fresh) return ready;
    const { memory } = payload.node().allocatable;
    const sizeBytes = memoryLimit(pod, sizeLimit, memory === undefined ? undefined : Number(parseQuantity(memory).value()));
    // The sticky bit is what upstream's has, too.
    if (medium === 'Memory') await mounter.tmpfs(dir, { mode: EMPTY_DIR_MODE | STICKY, ...(sizeBytes === undefined ? {} : { sizeBytes }) });
    if (pageSize) await mounter.hugetlbfs(dir, pageSize);
    // Every user of every container of the Pod may write: it is theirs alone.
    await chmod(dir, medium === 'Memory' ? EMPTY_DIR_MODE | STICKY : EMPTY_DIR_MODE);
    await applyFsGroup(pod, dir);
    return ready;
  }
  async function files(pod: Pod, volume: Volume, secret: boolean, make: () => Promise<VolumePayload>): Promise<ReadyVolume> {
    const uid = uidOf(pod);
    const dir = secret ? secretDir(uid, volume.name) : diskDir(uid, PLUGIN_DIRS.configMap, volume.name);
    await mkdir(dir, { recursive: true, mode: 0o755 });
    const { files: payloadFiles, refreshAt } = await make();
    const gid = pod.spec.securityContext?.fsGroup;
    await writeAtomically(dir, payloadFiles, gid);
    if (gid !== undefined) await chown(dir, 0, gid);
    // Open to every user of the Pod, mounted read-only; the directories above are closed to other users of the host.
    await chmod(dir, (secret ? 0o1777 : 0o777) | (gid === undefined ? 0 : 0o2000));
    if (refreshAt !== undefined) wakeAt(uid, refreshAt);
    return { name: volume.name, hostPath: dir, readOnly: true, measure: () => directoryUse(dir) };
  }
  /** Projected volumes ask for tokens: not at each sync, but when one nears its end or its sources changed. */
  async function projected(pod: Pod, volume: Volume, signal: AbortSignal): Promise<VolumePayload> {
    const { sources = [], defaultMode: mode } = volume.projected!;
    const all: readonly IndexedSource[] = [...sources.entries()];
    const fresh = (from: readonly IndexedSource[]) => projectedPayload(payload, pod, volume.name, from, defaultMode(mode), clock.now(), signal);
    const key = `${uidOf(pod)}/${volume.name}`;
    const isToken = ([, s]: IndexedSource) => Boolean(s.serviceAccountToken);
    let held = tokens.get(key);
    if (all.some(isToken) && (!held || clock.now() >= held.refreshAt)) {
      const made = await fresh(all.filter(isToken));
      held = { refreshAt: made.refreshAt ?? Infinity, payload: made, generation: '' };
      tokens.set(key, held);
    }
    const rest = await fresh(all.filter((s) => !isToken(s)));
    return { files: new Map([...rest.files, ...(held?.payload.files ?? [])]), refreshAt: held?.refreshAt };
  }
  /** The earliest time that anybody asked for. */
  function wakeAt(uid: string, at: number): void {
    const set = timers.get(uid);
    if (set && set.at <= at && set.at > clock.now()) return;
    set?.timer.cancel();
    timers.set(uid, { at, timer: clock.after(at - clock.now(), () => listener(uid)) });
  }
  async function claim(pod: Pod, claimName: string, readOnly: boolean, volume: Volume, signal: AbortSignal): Promise<ReadyVolume> {
    const uid = uidOf(pod);
    const bound = await boundClaim(client, pod, claimName, volume.ephemeral !== undefined, signal).catch((err: Error) => {
      throw signal.aborted ? err : new UnreadyVolume(volume.name, err, 'process');
    });
    const name = bound.volume.metadata.name!;
    if (bound.volume.spec.csi) return await csiVolume(pod, volume, persistentSource(bound.volume, readOnly), signal, bound);
    const ready = { name: volume.name, readOnly: readOnly || isReadOnlyVolume(bound.volume), ...(bound.block ? { block: true } : {}) };
    try {
      const hostPath = await pathOf({ mounter, mountDir: (plugin) => diskDir(uid, plugin, name) }, bound.volume, bound.block);
      if (!bound.block && !mounted.get(uid)?.has(volume.name)) await applyFsGroup(pod, hostPath, ready.readOnly);
      // A directory of the host's own has no size that would be the volume's.
      const measured = bound.volume.spec.hostPath || bound.block ? {} : { measure: () => fileSystemUse(hostPath) };
      return { ...ready, hostPath, ...measured };
    } catch (err) {
      throw signal.aborted ? err : new VolumeError('MountVolume.SetUp', name, err);
    }
  }
  async function csiVolume(pod: Pod, volume: Volume, source: CsiSource, signal: AbortSignal, bound?: BoundClaim): Promise<ReadyVolume> {
    const mount: CsiMount = await csi.setUp(pod, volume.name, source, signal);
    const grows = bound && mount.capabilities.has('EXPAND_VOLUME') && !source.readOnly;
    const storage = grows ? pendingGrowth(bound.claim, bound.volume) : undefined;
    if (bound && storage !== undefined) await expandOnNode({ client, recorder, nodeName: config.nodeName }, pod, bound.claim, bound.volume, storage, (bytes) => csi.expand(source, mount, bytes, signal), signal);
    // Nobody tells a node of claims and volumes that change: it looks now and then, as upstream's does.
    if (mount.republish || grows) wakeAt(uidOf(pod), clock.now() + REPUBLISH_MS);
    return { name: volume.name, hostPath: mount.hostPath, readOnly: source.readOnly, ...(source.block ? { block: true } : {}), ...(mount.capabilities.has('GET_VOLUME_STATS') ? { measure: (signal) => csi.use(source, mount, signal) } : {}) };
  }
  async function nfs(pod: Pod, volume: Volume): Promise<ReadyVolume> {
    const { server, path, readOnly = false } = volume.nfs!;
    const dir = diskDir(uidOf(pod), 'kubernetes.io~nfs', volume.name);
    await mkdir(dir, { recursive: true, mode: 0o750 });
    if (!(await mounter.isMountPoint(dir))) await mounter.nfs(`${server}:${path}`, dir, readOnly ? ['ro'] : []);
    return { name: volume.name, hostPath: dir, readOnly, measure: () => fileSystemUse(dir) };
  }
  /** A run of a container sees the image that was pulled for it; those before it keep theirs. */
  const viewKey = (uid: string, volume: string, image: string): string => `image-volume_${uid}_${volume}_${image}`;
  async function mountImage(images: ImageMounts, pod: Pod, volume: ReadyVolume, imageRef: string, signal: AbortSignal): Promise<ReadyVolume> {
    const image = createHash('sha256').update(imageRef).digest('hex').slice(0, 12);
    const hostPath = join(diskDir(uidOf(pod), PLUGIN_DIRS.image, volume.name), image);
    await mkdir(hostPath, { recursive: true, mode: 0o750 });
    if (!(await mounter.isMountPoint(hostPath))) {
      const { type, source, options } = await images.view(imageRef, viewKey(uidOf(pod), volume.name, image), signal);
      await (type === 'bind' ? mounter.bind(source, hostPath) : mounter.fileSystem(type, source, hostPath, options));
    }
    return { name: volume.name, hostPath, readOnly: true };
  }
  async function releaseImages({ release }: ImageMounts, uid: string): Promise<void> {
    const dir = join(podDir(config, uid), 'volumes', PLUGIN_DIRS.image);
    for (const volume of await readdir(dir).catch(() => [])) for (const image of await readdir(join(dir, volume))) await release(viewKey(uid, volume, image));
  }
  async function setUpOne(pod: Pod, volume: Volume, signal: AbortSignal): Promise<ReadyVolume> {
    const keyed = (kind: 'configMaps' | 'secrets', source: Parameters<typeof keyedPayload>[3]) => async () => ({ files: await keyedPayload(payload, pod, kind, source, signal) });
    if (volume.emptyDir) return await emptyDir(pod, volume);
    if (volume.hostPath) return { name: volume.name, hostPath: await prepareHostPath(volume.hostPath), readOnly: false };
    if (volume.configMap) return await files(pod, volume, false, keyed('configMaps', { ...volume.configMap, name: volume.configMap.name ?? '', mode: defaultMode(volume.configMap.defaultMode) }));
    if (volume.secret) return await files(pod, volume, true, keyed('secrets', { ...volume.secret, name: volume.secret.secretName ?? '', mode: defaultMode(volume.secret.defaultMode) }));
    if (volume.downwardAPI) return await files(pod, volume, false, () => Promise.resolve({ files: downwardPayload(payload, pod, volume.downwardAPI!.items ?? [], defaultMode(volume.downwardAPI!.defaultMode)) }));
    if (volume.projected) return await files(pod, volume, true, () => projected(pod, volume, signal));
    if (volume.image) return { name: volume.name, hostPath: '', readOnly: true, image: volume.image.reference ?? '' };
    if (volume.persistentVolumeClaim) return await claim(pod, volume.persistentVolumeClaim.claimName, volume.persistentVolumeClaim.readOnly ?? false, volume, signal);
    if (volume.ephemeral) return await claim(pod, `${pod.metadata.name}-${volume.name}`, false, volume, signal);
    if (volume.csi) return await csiVolume(pod, volume, inlineSource(pod, volume), signal);
    if (volume.nfs) return await nfs(pod, volume);
    const type = Object.keys(volume).find((k) => k !== 'name') ?? 'unknown';
    throw new Error(`no volume plugin matched: volumes of type "${type}" are not supported by this node`);
  }

  async function setUpAndNote(pod: Pod, volume: Volume, known: Map<string, ReadyVolume>, signal: AbortSignal): Promise<void> {
    try {
      known.set(volume.name, await setUpOne(pod, volume, signal));
    } catch (err) {
      if (signal.aborted) throw err;
      const failure = err instanceof VolumeError || err instanceof UnreadyVolume ? err : new VolumeError('MountVolume.SetUp', volume.name, err);
      recorder.eventFor(referenceTo(pod), 'Warning', failure instanceof VolumeError ? failure.reason : 'FailedMount', failure.message);
      // A ConfigMap that was deleted takes nothing from the Pods that have its content.
      const earlier = known.get(volume.name) ?? (await leftFromEarlier(pod, volume));
      if (!earlier) throw failure;
      known.set(volume.name, earlier);
    }
  }
  /** Content that an earlier process of the kubelet wrote. */
  async function leftFromEarlier(pod: Pod, volume: Volume): Promise<ReadyVolume | undefined> {
    const secret = Boolean(volume.secret ?? volume.projected);
    if (!secret && !volume.configMap && !volume.downwardAPI) return undefined;
    const hostPath = secret ? secretDir(uidOf(pod), volume.name) : diskDir(uidOf(pod), PLUGIN_DIRS.configMap, volume.name);
    return await readlink(join(hostPath, '..data')).then(() => ({ name: volume.name, hostPath, readOnly: true }), () => undefined);
  }

  return {
    async setUp(pod, signal) {
      payload.objects.configMaps.register(pod);
      payload.objects.secrets.register(pod);
      const known = mounted.get(uidOf(pod)) ?? new Map<string, ReadyVolume>();
      mounted.set(uidOf(pod), known);
      const results = await Promise.allSettled((pod.spec.volumes ?? []).map((volume) => setUpAndNote(pod, volume, known, signal)));
      const failed = results.find((r) => r.status === 'rejected');
      if (failed) throw failed.reason as Error;
      return known;
    },
    volumesOf: (uid) => mounted.get(uid) ?? NOTHING_MOUNTED,
    async subPath(pod, container, volume, subPath, mountIndex) {
      const bindDir = join(podDir(config, uidOf(pod)), 'volume-subpaths', volume.name, container.name, String(mountIndex));
      return await prepareSubPath(volume.hostPath, subPath, bindDir, volume.name, mounter);
    },
    ...(options.images && { mountImage: (pod, volume, imageRef, signal) => mountImage(options.images!, pod, volume, imageRef, signal) }),
    async tearDown(uid) {
      timers.get(uid)?.timer.cancel();
      timers.delete(uid);
      mounted.delete(uid);
      for (const key of tokens.keys()) if (key.startsWith(`${uid}/`)) tokens.delete(key);
      payload.objects.configMaps.unregister(uid);
      payload.objects.secrets.unregister(uid);
      payload.trustBundles.forget(uid);
      payload.podCertificates.forget(uid);
      await mounter.unmountAll(join(podDir(config, uid), 'volume-subpaths'));
      // Before anything is removed: what a driver does not take back must not be lost.
      await csi.tearDown(uid);
      await mounter.unmountAll(podDir(config, uid));
      if (options.images) await releaseImages(options.images, uid);
      await rm(join(podDir(config, uid), 'volumes'), { recursive: true, force: true });
      await rm(join(podDir(config, uid), 'volumeDevices'), { recursive: true, force: true });
      await rm(join(podDir(config, uid), 'volume-subpaths'), { recursive: true, force: true });
      await rm(join(config.secretsDir, uid), { recursive: true, force: true });
    },
    onChange(fn) {
      listener = fn;
      payload.objects.configMaps.onChange(fn);
      payload.objects.secrets.onChange(fn);
      payload.trustBundles.onChange(fn);
      payload.podCertificates.onChange(fn);
      csi.onChange(fn);
    },
    async stop() {
      for (const t of timers.values()) t.timer.cancel();
      await Promise.all([payload.objects.configMaps.stop(), payload.objects.secrets.stop()]);
    },
  };
}

/** Bytes of a memory-backed volume: its own limit, the Pod's, the node's, whichever is least. */
function memoryLimit(pod: Pod, sizeLimit: string | undefined, nodeMemoryBytes: number | undefined): number | undefined {
  const limits = [sizeLimit && sizeLimit !== '0' ? Number(parseQuantity(sizeLimit).value()) : undefined, podLimits(pod).memoryBytes, nodeMemoryBytes];
  const set = limits.filter((n) => n !== undefined && n > 0) as number[];
  return set.length ? Math.min(...set) : undefined;
}
