import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dumpYaml } from '#machinery/yaml.ts';
import { reservedResources } from './config.ts';
import { kubeletConfiguration, parseKubeletConfiguration } from './configuration.ts';
import { kubeletConfig } from './testing/running-kubelet.ts';

const file = (fields: object): string => dumpYaml({ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', ...fields });

test('parseKubeletConfiguration gives what the file chooses, nothing else', () => {
  assert.deepEqual(parseKubeletConfiguration(file({
    maxPods: 50, podPidsLimit: 1000, systemReserved: { cpu: '250m' }, evictionHard: { 'memory.available': '5%' }, evictionSoft: { 'nodefs.available': '15%' }, evictionSoftGracePeriod: { 'nodefs.available': '1m30s' },
    evictionPressureTransitionPeriod: '1m', containerLogMaxSize: '5Mi', serializeImagePulls: true, shutdownGracePeriod: '30s', shutdownGracePeriodCriticalPods: '10s', enforceNodeAllocatable: ['none'],
  })), {
    maxPods: 50, podPidsLimit: 1000, systemReserved: { cpu: '250m' }, evictionHard: { 'memory.available': '5%' }, evictionSoft: { 'nodefs.available': '15%' }, evictionSoftGracePeriodMs: { 'nodefs.available': 90_000 },
    evictionPressureTransitionMs: 60_000, containerLogMaxBytes: 5 * 2 ** 20, maxParallelImagePulls: 1, shutdownGraceMs: 30_000, shutdownGraceCriticalMs: 10_000, enforceNodeAllocatable: [],
  });
  assert.deepEqual(parseKubeletConfiguration(file({})), {});
});
for (const [fields, message] of [
  [{ maxPod: 1 }, 'maxPod: Forbidden: not a field that Podyard knows'],
  [{ port: 1 }, 'port: Forbidden: follows from the cluster and cannot be chosen'],
  [{ maxPods: 'many' }, 'maxPods: Invalid value: "many": must be an integer that is not negative'],
  [{ topologyManagerPolicy: 'strict' }, 'topologyManagerPolicy: Invalid value: "strict": must be "none" or "best-effort" or "restricted" or "single-numa-node"'],
  [{ topologyManagerScope: 'node' }, 'topologyManagerScope: Invalid value: "node": must be "container" or "pod"'],
  [{ topologyManagerPolicy: 'restricted', topologyManagerPolicyOptions: { fast: 'true' } }, /^topologyManagerPolicyOptions: Invalid value: .*: unknown Topology Manager Policy option: "fast"$/],
  [{ cpuManagerPolicyOptions: { 'full-pcpus-only': 'true' } }, /^cpuManagerPolicyOptions: Invalid value: .*: None policy: received unsupported options=map\[full-pcpus-only:true\]$/],
  [{ cpuManagerPolicy: 'static', reservedSystemCPUs: '0', cpuManagerPolicyOptions: { 'align-by-socket': 'true' } }, /: CPU Manager Policy Alpha-level Options not enabled, but option "align-by-socket" provided$/],
  [{ memoryManagerPolicy: 'BestEffort' }, 'memoryManagerPolicy: Invalid value: "BestEffort": must be "None" or "Static"'],
  [{ reservedMemory: [{ numaNode: 0, limits: { cpu: '1' } }] }, 'reservedMemory: Invalid value: "1": the limit type "cpu" for NUMA node 0 is not supported, only [memory hugepages-<HugePageSize>] is accepted'],
  [{ reservedMemory: [{ numaNode: 1, limits: { memory: '0' } }] }, 'reservedMemory: Invalid value: "0": reserved memory may not be zero for NUMA node 1 and resource "memory"'],
  [{ reservedMemory: [{ numaNode: 1, limits: { memory: '1Gi' } }, { numaNode: 1, limits: { memory: '2Gi' } }] }, 'reservedMemory: Invalid value: "2Gi": the reserved memory has a duplicate value for NUMA node 1 and resource "memory"'],
  [{ evictionHard: { 'memory.free': '1' } }, /^evictionHard: Invalid value: .*"memory.free" is none of/],
  [{ evictionSoft: { 'memory.available': '1Gi' } }, 'evictionSoft: Invalid value: "memory.available": grace period must be specified for the soft eviction threshold memory.available'],
  [{ kubeReserved: { gpu: '1' } }, 'kubeReserved: Invalid value: "gpu": cannot reserve "gpu": must be one of cpu, memory, ephemeral-storage, pid'],
  [{ reservedSystemCPUs: '3-1' }, 'reservedSystemCPUs: Invalid value: "3-1": "3-1" is no list of CPUs such as 0-3,7'],
  [{ shutdownGracePeriod: '10s', shutdownGracePeriodCriticalPods: '20s' }, 'shutdownGracePeriod: Invalid value: "10s": shutdownGracePeriod {10s} must be >= shutdownGracePeriodCriticalPods {20s}'],
  [{ shutdownGracePeriod: '100ms' }, 'shutdownGracePeriod: Invalid value: "100ms": must be either zero or otherwise >= 1 sec'],
  [{ imageGCHighThresholdPercent: 50 }, 'imageGCLowThresholdPercent: Invalid value: 80: must be less than imageGCHighThresholdPercent 50'],
] as const) {
  test(`parseKubeletConfiguration refuses ${JSON.stringify(fields)}`, () => assert.throws(() => parseKubeletConfiguration(file(fields)), { message }));
}
test('parseKubeletConfiguration refuses other kinds and fields that come twice', () => {
  assert.throws(() => parseKubeletConfiguration('apiVersion: v1\nkind: Pod\n'), /apiVersion: Unsupported value: "v1".*kind: Unsupported value: "Pod"/s);
  assert.throws(() => parseKubeletConfiguration(`${file({})}maxPods: 1\nmaxPods: 2\n`), /already set in map/);
});
test('parseKubeletConfiguration takes the fields of the resource managers', () => {
  const fields = {
    cpuManagerPolicy: 'static', reservedSystemCPUs: '0-1', cpuManagerPolicyOptions: { 'full-pcpus-only': 'true', 'strict-cpu-reservation': 'false' },
    memoryManagerPolicy: 'Static', reservedMemory: [{ numaNode: 0, limits: { memory: '1124Mi' } }],
    topologyManagerPolicy: 'single-numa-node', topologyManagerScope: 'pod', topologyManagerPolicyOptions: { 'max-allowable-numa-nodes': '8' },
  };
  assert.deepEqual(parseKubeletConfiguration(file(fields)), fields);
  const shown = kubeletConfiguration(kubeletConfig('/x', parseKubeletConfiguration(file(fields))));
  assert.deepEqual(Object.fromEntries(Object.keys(fields).map((name) => [name, shown[name]])), fields);
});
test('kubeletConfiguration shows what holds, in a form that can be read again', () => {
  const shown = kubeletConfiguration(kubeletConfig('/x', { systemReserved: { memory: '1Gi' }, evictionHard: { 'memory.available': '100Mi' }, podPidsLimit: 0 }));
  assert.deepEqual([shown['kind'], shown['maxPods'], shown['podPidsLimit'], shown['systemReserved'], shown['shutdownGracePeriod'], shown['evictionPressureTransitionPeriod']], ['KubeletConfiguration', 110, -1, { memory: '1Gi' }, '0s', '5m0s']);
  const { staticPodPath: _, port: _1, clusterDomain: _2, clusterDNS: _3, cgroupRoot: _4, registerWithTaints: _5, ...chosen } = shown;
  assert.equal(parseKubeletConfiguration(dumpYaml(chosen)).maxPods, 110);
});
test('reservedResources adds up both lists; CPUs that are named count instead of amounts', () => {
  const config = { systemReserved: { cpu: '250m', memory: '1Gi' }, kubeReserved: { cpu: '250m' }, reservedSystemCPUs: '' };
  assert.deepEqual(reservedResources(config), { cpu: '500m', memory: '1Gi' });
  assert.deepEqual(reservedResources({ ...config, reservedSystemCPUs: '0,2-3' }), { cpu: '3', memory: '1Gi' });
});
