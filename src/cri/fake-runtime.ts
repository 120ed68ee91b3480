/**
 * A container runtime in memory: for simulated nodes and for the kubelet's unit tests. What its containers do is told by a
 * script; when they do it, by the injected clock. Names, states, events and error texts follow containerd's.
 */
import type { Clock } from '#base/clock.ts';
import type { ContainerRuntime } from './client.ts';
import { CriError } from './error.ts';
import { FakeContainers, type ContainerService, type ScriptOf } from './fake-containers.ts';
import { FakeEvents } from './fake-events.ts';
import { FakeImages, once, type PullScript } from './fake-images.ts';
import { FakeSandboxes, type SandboxService } from './fake-sandboxes.ts';
import { criMessage, type Init } from './schema.ts';
import type { ImageService, PullImageRequest, RunPodSandboxRequest } from './types.ts';

export type { ContainerScript, ScriptOf } from './fake-containers.ts';
export type { PullScript } from './fake-images.ts';

export interface FakeRuntimeOptions {
  readonly clock: Clock;
  /** Asked once for each container that is created. */
  readonly container?: ScriptOf | undefined;
  readonly pull?: ((image: string, request: Init<PullImageRequest>) => PullScript | undefined) | undefined;
  /** An error makes RunPodSandbox fail. */
  readonly sandbox?: ((request: Init<RunPodSandboxRequest>) => CriError | undefined) | undefined;
  /** The node's Pod CIDR, a /24: sandboxes get its addresses from .2 on. */
  readonly podCIDR?: string | undefined;
  /** Whether Pods can have a network yet. */
  readonly networkReady?: (() => boolean) | undefined;
  /** Containers may name images that were not pulled. */
  readonly anyImage?: boolean | undefined;
}

export interface FakeRuntime extends ContainerRuntime {
  readonly images: FakeImages;
  readonly events: FakeEvents;
  /** Ends a running container from outside, as the kernel or an operator would; 137 unless told otherwise. */
  kill(containerId: string, code?: number, reason?: string): void;
  /** Whether this run of a container of any sandbox runs. */
  isRunning(name: string, attempt: number): boolean;
  /** Cancels every timer: nothing of it happens any more. */
  close(): void;
}

export function fakeRuntime(options: FakeRuntimeOptions): FakeRuntime {
  const { clock } = options;
  let lastId = 0;
  const newId = () => (++lastId).toString(16).padStart(64, 'f');
  const events = new FakeEvents();
  const images = new FakeImages(clock, options.pull ?? (() => undefined));
  const sandboxes = new FakeSandboxes({ clock, events, newId, podCIDR: options.podCIDR ?? '10.244.0.0/24', failure: options.sandbox ?? (() => undefined), containers: () => containers });
  const containers: FakeContainers = new FakeContainers({ clock, events, images, sandboxes, newId, script: options.container ?? (() => undefined), anyImage: options.anyImage ?? false });
  return {
    ...images.service,
    ...sandboxes.service,
    ...containers.service,
    ...nodeService(events, options.networkReady ?? (() => true)),
    images,
    events,
    kill: (id, code, reason) => containers.kill(id, code, reason),
    isRunning: (name, attempt) => containers.isRunning(name, attempt),
    close: () => containers.close(),
  };
}

/** What is asked of the runtime as a whole. It has no streaming server: exec, attach and port-forward are not implemented. */
function nodeService(events: FakeEvents, networkReady: () => boolean): Omit<ContainerRuntime, keyof ImageService | keyof SandboxService | keyof ContainerService> {
  const unimplemented = (method: string) => async (): Promise<never> => {
    throw new CriError('Unimplemented', `method ${method} not implemented`);
  };
  return {
    version: async () => ({ version: '0.1.0', runtimeName: 'fake', runtimeVersion: '1.0.0', runtimeApiVersion: 'v1' }),
    status: async () => criMessage('StatusResponse', { status: { conditions: [{ type: 'RuntimeReady', status: true }, { type: 'NetworkReady', status: networkReady() }] }, features: { supplementalGroupsPolicy: true } }),
    runtimeConfig: async () => ({ linux: { cgroupDriver: 'CGROUPFS' } }),
    updateRuntimeConfig: async () => ({}),
    getContainerEvents: (_request, call) => events.subscribe(call?.signal),
    exec: unimplemented('Exec'),
    attach: unimplemented('Attach'),
    portForward: unimplemented('PortForward'),
    checkpointContainer: unimplemented('CheckpointContainer'),
    listMetricDescriptors: unimplemented('ListMetricDescriptors'),
    listPodSandboxMetrics: unimplemented('ListPodSandboxMetrics'),
    streamPodSandboxMetrics: () => once(unimplemented('StreamPodSandboxMetrics')),
  };
}
