/** Makes a Pod's volumes ready on the host, keeps their content current and takes them down. */
import { chmod, chown, lchown, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PersistentVolume, Pod, Volume } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock, Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { KubeletConfig } from '../config.ts';
import type { AnyContainer, ReadyVolume, VolumeManager } from '../interfaces.ts';
import { podDir } from '../pods/paths.ts';
import { writeAtomically } from './atomic-writer.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounter } from './mounter.ts';
import { defaultMode, downwardPayload, keyedPayload, projectedPayload, type PayloadContext, type VolumePayload } from './payload.ts';
import { prepareSubPath } from './sub-path.ts';

const log = logger('kubelet');

export interface VolumeManagerOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly mounter: Mounter;
  readonly payload: PayloadContext;
}

/** Upstream's plugin names, as they stand in paths. */
const PLUGIN_DIRS = { emptyDir: 'kubernetes.io~empty-dir', configMap: 'kubernetes.io~configmap' } as const;

export function newVolumeManager(options: VolumeManagerOptions): VolumeManager {
  const { config, clock, client, mounter, recorder, payload } = options;
  const timers = new Map<string, Timer>();
  const tokens = new Map<string, { refreshAt: number; payload: VolumePayload; generation: string }>();
  let listener: (uid: string) => void = () => {};

  const diskDir = (uid: string, plugin: string, name: string): string => join(podDir(config, uid), 'volumes', plugin, name);
  const secretDir = (uid: string, name: string): string => join(config.secretsDir, uid, name);

  async function emptyDir(pod: Pod, volume: Volume): Promise<ReadyVolume> {
    const dir = diskDir(uidOf(pod), PLUGIN_DIRS.emptyDir, volume.name);
    const made = await mkdir(dir, { recursive: true });
    const { medium = '', sizeLimit } = volume.emptyDir!;
    if (medium.startsWith('HugePages')) throw new Error(`unknown storage medium "${medium}": huge pages are not supported by this node`);
    if (medium === 'Memory' && !(await mounter.isMountPoint(dir))) {
      await mounter.tmpfs(dir, { mode: 0o777, ...(sizeLimit ? { sizeBytes: Number(parseQuantity(sizeLimit).value()) } : {}) });
    }
    // Every user of every container of the Pod may write: it is theirs alone.
    if (made !== undefined || medium === 'Memory') await chmod(dir, 0o777);
    await applyFsGroup(pod, dir);
    return { name: volume.name, hostPath: dir, readOnly: false };
  }
  async function files(pod: Pod, volume: Volume, secret: boolean, make: () => Promise<VolumePayload>): Promise<ReadyVolume> {
    const uid = uidOf(pod);
    const dir = secret ? secretDir(uid, volume.name) : diskDir(uid, PLUGIN_DIRS.configMap, volume.name);
    await mkdir(dir, { recursive: true, mode: 0o755 });
    if (secret) await chmod(join(config.secretsDir, uid), 0o755);
    const { files: payloadFiles, refreshAt } = await make();
    const gid = pod.spec.securityContext?.fsGroup;
    await writeAtomically(dir, payloadFiles, gid);
    if (gid !== undefined) await chown(dir, 0, gid);
    await chmod(dir, gid === undefined ? 0o755 : 0o2775);
    if (refreshAt !== undefined) wakeAt(uid, refreshAt);
    return { name: volume.name, hostPath: dir, readOnly: true };
  }
  /** Projected volumes ask for tokens: not at each sync, but when one nears its end or its sources changed. */
  async function projected(pod: Pod, volume: Volume, signal: AbortSignal): Promise<VolumePayload> {
    const { sources = [], defaultMode: mode } = volume.projected!;
    const fresh = (from: typeof sources) => projectedPayload(payload, pod, from, defaultMode(mode), clock.now(), signal);
    const key = `${uidOf(pod)}/${volume.name}`;
    const isToken = (s: (typeof sources)[number]) => Boolean(s.serviceAccountToken);
    let held = tokens.get(key);
    if (sources.some(isToken) && (!held || clock.now() >= held.refreshAt)) {
      const made = await fresh(sources.filter(isToken));
      held = { refreshAt: made.refreshAt ?? Infinity, payload: made, generation: '' };
      tokens.set(key, held);
    }
    const rest = await fresh(sources.filter((s) => !isToken(s)));
    return { files: new Map([...rest.files, ...(held?.payload.files ?? [])]), refreshAt: held?.refreshAt };
  }
  function wakeAt(uid: string, at: number): void {
    timers.get(uid)?.cancel();
    timers.set(uid, clock.after(at - clock.now(), () => listener(uid)));
  }
  async function claim(pod: Pod, claimName: string, readOnly: boolean, volume: Volume, signal: AbortSignal): Promise<ReadyVolume> {
    const namespace = pod.metadata.namespace!;
    const pvc = await client.of(PERSISTENT_VOLUME_CLAIMS).get(namespace, claimName, signal);
    if (pvc.status?.phase !== 'Bound' || !pvc.spec.volumeName) throw new Error(`PVC is not bound: "${namespace}/${claimName}"`);
    const pv = await client.of(PERSISTENT_VOLUMES).get('', pvc.spec.volumeName, signal);
    const hostPath = await persistentVolumePath(pv);
    await applyFsGroup(pod, hostPath);
    return { name: volume.name, hostPath, readOnly };
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
    const type = Object.keys(volume).find((k) => k !== 'name') ?? 'unknown';
    throw new Error(`no volume plugin matched name: volumes of type "${type}" are not supported by this node`);
  }

  return {
    async setUp(pod, signal) {
      payload.objects.configMaps.register(pod);
      payload.objects.secrets.register(pod);
      const ready = new Map<string, ReadyVolume>();
      for (const volume of pod.spec.volumes ?? []) {
        try {
          ready.set(volume.name, await setUpOne(pod, volume, signal));
        } catch (err) {
          if (signal.aborted) throw err;
          const message = `MountVolume.SetUp failed for volume "${volume.name}" : ${(err as Error).message}`;
          recorder.eventFor(referenceTo(pod), 'Warning', 'FailedMount', message);
          throw new Error(message, { cause: err });
        }
      }
      return ready;
    },
    async subPath(pod, container, volume, subPath) {
      const index = mountIndex(container, volume.name, subPath);
      const bindDir = join(podDir(config, uidOf(pod)), 'volume-subpaths', volume.name, container.name, String(index));
      return await prepareSubPath(volume.hostPath, subPath, bindDir, volume.name, mounter);
    },
    async tearDown(uid) {
      timers.get(uid)?.cancel();
      timers.delete(uid);
      for (const key of tokens.keys()) if (key.startsWith(`${uid}/`)) tokens.delete(key);
      payload.objects.configMaps.unregister(uid);
      payload.objects.secrets.unregister(uid);
      await mounter.unmountAll(podDir(config, uid));
      await rm(join(podDir(config, uid), 'volumes'), { recursive: true, force: true });
      await rm(join(podDir(config, uid), 'volume-subpaths'), { recursive: true, force: true });
      await rm(join(config.secretsDir, uid), { recursive: true, force: true });
    },
    onChange(fn) {
      listener = fn;
      payload.objects.configMaps.onChange(fn);
      payload.objects.secrets.onChange(fn);
    },
    async stop() {
      for (const t of timers.values()) t.cancel();
      await Promise.all([payload.objects.configMaps.stop(), payload.objects.secrets.stop()]);
    },
  };
}

