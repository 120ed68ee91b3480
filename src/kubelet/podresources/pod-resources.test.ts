import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { Channel } from '#cri/channel.ts';
import { makePod } from '../testing/make-pod.ts';
import { podResourcesCodec as codec } from './protocol.ts';
import { PodResourcesServer, type PodResourcesOptions } from './pod-resources.ts';

test('PodResourcesServer tells which devices, CPUs, memory and claims containers have, and what there is to have', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-podres-'));
  const topology = { nodes: [{ ID: 1 }] };
  const resources = {
    devices: {
      devices: () => new Map([['example.com/gpu', [{ ID: 'a', health: 'Healthy', topology }, { ID: 'b', health: 'Unhealthy' }]]]),
      allocationsOf: (uid: string, container: string) => (uid === 'uid-web' && container === 'c' ? [{ resource: 'example.com/gpu', ids: ['a'], byNode: {} }] : []),
    },
    memory: {
      blocksOf: (_uid: string, container: string) => (container === 'c' ? [{ numaAffinity: [0, 1], type: 'memory', size: 2 ** 33 }] : []),
      allocatable: () => [{ numaAffinity: [1], type: 'hugepages-1Gi', size: 2 ** 31 }],
    },
    cpus: { exclusiveOf: (_uid: string, container: string) => new Set(container === 'c' ? [1, 3] : []), allocatable: () => new Set([1, 2, 3]) },
    dra: { claims: { infosOf: (_pod: unknown, container: { name: string }) => (container.name === 'c' ? [{ name: 'gpu', namespace: 'default', drivers: new Map([['d', [{ pool: 'p', device: 'x', shareId: 's', requests: [], cdiIds: ['d/y=x'] }]]]) }] : []) } },
  } as unknown as PodResourcesOptions['resources'];
  const server = new PodResourcesServer({ dir, resources, pods: () => [makePod('web').init('i').sidecar('s').container('c').build()] });
  await server.start();
  const channel = new Channel({ endpoint: join(dir, 'kubelet.sock'), clock: systemClock });
  const path = (name: string) => `/v1.PodResourcesLister/${name}`;
  const web = { name: 'web', namespace: 'default', containers: [
    { name: 's', devices: [], cpuIds: [], memory: [], dynamicResources: [] },
    { name: 'c', devices: [{ resourceName: 'example.com/gpu', deviceIds: ['a'], topology }], cpuIds: [1, 3], memory: [{ memoryType: 'memory', size: 2 ** 33, topology: { nodes: [{ ID: 0 }, { ID: 1 }] } }], dynamicResources: [{ claimName: 'gpu', claimNamespace: 'default', claimResources: [{ driverName: 'd', poolName: 'p', deviceName: 'x', shareId: 's', cdiDevices: [{ name: 'd/y=x' }] }] }] },
  ] };
  assert.deepEqual(await channel.unary({ path: path('List'), request: codec('ListPodResourcesRequest'), response: codec('ListPodResourcesResponse') }, {}), { podResources: [web] });
  const get = { path: path('Get'), request: codec('GetPodResourcesRequest'), response: codec('GetPodResourcesResponse') };
  assert.deepEqual(await channel.unary(get, { podName: 'web', podNamespace: 'default' }), { podResources: web });
  await assert.rejects(channel.unary(get, { podName: 'no', podNamespace: 'default' }), { message: 'rpc error: code = Unknown desc = pod no in namespace default not found' });
  assert.deepEqual(await channel.unary({ path: path('GetAllocatableResources'), request: codec('AllocatableResourcesRequest'), response: codec('AllocatableResourcesResponse') }, {}), {
    devices: [{ resourceName: 'example.com/gpu', deviceIds: ['a'], topology }], cpuIds: [1, 2, 3], memory: [{ memoryType: 'hugepages-1Gi', size: 2 ** 31, topology: { nodes: [{ ID: 1 }] } }],
  });
  channel.close();
  await server.stop();
  await rm(dir, { recursive: true });
});
