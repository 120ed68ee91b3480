import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { Pod, VolumeMount } from '#api/gen/core-v1.ts';
import type { Init } from '#cri/schema.ts';
import type { ContainerConfig, Device, Mount, Signal, UserNamespace } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import type { RunOptions } from '../container-manager.ts';
import { expand } from '../env/expand.ts';
import { ANNOTATIONS, LABELS, StartError, type AnyContainer, type PulledImage, type ReadyVolume, type VolumeManager } from '../interfaces.ts';
import { hostsFile } from '../network/hosts-file.ts';
import { containerHash } from '../pods/containers.ts';
import { containerDir, containerLogPath, podDir, seccompDir } from '../pods/paths.ts';
import { linuxResources, type LinuxResources } from './linux-resources.ts';
import { containerSecurity } from './security.ts';

export interface ContainerInputs {
  readonly config: KubeletConfig;
  readonly image: PulledImage;
  readonly restartCount: number;
  readonly environment: readonly { key: string; value: string }[];
  /** What the node gives the container for itself. */
  readonly granted: RunOptions;
  readonly volumes: ReadonlyMap<string, ReadyVolume>;
  readonly volumeManager: VolumeManager;
  readonly podIPs: readonly string[];
  readonly memoryCapacityBytes: number;
  readonly cgroups: Parameters<typeof linuxResources>[3];
  /** The runtime's handler for this Pod can make read-only mounts read-only all the way down. */
  readonly recursiveReadOnly: boolean;
  /** The runtime can mount images. */
  readonly imageVolumes: boolean;
  /** What the images of image volumes were pulled as, by volume. */
  readonly volumeImages?: ReadonlyMap<string, string> | undefined;
  /** The host confines by AppArmor. */
  readonly appArmor: boolean;
  /** Sizes of huge pages that the host has, as the runtime names them: `2MB`. */
  readonly hugePageSizes: readonly string[];
  readonly targetId?: string | undefined;
  /** The Pod's own ids; undefined where it has the host's. */
  readonly userNamespace?: UserNamespace | undefined;
}

/** What CreateContainer is asked for. Makes the files that its mounts need. Rejects with {@link StartError}. */
export async function containerConfig(pod: Pod, container: AnyContainer, inputs: ContainerInputs): Promise<Init<ContainerConfig>> {
  const { config, image, restartCount, environment, granted } = inputs;
  const env = new Map(environment.map((e) => [e.key, e.value]));
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: { image: image.imageRef, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map((c) => expand(c, env)),
    args: (container.args ?? []).map((a) => expand(a, env)),
    workingDir: container.workingDir ?? '',
    // A variable of the Pod's own comes after, and counts.
    envs: [...granted.envs, ...environment].map(({ key, value }) => ({ key, value: Buffer.from(value) })),
    mounts: [...granted.mounts, ...(await mounts(pod, container, env, inputs))],
    devices: [...granted.devices, ...devices(container, inputs)],
    ...(granted.cdiDevices.length ? { CDIDevices: granted.cdiDevices } : {}),
    labels: { [LABELS.containerName]: container.name, [LABELS.podName]: name, [LABELS.podNamespace]: namespace, [LABELS.podUid]: uid },
    annotations: { ...granted.annotations, ...annotations(pod, container, restartCount) },
    logPath: containerLogPath(container.name, restartCount),
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    ...(container.lifecycle?.stopSignal ? { stopSignal: container.lifecycle.stopSignal as Signal } : {}),
    linux: {
      resources: bound(linuxResources(pod, container, inputs.memoryCapacityBytes, inputs.cgroups, inputs.hugePageSizes), granted),
      securityContext: containerSecurity(pod, container, { seccompRoot: seccompDir(config), appArmor: inputs.appArmor, image, targetId: inputs.targetId, userNamespace: inputs.userNamespace }),
    },
  };
}

/** On the CPUs and NUMA nodes that were given. CPUs of one's own have no quota: it would only throttle (KEP-5084). */
function bound(resources: LinuxResources, { cpus, memoryNodes }: RunOptions): LinuxResources {
  const { cpuQuota, ...others } = resources;
  return {
    ...others,
    ...(cpuQuota === undefined || cpus?.exclusive ? {} : { cpuQuota }),
    ...(cpus ? { cpusetCpus: cpus.cpus } : {}),
    ...(memoryNodes === undefined ? {} : { cpusetMems: memoryNodes }),
  };
}
function annotations(pod: Pod, container: AnyContainer, restartCount: number): Record<string, string> {
  return {
    [ANNOTATIONS.hash]: containerHash(container),
    [ANNOTATIONS.restartCount]: String(restartCount),
    [ANNOTATIONS.terminationMessagePath]: container.terminationMessagePath ?? '/dev/termination-log',
    [ANNOTATIONS.terminationMessagePolicy]: container.terminationMessagePolicy ?? 'File',
    [ANNOTATIONS.podTerminationGracePeriod]: String(pod.spec.terminationGracePeriodSeconds ?? 30),
    ...(pod.metadata.deletionGracePeriodSeconds === undefined ? {} : { [ANNOTATIONS.podDeletionGracePeriod]: String(pod.metadata.deletionGracePeriodSeconds) }),
    // Kept with the container, so that a kubelet that starts after the Pod has left the API can still stop it properly.
    ...(container.lifecycle?.preStop ? { [ANNOTATIONS.containerPreStop]: JSON.stringify(container.lifecycle.preStop) } : {}),
    ...(container.ports?.length ? { [ANNOTATIONS.containerPorts]: JSON.stringify(container.ports) } : {}),
  };
}

