import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerRuntime } from '#cri/client.ts';
import type { KubeletConfig } from '../config.ts';
import type { EvictionResource } from '../eviction/pressure.ts';
import { LABELS } from '../interfaces.ts';
import { makePod } from '../testing/make-pod.ts';
import { podUses, type PodUseSources } from './pod-use.ts';

const pods = [makePod('one').container('a').container('b').build(), makePod('two').container('a').build()];
const NEVER = new AbortController().signal;

/** A node whose runtime tells 9 bytes of everything, and whose kernel what `memory` has. */
function node(memory?: Readonly<Record<string, number>>): { use(resource: EvictionResource): Promise<unknown[][]>; asked: number } {
  const told = { asked: 0 };
  const stats = pods.flatMap((p) => p.spec.containers.map((c) => ({
    attributes: { labels: { [LABELS.podUid]: p.metadata.uid!, [LABELS.containerName]: c.name } }, memory: { workingSetBytes: { value: 9 } }, writableLayer: { usedBytes: { value: 9 }, inodesUsed: { value: 9 } },
  })));
  const sources: PodUseSources = {
    runtime: { listContainerStats: async () => (told.asked++, { stats }) } as unknown as ContainerRuntime, config: { rootDir: '/nonexistent', podLogsDir: '/nonexistent' } as KubeletConfig,
    processes: async (pod) => pod.spec.containers.length, memory: async (pod) => memory && new Map(pod.spec.containers.map((c) => [c.name, memory[`${pod.metadata.name}/${c.name}`] ?? 0])),
  };
  return Object.assign(told, {
    use: async (resource: EvictionResource) => Array.from(await podUses(sources, pods, resource, NEVER), ([uid, { memoryBytes, diskBytes, inodes, processes, containers }]) => [uid, memoryBytes, diskBytes, inodes, processes, Object.fromEntries(containers)]),
  });
}

test('podUses takes memory and processes from the kernel, and does not wait for the runtime of a node that runs short of them', async () => {
  const n = node({ 'one/a': 100, 'one/b': 20, 'two/a': 7 });
  const bytes = (memoryBytes: number): object => ({ memoryBytes, diskBytes: 0 });
  assert.deepEqual(await n.use('memory'), [['uid-one', 120, 0, 0, 0, { a: bytes(100), b: bytes(20) }], ['uid-two', 7, 0, 0, 0, { a: bytes(7) }]]);
  assert.deepEqual(await n.use('pids'), [['uid-one', 0, 0, 0, 2, {}], ['uid-two', 0, 0, 0, 1, {}]]);
  assert.equal(n.asked, 0);
});

test('podUses asks the runtime once for disks, and for the memory of Pods that have no cgroups', async () => {
  const n = node();
  const disk = (diskBytes: number): object => ({ memoryBytes: 0, diskBytes });
  for (const resource of ['ephemeral-storage', 'inodes'] as const) assert.deepEqual(await n.use(resource), [['uid-one', 0, 18, 18, 0, { a: disk(9), b: disk(9) }], ['uid-two', 0, 9, 9, 0, { a: disk(9) }]]);
  assert.deepEqual((await n.use('memory')).map(([uid, memory]) => [uid, memory]), [['uid-one', 18], ['uid-two', 9]]);
  assert.equal(n.asked, 3);
});