function mountIndex(container: AnyContainer, volume: string, subPath: string): number {
  return (container.volumeMounts ?? []).findIndex((m) => m.name === volume && (m.subPath === subPath || m.subPathExpr !== undefined));
}
async function persistentVolumePath(pv: PersistentVolume): Promise<string> {
  const { hostPath, local } = pv.spec;
  if (hostPath) return await prepareHostPath(hostPath);
  if (local) {
    await stat(local.path);
    return local.path;
  }
  const type = Object.keys(pv.spec).find((k) => ['csi', 'nfs', 'iscsi', 'fc'].includes(k)) ?? 'unknown';
  throw new Error(`volumes of type "${type}" are not supported by this node`);
}

/** Gives a volume to the Pod's fsGroup: owner group, group permissions and setgid, unless it has them already. */
async function applyFsGroup(pod: Pod, dir: string): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
  if (fsGroup === undefined) return;
  const top = await stat(dir);
  if (fsGroupChangePolicy === 'OnRootMismatch' && top.gid === fsGroup && (top.mode & 0o2000) !== 0) return;
  if (top.gid === fsGroup && (top.mode & 0o2070) === 0o2070) return;
  log.debug({ dir, fsGroup }, 'giving the volume to its group');
  for (const e of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(e.parentPath, e.name);
    await lchown(path, -1, fsGroup).catch(() => {});
    if (e.isSymbolicLink()) continue;
    const { mode } = await stat(path);
    await chmod(path, mode | (e.isDirectory() ? 0o2770 : 0o660));
  }
  await chown(dir, top.uid, fsGroup);
  await chmod(dir, top.mode | 0o2770);
}
