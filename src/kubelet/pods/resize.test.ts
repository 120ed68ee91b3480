import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Pod, ResourceRequirements } from '#api/gen/core-v1.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { EventRecorder } from '#client/events.ts';
import { makePod } from '../testing/make-pod.ts';
import { makeRuntimePod } from '../testing/make-runtime-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { podLimits } from '../cgroups/cgroup-manager.ts';
import { Resizer } from './resize.ts';

let dir = '';
let events: string[] = [];
let updates: string[] = [];
let others: Pod[] = [];
let fail: Error | undefined;
let usage: number | undefined;
const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'resize');
  await mkdir(join(dir, 'kubelet', 'pods', 'uid-web'), { recursive: true });
  [events, updates, others, fail, usage] = [[], [], [], undefined, undefined];
});
const newResizer = (choices: Parameters<typeof kubeletConfig>[1] = {}) => new Resizer({
  config: kubeletConfig(dir, choices), cgroups: { v2: false, swap: false }, memoryCapacityBytes: () => 2 ** 33, others: () => others, memoryUsage: () => Promise.resolve(usage), resizePod: (pod, { raiseOnly = false } = {}) => Promise.resolve(void updates.push(`${raiseOnly ? 'raise' : 'set'} ${JSON.stringify(podLimits(pod))}`)),
  node: () => ({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {}, status: { allocatable: { cpu: '2', memory: '1Gi' } } }),
  runtime: { updateContainerResources: (request) => (fail ? Promise.reject(fail) : (updates.push(`${request.containerId} ${request.linux?.cpuShares} ${request.linux?.cpuQuota ?? '-'}`), Promise.resolve({}))) },
  recorder: { eventFor: (_r: unknown, _t: string, reason: string, message: string) => void events.push(`${reason}: ${message}`) } as unknown as EventRecorder,
});
const cpu = (request: string, limit = request): ResourceRequirements => ({ requests: { cpu: request }, limits: { cpu: limit } });
const podWith = (resources: ResourceRequirements, more: Partial<Container> = {}) => makePod().container('c', { resources, ...more }).build();
const other = (request: string): Pod => makePod('other').container('c', { resources: cpu(request) }).build();
const runtimeOf = (pod: Pod) => makeRuntimePod(pod).sandbox().running('c').build();
const never = new AbortController().signal;

