/** The contracts between the kubelet's subjects. Each is implemented in the folder of its name. */
import type { Container, EphemeralContainer, Pod } from '#api/gen/core-v1.ts';
import type { VolumeUse } from './volumes/volume-use.ts';
import type { NodeAllocatable } from './node/node-allocatable.ts';

/** Labels and annotations by which the kubelet finds its own sandboxes and containers again, as upstream's. */
export const LABELS = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  containerName: 'io.kubernetes.container.name',
} as const;
export const ANNOTATIONS = {
  hash: 'io.kubernetes.container.hash',
  restartCount: 'io.kubernetes.container.restartCount',
  terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
  terminationMessagePolicy: 'io.kubernetes.container.terminationMessagePolicy',
  podTerminationGracePeriod: 'io.kubernetes.pod.terminationGracePeriod',
  podDeletionGracePeriod: 'io.kubernetes.pod.deletionGracePeriod',
  containerPreStop: 'io.kubernetes.container.preStopHandler',
  containerPorts: 'io.kubernetes.container.ports',
} as const;

/** Why the kubelet itself ended a Pod: it was rejected, evicted, or ran past its deadline. */
export interface PodEnd {
  readonly reason: string;
  readonly message: string;
  /** `DisruptionTarget`, where Pods are ended for the node's sake. */
  readonly condition?: { readonly type: string; readonly status: string; readonly reason?: string; readonly message?: string } | undefined;
  /** It was never let in: nothing of it ran here. */
  readonly rejected?: boolean;
}

/** A container of any of the three lists of a Pod. */
export type AnyContainer = Container | EphemeralContainer;

/** What a container could not be started for: `reason` is shown as STATUS (`ErrImagePull`), `message` beside it. */
export class StartError extends Error {
  readonly reason: string;
  /** When trying again may help, in milliseconds. */
  readonly retryAfterMs: number;
  constructor(reason: string, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StartError';
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs ?? 10_000;
  }
}

/* ------------------------------------------------------------ volumes */

/** A volume of a Pod that is ready on the host. */
export interface ReadyVolume {
  readonly name: string;
  /** Directory or file on the host that is mounted into containers; '' for an image volume, which the runtime mounts. */
  readonly hostPath: string;
  /** The source itself is read-only, whatever the mount says. */
  readonly readOnly: boolean;
  /** `hostPath` is a block device. */
  readonly block?: boolean | undefined;
  /** For `image` volumes: the reference given to the runtime. */
  readonly image?: string | undefined;
  /** How full it is; absent for what cannot be measured. */
  readonly measure?: ((signal: AbortSignal) => Promise<VolumeUse>) | undefined;
}
export interface VolumeManager {
  /**
   * Makes every volume of the Pod ready and its content current; called at each sync, cheap when nothing changed.
   * Rejects with an error whose message is the event's (`MountVolume.SetUp failed for volume "x" : configmap "y" not found`).
   */
  setUp(pod: Pod, signal: AbortSignal): Promise<ReadonlyMap<string, ReadyVolume>>;
  /**
   * Host path of `subPath` inside a ready volume, created when missing, safe against symlinks that lead outside. `mountIndex` is the
   * place of the mount in the container's `volumeMounts`. Rejects with StartError `CreateContainerConfigError`.
   */
  subPath(pod: Pod, container: AnyContainer, volume: ReadyVolume, subPath: string, mountIndex: number): Promise<string>;
  /** An image volume as a directory of the host, of an image that was pulled; absent where the runtime mounts images itself, or nobody can. */
  mountImage?: ((pod: Pod, volume: ReadyVolume, imageRef: string, signal: AbortSignal) => Promise<ReadyVolume>) | undefined;
  /** Unmounts and removes everything of the Pod; idempotent, works for Pods of an earlier process too. */
  tearDown(uid: string): Promise<void>;
  /** What is ready of a Pod's volumes, by name. */
  volumesOf(uid: string): ReadonlyMap<string, ReadyVolume>;
  /** Pods whose mounted content may have changed are told here (a ConfigMap was written, a token nears its end). */
  onChange(listener: (uid: string) => void): void;
  stop(): Promise<void>;
}

/* ------------------------------------------------------------ images */

export interface PulledImage {
  /** What the container is created from. */
  readonly imageRef: string;
  /** What `status.imageID` shows. */
  readonly imageId: string;
  /** The user that the image runs as by itself: a number, a name, or neither (root). */
  readonly uid?: number | undefined;
  readonly username?: string | undefined;
}
export interface ImageManager {
  /** Makes sure that a container's image is there, by its pull policy; records the events. Rejects with {@link StartError}. */
  ensureImageExists(pod: Pod, container: AnyContainer, signal: AbortSignal): Promise<PulledImage>;
  /** The Pod is gone: its back-offs are forgotten. */
  forget(uid: string): void;
}

/* ------------------------------------------------------------ cgroups */

export interface CgroupManager {
  /** The cgroup parent for the Pod's containers, created with the Pod's limits when it is not there. */
  ensurePod(pod: Pod, options?: { readonly raiseOnly?: boolean }): Promise<string>;
  /** Where the Pod's cgroup is, whether it is there or not; and that of a container or sandbox in it. */
  pathOf?(pod: Pod): string;
  containerPath?(podPath: string, id: string): string;
  /** The groups that all Pods are in, the outermost first. */
  readonly groups?: readonly string[];
  /** Bounds all Pods together. */
  enforceNodeAllocatable?(allocatable: NodeAllocatable): Promise<void>;
  /** Gives the classes of Pods their shares of the CPU, by what those that are here ask for. */
  updateQos?(pods: readonly Pod[]): Promise<void>;
  /** Removes the Pod's cgroup; idempotent. What still runs in it, though the runtime has stopped the Pod, is killed; it then rejects, to be called again. */
  removePod(uid: string): Promise<void>;
  /** Cgroups of Pods found on the host, by uid: to clean up after an earlier process. */
  listPods(): Promise<readonly string[]>;
}

/* ------------------------------------------------------------ probes */

export type ProbeKind = 'startup' | 'readiness' | 'liveness';
export interface Prober {
  /** Starts probing the containers of the Pod that run; idempotent, called at each sync. */
  addPod(pod: Pod): void;
  removePod(uid: string): void;
  /** The Pod terminates: its readiness goes on being probed, but no probe kills a container any more. */
  stopLivenessAndStartup(uid: string): void;
  /** A container's readiness: true without a probe once it is started. `containerId` guards against results of an earlier run. */
  isReady(uid: string, containerName: string, containerId: string): boolean;
  /** True once the startup probe has passed, or without one. */
  isStarted(uid: string, containerName: string, containerId: string): boolean;
  /** The probe that demands that this container be killed, if any. */
  mustKill(uid: string, containerName: string, containerId: string): 'liveness' | 'startup' | undefined;
  /** Called when a result changes what the above answer. */
  onChange(listener: (uid: string) => void): void;
  stop(): void;
}

/* ------------------------------------------------------------ environment */

export interface EnvironmentMaker {
  /** Environment of a container in order, references expanded. Rejects with StartError `CreateContainerConfigError`. */
  environmentOf(pod: Pod, container: AnyContainer, podIPs: readonly string[], signal: AbortSignal): Promise<readonly { key: string; value: string }[]>;
}

/* ------------------------------------------------------------ lifecycle hooks */

export interface HookRunner {
  /** Runs a postStart or preStop handler; resolves with '' or with what went wrong (upstream's message for the event). */
  run(pod: Pod, container: AnyContainer, containerId: string, hook: 'postStart' | 'preStop', timeoutMs: number, signal: AbortSignal): Promise<string>;
}
