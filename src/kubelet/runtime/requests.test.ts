/** What the runtime is asked for, field by field, for the Pods of `test/vectors/kubelet/requests.json`. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { criMessage, type Init } from '#cri/schema.ts';
import type { ContainerConfig, PodSandboxConfig } from '#cri/types.ts';
import { newCgroupManager } from '../cgroups/cgroup-manager.ts';
import { cgroupfsDriver } from '../cgroups/driver.ts';
import { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import { runKubelet, type RunningKubelet } from '../testing/running-kubelet.ts';

interface Vector {
  readonly name: string;
  readonly static?: boolean;
  readonly pod: Pod;
  readonly sandbox: Init<PodSandboxConfig>;
  readonly containers: readonly Init<ContainerConfig>[];
}
const VECTORS = JSON.parse(readFileSync(new URL('../../../test/vectors/kubelet/requests.json', import.meta.url), 'utf8')) as readonly Vector[];

const MASKED = ['/proc/asound', '/proc/acpi', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'];
const READONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

type Kind = 'PodSandboxConfig' | 'ContainerConfig';
/** The message with every field that it has on the wire. */
const complete = (message: Kind, value: object): object => (message === 'PodSandboxConfig' ? criMessage(message, value as Init<PodSandboxConfig>) : criMessage(message, value as Init<ContainerConfig>));

/** Cgroups that are named and not made. */
const unmade = { create: () => Promise.resolve(), remove: () => Promise.resolve(), children: () => Promise.resolve([]) } as unknown as CgroupHierarchy;

/** The expected request: what differs from machine to machine put in. */
function expected(message: Kind, value: object, k: RunningKubelet): unknown {
  const { v2 } = new CgroupHierarchy();
  const filled = JSON.parse(JSON.stringify(value), (key, v: unknown) => {
    if (v === '$MASKED') return MASKED;
    if (v === '$READONLY') return READONLY;
    if (key === 'oomScoreAdj' && typeof v === 'object') return Math.min(999, 1000 - Math.floor((1000 * (v as { burstable: number }).burstable) / k.kubelet.node.host.memoryBytes));
    if (key === 'envs') return (v as { key: string; value: string }[]).map((e) => ({ ...e, value: Buffer.from(e.value, 'base64') }));
    if (key === 'resources' && message === 'ContainerConfig' && v2) return { ...(v as object), unified: { 'memory.oom.group': '1' } };
    return typeof v === 'string' ? v.replace('$DIR', k.dir) : v;
  }) as object;
  return JSON.parse(JSON.stringify(complete(message, filled)));
}
/** The request as it was made: what is random in it put aside. */
function actual(message: Kind, value: object): unknown {
  return JSON.parse(JSON.stringify(complete(message, value)), (key, v: unknown) => {
    if (key === 'io.kubernetes.container.hash') return '$HASH';
    if (key === 'kubernetes.io/config.seen' && !Number.isNaN(Date.parse(v as string))) return '$SEEN';
    if (key === 'image' && /^sha256:[0-9a-f]{64}$/.test(String(v))) return '$IMAGE';
    if (key === 'hostPath') return (v as string).replace(/(\/containers\/[^/]+\/)[0-9a-f]{8}$/, '$1$RUN');
    // Which sizes there are is the host's matter; without a limit there is none to be had of any.
    if (key === 'hugepageLimits') return (v as { limit: number }[]).filter((h) => h.limit !== 0);
    return v;
  });
}

for (const { name, pod, sandbox, containers, ...vector } of VECTORS) {
  test(`the runtime is asked as upstream's kubelet asks: ${name}`, async (t) => {
    const manifests = await mkdtemp(join(tmpdir(), 'podyard-manifests-'));
    t.after(() => rm(manifests, { recursive: true }));
    await using k = await runKubelet({ config: { staticPodDir: manifests, cgroupRoot: '/spike' }, cgroups: newCgroupManager({ driver: () => cgroupfsDriver(unmade), root: '/spike' }) });
    const asked: { sandbox: Init<PodSandboxConfig>; containers: Init<ContainerConfig>[] } = { sandbox: {}, containers: [] };
    const { imageStatus, runPodSandbox, createContainer } = k.runtime;
    Object.assign(k.runtime, {
      imageStatus: async (...args: Parameters<typeof imageStatus>) => {
        const answer = await imageStatus(...args);
        return answer.image ? { ...answer, image: { ...answer.image, uid: { value: 0 } } } : answer;
      },
      runPodSandbox: (...args: Parameters<typeof runPodSandbox>) => ((asked.sandbox = args[0].config ?? {}), runPodSandbox(...args)),
      createContainer: (...args: Parameters<typeof createContainer>) => (asked.containers.push(args[0].config ?? {}), createContainer(...args)),
    });
    if (vector.static) await writeFile(join(manifests, 'web.json'), JSON.stringify({ kind: 'Pod', ...pod }));
    else k.create({ ...pod, kind: 'Pod', apiVersion: 'v1' });
    await k.until('the containers to be made', () => asked.containers.length === containers.length, 40_000);
    assert.deepEqual(actual('PodSandboxConfig', asked.sandbox), expected('PodSandboxConfig', sandbox, k));
    for (const [i, wanted] of containers.entries()) assert.deepEqual(actual('ContainerConfig', asked.containers[i]!), expected('ContainerConfig', wanted, k));
  });
}