async function running(resizer: Resizer, pod: Pod): Promise<void> {
  await resizer.allocate(pod);
  await resizer.started(pod, 'c');
}
test('Resizer grants what fits, updates what runs, says so', async () => {
  const resizer = newResizer();
  await running(resizer, podWith(cpu('100m')));
  const wanted = podWith(cpu('500m'));
  const allocated = await resizer.allocate(wanted);
  assert.deepEqual(allocated.spec.containers[0]!.resources, cpu('500m'));
  assert.deepEqual(resizer.view(wanted, runtimeOf(wanted))!.conditions.map((c) => c.type), ['PodResizeInProgress']);
  assert.deepEqual(await resizer.actuate(allocated, runtimeOf(wanted), never), []);
  assert.deepEqual(updates, ['raise {"cpuShares":512,"cpuQuotaUs":50000}', 'c-0 512 50000', 'set {"cpuShares":512,"cpuQuotaUs":50000}']);
  assert.deepEqual(resizer.view(wanted, runtimeOf(wanted))!.conditions, []);
  assert.deepEqual(resizer.view(wanted, runtimeOf(wanted))!.actuatedOf('c'), cpu('500m'));
  assert.deepEqual(events.map((e) => e.split(':')[0]), ['ResizeStarted', 'ResizeCompleted']);
});
const both = (amount: string, memory: string): ResourceRequirements => ({ requests: { cpu: amount, memory }, limits: { cpu: amount, memory } });
for (const [name, choices, from, to, message] of [
  ['CPUs by the static policy', { cpuManagerPolicy: 'static' }, both('1', '64Mi'), both('2', '64Mi'), 'Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"'],
  ['memory beside the static CPU policy', { cpuManagerPolicy: 'static' }, both('1', '64Mi'), both('1', '128Mi'), undefined],
  ['memory by the static policy', { memoryManagerPolicy: 'Static' }, both('1', '64Mi'), both('1', '128Mi'), 'Resize is infeasible for Guaranteed Pods alongside Memory Manager policy "Static"'],
  ['CPUs beside the static memory policy', { memoryManagerPolicy: 'Static' }, both('1', '64Mi'), both('2', '64Mi'), undefined],
  ['CPUs of a Burstable Pod', { cpuManagerPolicy: 'static' }, cpu('1', '2'), cpu('2'), undefined],
] as const) {
  test(`Resizer and what containers have for themselves: ${name} ${message ? 'cannot be resized' : 'can be resized'}`, async () => {
    const resizer = newResizer(choices);
    await running(resizer, podWith(from));
    const allocated = await resizer.allocate({ ...podWith(to), status: { qosClass: name.includes('Burstable') ? 'Burstable' : 'Guaranteed' } });
    assert.deepEqual(allocated.spec.containers[0]!.resources, message ? from : to);
    assert.equal(events[0], message ? `ResizeInfeasible: ${message}` : events.find((e) => e.startsWith('ResizeStarted')));
  });
}
for (const [name, request, beside, reason, message] of [
  ['more than the node has', '3', [], 'Infeasible', "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000"],
  ['more than is free', '1500m', [other('1')], 'Deferred', "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"],
] as const) {
  test(`Resizer: ${name} is ${reason}; the Pod keeps what it has`, async () => {
    const resizer = newResizer();
    await running(resizer, podWith(cpu('100m')));
    others = [...beside];
    const allocated = await resizer.allocate(podWith(cpu(request)));
    assert.deepEqual(allocated.spec.containers[0]!.resources, cpu('100m'));
    assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions, [{ type: 'PodResizePending', status: 'True', reason, message }]);
    assert.deepEqual(resizer.deferred(), reason === 'Deferred' ? ['uid-web'] : []);
    await resizer.allocate(podWith(cpu(request)));
    assert.deepEqual(events, [`Resize${reason}: ${message}`]);
    others = [];
    await resizer.allocate(podWith(cpu('100m')));
    assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions, []);
  });
}
test('Resizer restarts a container whose policy says so', async () => {
  const resizer = newResizer();
  const policy = { resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] };
  await running(resizer, podWith(cpu('100m'), policy));
  const allocated = await resizer.allocate(podWith(cpu('500m'), policy));
  assert.deepEqual(await resizer.actuate(allocated, runtimeOf(allocated), never), [{ id: 'c-0', name: 'c', reason: 'specChanged', message: 'Container c resize requires restart' }]);
  assert.deepEqual(updates, ['raise {"cpuShares":512,"cpuQuotaUs":50000}'], 'the Pod has room for what comes, and loses nothing before what is there is gone');
  assert.deepEqual(resizer.actuatedPod(allocated).spec.containers[0]!.resources, cpu('100m'));
  await resizer.started(allocated, 'c');
  assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions, []);
});
test('Resizer tells of an update that failed, and tries again', async () => {
  const resizer = newResizer();
  await running(resizer, podWith(cpu('100m')));
  const allocated = await resizer.allocate(podWith(cpu('200m')));
  fail = new Error('too small');
  await resizer.actuate(allocated, runtimeOf(allocated), never);
  assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions, [{ type: 'PodResizeInProgress', status: 'True', reason: 'Error', message: 'too small' }]);
  fail = undefined;
  await resizer.actuate(allocated, runtimeOf(allocated), never);
  assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions, []);
});
test('Resizer remembers allocations beyond its own life, and writes nothing for Pods that were never resized', async () => {
  const first = newResizer();
  await running(first, podWith(cpu('100m')));
  const file = join(dir, 'kubelet', 'pods', 'uid-web', 'allocation.json');
  await assert.rejects(readFile(file));
  others = [other('1900m')];
  await first.allocate(podWith(cpu('50m')));
  const second = newResizer();
  const allocated = await second.allocate(podWith(cpu('1')));
  assert.deepEqual(allocated.spec.containers[0]!.resources, cpu('50m'));
});
test('Resizer leaves adopted containers alone whose resources are what the API was told', async () => {
  const resizer = newResizer();
  const pod = { ...podWith(cpu('100m')), status: { containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: 0, state: { running: {} }, resources: cpu('100m') }] } };
  await resizer.actuate(await resizer.allocate(pod), runtimeOf(pod), never);
  assert.deepEqual(updates, []);
});
test('Resizer resizes the Pod as a whole: containers without limits of their own follow it', async () => {
  const resizer = newResizer();
  const pod = (podCpu: string) => makePod().spec({ resources: cpu(podCpu) }).container('c', { resources: { requests: { cpu: '100m' } } }).build();
  await running(resizer, pod('200m'));
  const allocated = await resizer.allocate(pod('500m'));
  assert.deepEqual(allocated.spec.resources, cpu('500m'));
  assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions.map((c) => c.type), ['PodResizeInProgress']);
  await resizer.actuate(allocated, runtimeOf(allocated), never);
  assert.deepEqual(updates, ['raise {"cpuShares":512,"cpuQuotaUs":50000}', 'c-0 102 50000', 'set {"cpuShares":512,"cpuQuotaUs":50000}']);
  const view = resizer.view(allocated, runtimeOf(allocated))!;
  assert.deepEqual([view.conditions, view.actuated.spec.resources], [[], cpu('500m')]);
});
test('Resizer leaves a container alone that was started with the limits of its Pod', async () => {
  const resizer = newResizer();
  const pod = makePod().spec({ resources: cpu('500m') }).container('c', { resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] }).build();
  await running(resizer, pod);
  assert.deepEqual([await resizer.actuate(pod, runtimeOf(pod), never), updates, resizer.view(pod, runtimeOf(pod))!.conditions], [[], [], []]);
});
test('Resizer: an init container that runs is resized, one that has ended waits for nothing', async () => {
  const pod = (amount: string) => makePod().init('i', { resources: cpu(amount) }).container('c', { resources: cpu('100m') }).build();
  const resizer = newResizer();
  await resizer.allocate(pod('50m'));
  await resizer.started(pod('50m'), 'i');
  const allocated = await resizer.allocate(pod('80m'));
  const ended = makeRuntimePod(allocated).sandbox().exited('i').build();
  assert.deepEqual(resizer.view(allocated, ended)!.conditions, []);
  await resizer.actuate(allocated, makeRuntimePod(allocated).sandbox().running('i').build(), never);
  assert.deepEqual(updates.filter((u) => u.startsWith('i-0')), ['i-0 81 8000']);
});
test('Resizer takes no memory away that is in use; the error goes with the wish', async () => {
  const resizer = newResizer();
  const memory = (amount: string) => podWith({ requests: { memory: amount }, limits: { memory: amount } });
  await running(resizer, memory('64Mi'));
  usage = 40 * 2 ** 20;
  const message = 'cannot decrease memory limits: [attempting to set pod memory limit (10485760) below current usage (41943040), attempting to set container "c" memory limit (10485760) below current usage (41943040)]';
  const allocated = await resizer.allocate(memory('10Mi'));
  await resizer.actuate(allocated, runtimeOf(allocated), never);
  assert.deepEqual([updates, resizer.hasFailed(allocated)], [[], true]);
  assert.deepEqual(resizer.view(allocated, runtimeOf(allocated))!.conditions, [{ type: 'PodResizeInProgress', status: 'True', reason: 'Error', message }]);
  const back = await resizer.allocate(memory('64Mi'));
  await resizer.actuate(back, runtimeOf(back), never);
  assert.deepEqual(resizer.view(back, runtimeOf(back))!.conditions, []);
  const enough = await resizer.allocate(memory('48Mi'));
  await resizer.actuate(enough, runtimeOf(enough), never);
  assert.equal(updates.length, 3);
});
