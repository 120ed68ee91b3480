import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { PodStatus } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import { CriError } from '#cri/error.ts';
import { serviceUnavailable } from '#machinery/status-error.ts';
import { makePod } from '../testing/make-pod.ts';
import { runKubelet } from '../testing/running-kubelet.ts';

test('PodWorkers bring a Pod up, with its status and events', async () => {
  await using k = await runKubelet();
  k.create(makePod().container('c').build());
  await k.until('the Pod to be ready', () => k.pod('web')?.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false);
  const { status } = k.pod('web')!;
  assert.equal(status?.phase, 'Running');
  assert.equal(status?.podIP, '10.244.0.2');
  assert.match(status?.containerStatuses?.[0]?.containerID ?? '', /^containerd:\/\/f/);
  await k.until('the events', () => k.events('web').length >= 4);
  assert.deepEqual(k.events('web').map((e) => e.split(':')[0]), ['Pulling', 'Pulled', 'Created', 'Started']);
});

test('PodWorkers stop a Pod that is deleted, and leave nothing of it', async () => {
  await using k = await runKubelet({ container: () => ({ term: { afterMs: 1000, code: 0 } }) });
  k.create(makePod().container('c').volume('e', { emptyDir: { medium: 'Memory' } }).build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
  assert.equal(k.mounter.mounts.size, 1);
  k.api.put(PODS, { ...k.pod('web')!, metadata: { ...makePod().deleting(10).build().metadata, resourceVersion: k.pod('web')!.metadata.resourceVersion } });
  await k.until('the Pod to leave the API', () => k.pod('web') === undefined, 3000);
  await k.until('the runtime to be empty', () => k.kubelet.cache.uids().length === 0);
  await k.until('the directory to go', () => !existsSync(join(k.dir, 'kubelet', 'pods', 'uid-web')));
  assert.equal(k.mounter.mounts.size, 0);
  assert.equal((await k.runtime.listPodSandbox({})).items.length, 0);
});

test('PodWorkers: a Pod that is no longer ready while it stops is told so at once, not at its end', async () => {
  let good = true;
  await using k = await runKubelet({ container: () => ({ term: 'ignore', execSync: () => ({ exitCode: good ? 0 : 1 }) }) });
  k.create(makePod().spec({ terminationGracePeriodSeconds: 300 }).container('c', { readinessProbe: { exec: { command: ['ready'] }, periodSeconds: 1 } }).build());
  const ready = () => k.pod('web')!.status!.conditions!.find((c) => c.type === 'Ready')!.status;
  await k.until('Ready', () => k.pod('web')?.status?.phase === 'Running' && ready() === 'True');
  k.api.put(PODS, { ...k.pod('web')!, metadata: { ...k.pod('web')!.metadata, deletionTimestamp: '2026-01-02T03:09:00Z', deletionGracePeriodSeconds: 300 } });
  await k.clock.advance(2000);
  assert.equal(ready(), 'True');
  good = false;
  await k.until('not ready', () => ready() === 'False');
  assert.equal(k.pod('web')!.status!.containerStatuses![0]!.ready, false);
  assert.equal(k.pod('web')!.status!.phase, 'Running');
});
test('PodWorkers tell that a Pod has failed that was deleted before anything of it had run, for those who wait for its end', async () => {
  await using k = await runKubelet();
  const pulling = Promise.withResolvers<never>();
  pulling.promise.catch(() => {});
  Object.assign(k.runtime, { pullImage: () => pulling.promise });
  k.create(makePod().container('c').build());
  await k.until('the container to wait for its image', () => k.events('web').some((e) => e.startsWith('Pulling')));
  const told: unknown[] = [];
  k.api.intercept = ({ verb, resource, subresource, body }) => {
    const { phase, containerStatuses } = (body as { status?: PodStatus })?.status ?? {};
    if (subresource === 'status' && phase) told.push([phase, containerStatuses?.[0]?.state?.terminated?.reason]);
    else if (verb === 'delete' && resource.plural === PODS.plural) told.push('deleted');
  };
  k.api.put(PODS, { ...k.pod('web')!, metadata: { ...k.pod('web')!.metadata, deletionTimestamp: '2026-01-02T03:05:00Z', deletionGracePeriodSeconds: 30 } });
  pulling.reject(new Error('broken off'));
  await k.until('the Pod to leave the API', () => k.pod('web') === undefined);
  assert.deepEqual(told, [['Failed', 'ContainerStatusUnknown'], 'deleted']);
});

test('PodWorkers: a status that tells of a new generation tells of the resize that it asks for', async () => {
  await using k = await runKubelet();
  const withCpu = (cpu: string) => makePod().container('c', { resources: { requests: { cpu } } }).build();
  k.create(withCpu('100m'));
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
  const told: string[] = [];
  k.api.intercept = ({ subresource, body }) => {
    const { observedGeneration, containerStatuses } = (body as { status?: PodStatus })?.status ?? {};
    const cpu = containerStatuses?.[0]?.allocatedResources?.['cpu'] ?? 'as before';
    if (subresource === 'status' && observedGeneration === 2) told.push(cpu);
  };
  const { metadata, status } = k.pod('web')!;
  k.create({ ...withCpu('200m'), metadata: { ...metadata, generation: 2 }, status });
  await k.until('the resize to be done', () => k.pod('web')?.status?.containerStatuses?.[0]?.resources?.requests?.['cpu'] === '200m');
  assert.deepEqual(told.slice(0, 1), ['200m']);
});

test('PodWorkers: a Pod whose end is told has given up its claim, though its volumes are still being taken down', async () => {
  await using k = await runKubelet({ container: () => ({ exit: { afterMs: 500, code: 0 } }) });
  const blocked = Promise.withResolvers<void>();
  const { unmountAll } = k.mounter;
  Object.assign(k.mounter, { unmountAll: async (path: string) => {
    await blocked.promise;
    await unmountAll(path);
  } });
  try {
    k.create(makePod().restartPolicy('Never').container('c').volume('e', { emptyDir: { medium: 'Memory' } }).build());
    await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
    assert.equal(k.kubelet.workers.activePods().length, 1);
    await k.until('its end to be told', () => k.pod('web')?.status?.phase === 'Succeeded');
    assert.deepEqual(k.kubelet.workers.activePods(), [], 'the scheduler gives its place to another Pod from here on');
  } finally {
    blocked.resolve();
  }
});

test('PodWorkers restart with a back-off that grows, and say so', async () => {
  await using k = await runKubelet({ container: () => ({ exit: { afterMs: 100, code: 1 } }) });
  k.create(makePod().container('c').build());
  const count = () => k.pod('web')?.status?.containerStatuses?.[0]?.restartCount ?? 0;
  await k.until('the first restart, at once', () => count() === 1, 2000);
  await k.until('CrashLoopBackOff', () => k.pod('web')?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff', 2000);
  const { message } = k.pod('web')!.status!.containerStatuses![0]!.state!.waiting!;
  assert.equal(message, 'back-off 10s restarting failed container=c pod=web_default(uid-web)');
  assert.equal(k.pod('web')!.status!.phase, 'Running');
  assert.equal(k.pod('web')!.status!.containerStatuses![0]!.lastState?.terminated?.exitCode, 1);
  await k.until('the second restart', () => count() === 2, 11_000);
  await k.until('the longer back-off', () => /back-off 20s/.test(k.pod('web')?.status?.containerStatuses?.[0]?.state?.waiting?.message ?? ''), 2000);
  // One ended run is kept for `logs --previous`, not all of them.
  await k.until('old runs to be removed', () => k.kubelet.cache.get('uid-web')!.containers.length <= 2);
});

const ENDS = [
  { restartPolicy: 'Never', code: 0, phase: 'Succeeded' },
  { restartPolicy: 'Never', code: 3, phase: 'Failed' },
  { restartPolicy: 'OnFailure', code: 0, phase: 'Succeeded' },
] as const;
for (const { restartPolicy, code, phase } of ENDS) {
  test(`PodWorkers: a Pod that may not restart (${restartPolicy}, exit ${code}) ends as ${phase}`, async () => {
    await using k = await runKubelet({ container: () => ({ exit: { afterMs: 500, code } }) });
    k.create(makePod().restartPolicy(restartPolicy).container('c').build());
    await k.until(phase, () => k.pod('web')?.status?.phase === phase);
    await k.until('the sandbox to stop', () => k.kubelet.cache.get('uid-web')?.sandboxes.every((s) => s.state === 'SANDBOX_NOTREADY') ?? false);
    assert.equal(k.pod('web')!.status!.containerStatuses![0]!.state!.terminated!.exitCode, code);
    assert.equal(k.pod('web')!.status!.conditions!.find((c) => c.type === 'Ready')!.reason, phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed');
  });
}

test('PodWorkers run init containers one after the other, sidecars beside what follows', async () => {
  const order: string[] = [];
  await using k = await runKubelet({ container: (config) => {
    order.push(config.metadata!.name!);
    return config.metadata!.name!.startsWith('init') ? { exit: { afterMs: 200, code: 0 } } : undefined;
  } });
  k.create(makePod().init('init-1').sidecar('side').init('init-2').container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
  assert.deepEqual(order, ['init-1', 'side', 'init-2', 'c']);
  assert.equal(k.pod('web')!.status!.initContainerStatuses!.find((s) => s.name === 'side')!.started, true);
});

test('PodWorkers stop sidecars after the main containers, in the reverse of their order', async () => {
  const ended: string[] = [];
  await using k = await runKubelet({ container: () => ({ term: { afterMs: 500, code: 0 } }) });
  k.create(makePod().sidecar('s1').sidecar('s2').container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
  const stop = k.runtime.stopContainer;
  const names = new Map(k.kubelet.cache.get('uid-web')!.containers.map((c) => [c.id, c.name]));
  Object.assign(k.runtime, { stopContainer: async (...args: Parameters<typeof stop>) => {
    const answer = await stop(...args);
    ended.push(names.get(args[0].containerId!)!);
    return answer;
  } });
  k.api.put(PODS, { ...k.pod('web')!, metadata: { ...k.pod('web')!.metadata, deletionTimestamp: '2026-01-02T03:05:00Z', deletionGracePeriodSeconds: 30 } });
  await k.until('the Pod to leave the API', () => k.pod('web') === undefined);
  assert.deepEqual(ended, ['c', 's2', 's1']);
});

test('PodWorkers refuse a Pod that does not fit, and run nothing of it', async () => {
  await using k = await runKubelet();
  k.create(makePod().container('c', { resources: { requests: { cpu: '1000' } } }).build());
  await k.until('Failed', () => k.pod('web')?.status?.phase === 'Failed');
  const { status } = k.pod('web')!;
  assert.equal(status!.reason, 'OutOfcpu');
  assert.match(status!.message!, /^Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: \d+$/);
  assert.equal(status!.containerStatuses, undefined);
  assert.equal((await k.runtime.listPodSandbox({})).items.length, 0);
});

test('PodWorkers end a Pod at its deadline', async () => {
  await using k = await runKubelet();
  k.create(makePod().spec({ activeDeadlineSeconds: 3 }).container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running', 1000);
  await k.until('Failed', () => k.pod('web')?.status?.phase === 'Failed', 5000);
  assert.equal(k.pod('web')!.status!.reason, 'DeadlineExceeded');
  assert.equal(k.pod('web')!.status!.message, 'Pod was active on the node longer than the specified deadline');
});

test('PodWorkers replace a sandbox that died', async () => {
  await using k = await runKubelet();
  k.create(makePod().container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
  const [sandbox] = k.kubelet.cache.get('uid-web')!.sandboxes;
  await k.runtime.stopPodSandbox({ podSandboxId: sandbox!.id });
  await k.until('another sandbox', () => k.kubelet.cache.get('uid-web')?.sandboxes.some((s) => s.id !== sandbox!.id && s.state === 'SANDBOX_READY') ?? false, 30_000);
  await k.until('the container to run again', () => k.pod('web')?.status?.containerStatuses?.[0]?.state?.running !== undefined && k.pod('web')!.status!.containerStatuses![0]!.restartCount === 1, 30_000);
  assert.ok(k.events('web').includes('SandboxChanged: Pod sandbox changed, it will be killed and re-created.'));
});

test('PodWorkers try a failed sandbox again', async () => {
  let fails = 2;
  await using k = await runKubelet({ sandbox: () => (fails-- > 0 ? new CriError('Unknown', 'no network') : undefined) });
  k.create(makePod().container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running', 10_000);
  assert.ok(k.events('web').includes('FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unknown desc = no network'));
});

test('PodWorkers let a Pod go that was asked to leave after it had ended', async () => {
  await using k = await runKubelet({ container: () => ({ exit: { afterMs: 100, code: 0 } }) });
  k.create(makePod().restartPolicy('Never').container('c').build());
  await k.until('Succeeded', () => k.pod('web')?.status?.phase === 'Succeeded');
  await k.clock.advance(1000);
  k.api.put(PODS, { ...k.pod('web')!, metadata: { ...k.pod('web')!.metadata, deletionTimestamp: '2026-01-02T03:05:00Z', deletionGracePeriodSeconds: 30 } });
  await k.until('the Pod to leave the API', () => k.pod('web') === undefined);
});

test('PodWorkers go on while the API server is away; statuses catch up', async () => {
  await using k = await runKubelet();
  k.create(makePod().container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
  k.api.intercept = () => { throw serviceUnavailable('the server is away'); };
  const [run] = k.kubelet.cache.get('uid-web')!.containers;
  k.runtime.kill(run!.id, 7);
  await k.until('the restart without an API', () => k.kubelet.cache.get('uid-web')!.containers.some((c) => c.id !== run!.id && c.state === 'CONTAINER_RUNNING'), 5000);
  await k.clock.advance(15_000);
  k.api.intercept = () => {};
  await k.until('the status', () => k.pod('web')?.status?.containerStatuses?.[0]?.restartCount === 1, 20_000);
  assert.equal(k.pod('web')!.status!.containerStatuses![0]!.lastState?.terminated?.exitCode, 7);
});

test('PodWorkers: a readiness gate holds back Ready until somebody sets it', async () => {
  await using k = await runKubelet();
  k.create(makePod().spec({ readinessGates: [{ conditionType: 'example.com/ok' }] }).container('c').build());
  const ready = () => k.pod('web')?.status?.conditions?.find((c) => c.type === 'Ready');
  await k.until('ContainersReady', () => k.pod('web')?.status?.conditions?.some((c) => c.type === 'ContainersReady' && c.status === 'True') ?? false);
  assert.equal(ready()!.status, 'False');
  assert.equal(ready()!.reason, 'ReadinessGatesNotReady');
  const { status } = k.pod('web')!;
  k.api.put(PODS, { ...k.pod('web')!, status: { ...status, conditions: [...status!.conditions!, { type: 'example.com/ok', status: 'True' }] } });
  await k.until('Ready', () => ready()?.status === 'True');
});

test('PodWorkers: an init container that fails for good ends the Pod', async () => {
  await using k = await runKubelet({ container: () => ({ exit: { afterMs: 50, code: 4 } }) });
  k.create(makePod().restartPolicy('Never').init('i').container('c').build());
  await k.until('Failed', () => k.pod('web')?.status?.phase === 'Failed');
  const { status } = k.pod('web')!;
  assert.deepEqual(status!.containerStatuses![0]!.state, { waiting: { reason: 'PodInitializing' } });
  assert.equal(status!.initContainerStatuses![0]!.state!.terminated!.exitCode, 4);
});

test('PodWorkers start no container before the network of its Pod is prepared', async () => {
  const asked: string[] = [];
  const opened = Promise.withResolvers<void>();
  await using k = await runKubelet({ preparePodNetwork: (pod, podIP) => (asked.push(`${pod.metadata.name} ${podIP}`), opened.promise) });
  k.create(makePod().container('c', { ports: [{ containerPort: 80, hostPort: 8080 }] }).build());
  await k.until('the network to be asked for', () => asked.length === 1);
  await k.clock.advance(1000);
  assert.deepEqual([asked, k.kubelet.cache.get('uid-web')!.containers.length], [['web 10.244.0.2'], 0]);
  opened.resolve();
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running');
});
test('PodWorkers have the network of a sandbox prepared until that has succeeded once', async () => {
  let asked = 0;
  await using k = await runKubelet({ preparePodNetwork: () => (++asked === 1 ? Promise.reject(new Error('not now')) : Promise.resolve()) });
  k.create(makePod().container('c').build());
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running', 30_000);
  assert.equal(asked, 2);
  const [run] = k.kubelet.cache.get('uid-web')!.containers;
  k.runtime.kill(run!.id, 7);
  await k.until('the restart', () => k.pod('web')?.status?.containerStatuses?.[0]?.restartCount === 1, 20_000);
  assert.equal(asked, 2);
});