/** Block volumes appear in the container as devices. */
function devices(container: AnyContainer, inputs: ContainerInputs): Init<Device>[] {
  return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    const volume = inputs.volumes.get(name);
    if (!volume?.block) throw new StartError('CreateContainerConfigError', `cannot find block volume "${name}" to map into container "${container.name}"`);
    return { hostPath: volume.hostPath, containerPath: devicePath, permissions: volume.readOnly ? 'r' : 'mrw' };
  });
}
async function mounts(pod: Pod, container: AnyContainer, env: ReadonlyMap<string, string>, inputs: ContainerInputs): Promise<Init<Mount>[]> {
  const out: Init<Mount>[] = [];
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) out.push(await volumeMount(pod, container, mount, index, env, inputs));
  const has = (path: string) => out.some((m) => m.containerPath === path);
  // Before a Pod has an address its hosts file would lie; the sandbox comes first, so only host-network Pods of odd runtimes are without.
  const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
  const [hosts, message] = await Promise.all([has('/etc/hosts') ? undefined : writeHosts(pod, inputs), messagePath && !has(messagePath) ? messageFile(pod, container, inputs) : undefined]);
  if (hosts !== undefined) out.push({ containerPath: '/etc/hosts', hostPath: hosts });
  if (message !== undefined) out.push({ containerPath: messagePath, hostPath: message });
  const { userNamespace: own } = inputs;
  // What is the host's id on the disk is the Pod's in the container.
  return own ? out.map((m) => ({ ...m, uidMappings: own.uids, gidMappings: own.gids })) : out;
}
async function volumeMount(pod: Pod, container: AnyContainer, mount: VolumeMount, index: number, env: ReadonlyMap<string, string>, inputs: ContainerInputs): Promise<Init<Mount>> {
  const volume = inputs.volumes.get(mount.name);
  if (!volume) throw new StartError('CreateContainerConfigError', `cannot find volume "${mount.name}" to mount into container "${container.name}"`);
  const subPath = mount.subPathExpr ? expandStrictly(mount.subPathExpr, env) : (mount.subPath ?? '');
  const readonly = (mount.readOnly ?? false) || volume.readOnly;
  const common = {
    containerPath: isAbsolute(mount.mountPath) ? mount.mountPath : join('/', mount.mountPath),
    readonly,
    propagation: mount.mountPropagation === 'Bidirectional' ? 'PROPAGATION_BIDIRECTIONAL' : mount.mountPropagation === 'HostToContainer' ? 'PROPAGATION_HOST_TO_CONTAINER' : 'PROPAGATION_PRIVATE',
    recursiveReadOnly: readonly && recursively(mount, inputs.recursiveReadOnly),
  } as const;
  if (volume.image !== undefined) {
    if (!inputs.imageVolumes) throw new StartError('CreateContainerConfigError', `volume "${mount.name}" is an image volume, which is not supported by the container runtime`);
    return { ...common, image: { image: inputs.volumeImages?.get(mount.name) ?? volume.image }, imageSubPath: subPath };
  }
  return { ...common, hostPath: subPath ? await inputs.volumeManager.subPath(pod, container, volume, subPath, index) : volume.hostPath };
}
/** Whether mounts below a read-only mount are read-only too (KEP-3857). */
function recursively(mount: VolumeMount, supported: boolean): boolean {
  if (mount.recursiveReadOnly === 'Enabled' && !supported) throw new StartError('CreateContainerConfigError', `volume "${mount.name}" requested recursive read-only mode, but it is not supported by the runtime`);
  return supported && (mount.recursiveReadOnly === 'Enabled' || mount.recursiveReadOnly === 'IfPossible');
}
/** subPathExpr: every reference must be known. */
function expandStrictly(text: string, env: ReadonlyMap<string, string>): string {
  for (const [, name = ''] of text.replaceAll('$$', '').matchAll(/\$\(([^)]*)\)/g)) {
    if (!env.has(name)) throw new StartError('CreateContainerConfigError', `missing value for "${name}"`);
  }
  return expand(text, env);
}
async function writeHosts(pod: Pod, inputs: ContainerInputs): Promise<string> {
  const path = join(podDir(inputs.config, pod.metadata.uid!), 'etc-hosts');
  const text = await hostsFile(pod, inputs.podIPs, inputs.config.clusterDomain);
  // In place, as containers that run have it mounted; not at all when nothing changes, as they may be reading it.
  if ((await readFile(path, 'utf8').catch(() => undefined)) !== text) await writeFile(path, text, { mode: 0o644 });
  return path;
}
/** An empty file of its own for each run of the container: what the program writes there is its termination message. */
async function messageFile(pod: Pod, container: AnyContainer, inputs: ContainerInputs): Promise<string> {
  const dir = containerDir(inputs.config, pod.metadata.uid!, container.name);
  const path = join(dir, randomBytes(4).toString('hex'));
  const create = async (): Promise<void> => {
    await using file = await open(path, 'wx');
    // Written to by whichever user the container runs as.
    await file.chmod(0o666);
  };
  await create().catch(async (err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err;
    await mkdir(dir, { recursive: true, mode: 0o750 });
    await create();
  });
  return path;
}
