import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { nodeAllocatable, readMaxPids } from './node-allocatable.ts';

const host = { cpus: 4, memoryBytes: 2 ** 32 };
test('nodeAllocatable is the node without what is reserved; eviction thresholds are Pods\' to use', () => {
  assert.deepEqual(nodeAllocatable(kubeletConfig('/x', { evictionHard: { 'memory.available': '1Gi' } }), host, 1000), { cpuMillis: 4000, memoryBytes: 2 ** 32, pids: 1000 });
  assert.deepEqual(nodeAllocatable(kubeletConfig('/x', { systemReserved: { cpu: '500m', memory: '1Gi' }, kubeReserved: { cpu: '500m', pid: '100' } }), host, 1000), { cpuMillis: 3000, memoryBytes: 3 * 2 ** 30, pids: 900 });
});
test('readMaxPids reads the kernel\'s limit', async () => assert.ok((await readMaxPids()) > 100));
