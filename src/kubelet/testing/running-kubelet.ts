/** A whole kubelet over a runtime, an API server and mounts in memory; its files are in a directory of their own, its time is the test's. */
import { createHook } from 'node:async_hooks';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Event, Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { EVENTS, PODS } from '#client/kinds.ts';
import { fakeRuntime, type FakeRuntime, type FakeRuntimeOptions } from '#cri/fake-runtime.ts';
import { KUBELET_DEFAULTS, type KubeletConfig } from '../config.ts';
import type { CgroupManager } from '../interfaces.ts';
import { Kubelet, type KubeletOptions } from '../kubelet.ts';
import type { Mounter } from '../volumes/mounter.ts';
import { FakeApi } from './fake-api.ts';

export const NODE = 'node-1';
/** Turns of the event loop without work on files after which none is to follow by itself. */
const QUIET_TURNS = 5;
/** Requests for work on files that are under way in this process. */
const fileWork = new Set<number>();
createHook({
  init: (id, type) => void (/^FSREQ|^FILEHANDLECLOSEREQ/.test(type) && fileWork.add(id)),
  after: (id) => void fileWork.delete(id),
  destroy: (id) => void fileWork.delete(id),
}).enable();

/** Mounts that are only noted down. */
export function fakeMounter(): Mounter & { readonly mounts: Map<string, string> } {
  const mounts = new Map<string, string>();
  return {
    mounts,
    tmpfs: (path, { sizeBytes }) => Promise.resolve(void mounts.set(path, `tmpfs ${sizeBytes ?? ''}`)),
    hugetlbfs: (path, pageSize) => Promise.resolve(void mounts.set(path, `hugetlbfs ${pageSize}`)),
    bind: (source, target) => Promise.resolve(void mounts.set(target, source)),
    nfs: (source, target) => Promise.resolve(void mounts.set(target, source)),
    fileSystem: (type, source, target) => Promise.resolve(void mounts.set(target, `${type} ${source}`)),
    unmountAll: (path) => Promise.resolve([...mounts.keys()].filter((m) => m === path || m.startsWith(`${path}/`)).forEach((m) => mounts.delete(m))),
    isMountPoint: (path) => Promise.resolve(mounts.has(path)),
    mountsBelow: (path) => Promise.resolve([...mounts.keys()].filter((m) => m === path || m.startsWith(`${path}/`))),
  };
}
export function kubeletConfig(dir: string, more: Partial<KubeletConfig> = {}): KubeletConfig {
  return {
    ...KUBELET_DEFAULTS, nodeName: NODE, nodeIPs: ['192.0.2.1'], rootDir: join(dir, 'kubelet'), secretsDir: join(dir, 'secrets'), podLogsDir: join(dir, 'logs'), storageDir: join(dir, 'storage'),
    cgroupRoot: '/test', clusterDNS: ['10.96.0.10'], resolvConf: '/nonexistent', evictionHard: {}, ...more,
  };
}
const NO_CGROUPS: CgroupManager = { ensurePod: (pod) => Promise.resolve(`/test/${pod.metadata.uid}`), removePod: () => Promise.resolve(), listPods: () => Promise.resolve([]) };

export interface RunningKubelet extends AsyncDisposable {
  readonly api: FakeApi;
  readonly clock: FakeClock;
  readonly runtime: FakeRuntime;
  readonly kubelet: Kubelet;
  readonly dir: string;
  readonly mounter: ReturnType<typeof fakeMounter>;
  /** Binds the Pod to the node. */
  create(pod: Pod): Pod;
  pod(name: string): Pod | undefined;
  /** `Reason: message` of the events about an object, in the order of their first time. */
  events(name: string): string[];
  /** Moves time in small steps until the condition holds; fails after a while. `withinMs` is the clock's. */
  until(what: string, holds: () => boolean, withinMs?: number): Promise<void>;
}
export interface RunningOptions extends Omit<FakeRuntimeOptions, 'clock'> {
  readonly config?: Partial<KubeletConfig>;
  /** None, unless given. */
  readonly cgroups?: CgroupManager;
  readonly preparePodNetwork?: KubeletOptions['preparePodNetwork'];
  /** Put into the API before the kubelet starts. */
  readonly before?: (api: FakeApi) => void;
}

export async function runKubelet(options: RunningOptions = {}): Promise<RunningKubelet> {
  const clock = new FakeClock();
  const dir = await mkdtemp(join(tmpdir(), 'podyard-kubelet-'));
  const api = new FakeApi();
  options.before?.(api);
  const runtime = fakeRuntime({ anyImage: true, ...options, clock });
  const mounter = fakeMounter();
  const kubelet = new Kubelet({ config: kubeletConfig(dir, options.config), client: new Client(api, 'kubelet'), runtime, clock, mounter, cgroups: options.cgroups ?? NO_CGROUPS, ...(options.preparePodNetwork && { preparePodNetwork: options.preparePodNetwork }) });
  const started = kubelet.start(new AbortController().signal);
  started.catch(() => {});
  await started;
  const running: RunningKubelet = {
    api, clock, runtime, kubelet, dir, mounter,
    create: (pod) => api.put(PODS, { ...pod, spec: { ...pod.spec, nodeName: NODE } }),
    pod: (name) => api.get<Pod>(PODS, `default/${name}`),
    events: (name) => api.list<Event>(EVENTS).filter((e) => e.involvedObject.name === name).map((e) => `${e.reason}: ${e.message}`),
    async until(what, holds, withinMs = 5000) {
      for (let waited = 0; waited <= withinMs; waited += 50) {
        await filesAtRest(holds);
        if (holds()) return;
        await clock.advance(50);
      }
      throw new Error(`waiting for ${what}: it did not come within ${withinMs} ms`);
    },
    async [Symbol.asyncDispose]() {
      await kubelet.stop();
      runtime.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return running;
}

/** Work on files is real, and takes as long as the machine has to do: time stands still while some is under way. */
async function filesAtRest(holds: () => boolean): Promise<void> {
  for (let idle = 0; idle < QUIET_TURNS && !holds(); idle = fileWork.size === 0 ? idle + 1 : 0) await new Promise((resolve) => setImmediate(resolve));
}
