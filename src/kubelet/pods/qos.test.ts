import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceRequirements } from '#api/gen/core-v1.ts';
import { podLimits } from '../cgroups/cgroup-manager.ts';
import { linuxResources, quotaOf, sharesOf } from '../runtime/linux-resources.ts';
import { makePod } from '../testing/make-pod.ts';
import { oomScoreAdj, qosOf } from './qos.ts';

const full = { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } };
const QOS: readonly [string, readonly ResourceRequirements[], string][] = [
  ['nothing', [{}, {}], 'BestEffort'],
  ['zeros', [{ requests: { cpu: '0' } }], 'BestEffort'],
  ['all equal', [full, full], 'Guaranteed'],
  ['limits alone', [{ limits: { cpu: '1', memory: '1Gi' } }], 'Guaranteed'],
  ['one container without', [full, {}], 'Burstable'],
  ['requests below limits', [{ requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } }], 'Burstable'],
  ['other resources do not count', [{ requests: { 'ephemeral-storage': '1Gi' } }], 'BestEffort'],
];
const podOf = (list: readonly ResourceRequirements[]) => list.reduce((pod, resources, i) => pod.container(`c${i}`, { resources }), makePod()).build();
for (const [name, list, want] of QOS) test(`qosOf: ${name}`, () => assert.equal(qosOf(podOf(list)), want));

const GIB = 2 ** 30;
for (const [name, pod, want] of [
  ['Guaranteed', podOf([full]), -997],
  ['BestEffort', podOf([{}]), 1000],
  ['Burstable by its request', podOf([{ requests: { memory: '2Gi' } }]), 750],
  ['Burstable, all of the memory', podOf([{ requests: { memory: '8Gi' } }]), 3],
  ['Burstable, no memory', podOf([{ requests: { cpu: '1' } }]), 999],
  ['node critical', makePod().container('c').spec({ priorityClassName: 'system-node-critical' }).build(), -997],
] as const) {
  test(`oomScoreAdj: ${name}`, () => assert.equal(oomScoreAdj(pod, pod.spec.containers[0]!, 8 * GIB), want));
}
test('oomScoreAdj: a sidecar is never killed before the containers that it serves; what the Pod asks for as a whole is shared out', () => {
  const asking = (memory: string) => ({ resources: { requests: { memory } } });
  const pod = makePod().sidecar('s', asking('1Gi')).container('a', asking('4Gi')).container('b', asking('2Gi')).build();
  const scoreOf = (p: typeof pod, name: string) => oomScoreAdj(p, [...(p.spec.initContainers ?? []), ...p.spec.containers].find((c) => c.name === name)!, 8 * GIB);
  assert.deepEqual([scoreOf(pod, 'a'), scoreOf(pod, 'b'), scoreOf(pod, 's')], [500, 750, 500]);
  const whole = makePod().spec({ resources: { requests: { memory: '4Gi' } } }).container('a', asking('2Gi')).container('b').build();
  assert.deepEqual([scoreOf(whole, 'a'), scoreOf(whole, 'b')], [625, 875]);
});
for (const [millis, shares, quota] of [[0, 2, 0], [1, 2, 1000], [100, 102, 10_000], [1000, 1024, 100_000], [1_000_000, 262_144, 100_000_000]] as const) {
  test(`sharesOf and quotaOf: ${millis}m`, () => assert.deepEqual([sharesOf(millis), quotaOf(millis)], [shares, quota]));
}
test('linuxResources with cgroup v2 ends a container as a whole when memory runs out', () => {
  const pod = podOf([full]);
  assert.deepEqual(linuxResources(pod, pod.spec.containers[0]!, GIB, { v2: true, swap: false }).unified, { 'memory.oom.group': '1' });
  assert.deepEqual(linuxResources(pod, pod.spec.containers[0]!, GIB, { v2: true, swap: true }).unified, { 'memory.oom.group': '1', 'memory.swap.max': '0' });
});
test('podLimits: the sum of the containers, or the largest init container beside the sidecars', () => {
  const r = (cpu: string, memory: string) => ({ resources: { requests: { cpu }, limits: { cpu, memory } } });
  assert.deepEqual(podLimits(makePod().container('a', r('100m', '1Mi')).container('b', r('200m', '2Mi')).build()), { cpuShares: 307, cpuQuotaUs: 30_000, memoryBytes: 3 * 2 ** 20 });
  assert.deepEqual(podLimits(makePod().sidecar('s', r('100m', '1Mi')).init('i', r('1', '9Mi')).container('a', r('100m', '1Mi')).build()), { cpuShares: 1126, cpuQuotaUs: 110_000, memoryBytes: 10 * 2 ** 20 });
});
test('podLimits: none where one container has none', () => {
  assert.deepEqual(podLimits(makePod().container('a', { resources: { limits: { cpu: '1' } } }).container('b').build()), { cpuShares: 1024 });
});
test('podLimits: the Pod\'s own come first', () => {
  assert.deepEqual(podLimits(makePod().spec({ resources: { requests: { cpu: '500m' }, limits: { cpu: '2', memory: '1Mi' } } }).container('a').build()), { cpuShares: 512, cpuQuotaUs: 200_000, memoryBytes: 2 ** 20 });
});
test('linuxResources: where a container has no limit of its own the Pod\'s holds for it', () => {
  const pod = makePod().spec({ resources: { limits: { cpu: '500m', memory: '64Mi' } } }).container('a').container('b', { resources: { limits: { cpu: '100m' } } }).build();
  const limits = (i: number) => {
    const { cpuQuota, memoryLimitInBytes } = linuxResources(pod, pod.spec.containers[i]!, GIB, { v2: false, swap: false });
    return [cpuQuota, memoryLimitInBytes];
  };
  assert.deepEqual([limits(0), limits(1)], [[50_000, 64 * 2 ** 20], [10_000, 64 * 2 ** 20]]);
});
