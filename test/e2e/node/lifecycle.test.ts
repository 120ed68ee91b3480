/** The life of Pods on a node: the order of containers, hooks, ends and their messages, gates, deadlines, static Pods, resize in place. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { waitForEvent, waitForPhase, waitForPod, waitForPodGone, waitForReady, waitForStatusColumn } from '../harness/conditions.ts';
import { hostProcesses } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';
import { freePort, type TestCluster } from '../harness/cluster.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37', 'docker.io/example/stop-signal:1'] });

const sh = (command: string): string[] => ['sh', '-c', command];
const container = (name: string, command: string, more: object = {}): object => ({ name, image: 'busybox:1.37', command: sh(command), ...more });
const pod = (name: string, containers: object[], more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 1, containers, ...more } });
/** Containers write what they do into one file of the host. */
const told = (c: TestCluster): object => ({ name: 'told', hostPath: { path: `${c.files}/told`, type: 'DirectoryOrCreate' } });
const MOUNT = { volumeMounts: [{ name: 'told', mountPath: '/told' }] };
const says = (file: string, word: string): string => `echo ${word} >> /told/${file}`;
const lives = (file: string, name: string, signal = 'TERM'): string => `trap '${says(file, `${name}-down`)}; exit 0' ${signal}; ${says(file, `${name}-up`)}; sleep 3600 & wait`;
const words = async (c: TestCluster, file: string): Promise<string[]> => (await readFile(`${c.files}/told/${file}`, 'utf8')).trim().split('\n');
const condition = (p: Pod, type: string) => p.status?.conditions?.find((x) => x.type === type);
const terminated = (p: Pod, i = 0) => p.status?.containerStatuses?.[i]?.state?.terminated;

test('sidecars start in their order between the init containers, and stop in reverse after the main container', async (c) => {
  await c.apply(pod('order', [container('main', lives('order', 'main'), MOUNT)], {
    terminationGracePeriodSeconds: 20,
    initContainers: [
      container('first', lives('order', 'first'), { ...MOUNT, restartPolicy: 'Always', startupProbe: { exec: { command: ['grep', '-q', 'first-up', '/told/order'] }, periodSeconds: 1 } }),
      container('plain', says('order', 'plain'), MOUNT),
      container('second', lives('order', 'second'), { ...MOUNT, restartPolicy: 'Always' }),
    ],
    volumes: [told(c)],
  }));
  const made = await waitForReady(c, 'order');
  assert.deepEqual(made.status?.initContainerStatuses?.map((s) => [s.name, s.ready, s.started, s.restartCount]), [['first', true, true, 0], ['plain', true, false, 0], ['second', true, true, 0]]);
  await c.kubectl('delete pod order');
  assert.deepEqual(await words(c, 'order'), ['first-up', 'plain', 'second-up', 'main-up', 'main-down', 'second-down', 'first-down']);
});

test('kubectl debug --target shows the processes of the container that it looks into', async (c) => {
  await c.apply(pod('looked-into', [container('main', 'sleep 4711')]));
  await waitForReady(c, 'looked-into');
  await c.kubectl(['debug', 'looked-into', '-c', 'look', '--image=busybox:1.37', '--target=main', '--quiet', '--profile=general', '--', 'sh', '-c', 'ps; exit 5']);
  const looked = await waitForPod(c, 'looked-into', 'looked into', (p) => p.status?.ephemeralContainerStatuses?.[0]?.state?.terminated !== undefined);
  assert.equal(looked.status?.ephemeralContainerStatuses?.[0]?.state?.terminated?.exitCode, 5);
  assert.match((await c.kubectl('logs looked-into -c look')).stdout, /^ +1 root .* sleep 4711$/m);
  assert.equal(condition(looked, 'Ready')?.status, 'True', 'an ephemeral container that ended changes nothing');
  await c.kubectl('delete pod looked-into --now');
});

test('a manifest in the node\'s directory is a Pod with a mirror in the API; the mirror does not decide', async (c) => {
  const file = `${c.dataDir}/manifests/still.json`;
  // It has a hostPort, for which the node asks by the mirror.
  await writeFile(file, JSON.stringify(pod('still', [container('c', 'sleep 3600', { ports: [{ containerPort: 80, hostPort: await freePort() }] })])));
  const mirror = await waitForReady(c, 'still-node01');
  assert.equal(mirror.metadata.annotations?.['kubernetes.io/config.source'], 'file');
  assert.equal(mirror.metadata.ownerReferences?.[0]?.kind, 'Node');
  const id = mirror.status?.containerStatuses?.[0]?.containerID;
  await c.kubectl('delete pod still-node01 --wait=false');
  const again = await waitForPod(c, 'still-node01', 'back', (p) => p.metadata.uid !== mirror.metadata.uid && p.status?.phase === 'Running');
  assert.equal(again.status?.containerStatuses?.[0]?.containerID, id);
  await rm(file);
  await waitForPodGone(c, 'still-node01');
});

test('resize in place: the cgroup changes under the running container, or the container restarts where it asks to; what cannot be says so', async (c) => {
  const resources = { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '200m', memory: '64Mi' } };
  await c.apply(pod('grows', [container('c', 'sleep 3600', { resources, resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }] })]));
  await waitForReady(c, 'grows');
  const quota = async (): Promise<number> => Number((await c.kubectl(['exec', 'grows', '--', ...sh('cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us')])).stdout.split(' ')[0]);
  const limit = async (): Promise<number> => Number((await c.kubectl(['exec', 'grows', '--', ...sh('cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes')])).stdout);
  const resize = (change: object, expect: 0 | 'failure' = 0) => c.kubectl(['patch', 'pod', 'grows', '--subresource=resize', '-p', JSON.stringify({ spec: { containers: [{ name: 'c', resources: change }] } })], { expect });
  assert.deepEqual([await quota(), await limit()], [20_000, 64 * 2 ** 20]);
  await resize({ limits: { cpu: '300m' } });
  const status = (p: Pod) => p.status?.containerStatuses?.[0];
  const larger = await waitForPod(c, 'grows', 'resized', (p) => status(p)?.resources?.limits?.['cpu'] === '300m');
  assert.deepEqual([await quota(), status(larger)?.restartCount], [30_000, 0]);
  await resize({ limits: { memory: '96Mi' } });
  await waitForPod(c, 'grows', 'restarted for its memory', (p) => status(p)?.restartCount === 1 && status(p)?.resources?.limits?.['memory'] === '96Mi' && status(p)?.ready === true);
  assert.equal(await limit(), 96 * 2 ** 20);
  const refused = await resize({ requests: { cpu: '500' }, limits: { cpu: '500' } }, 'failure');
  assert.match(refused.stderr, /pods "grows" is forbidden: node didn't have enough allocatable resources: cpu, requested: 500000, allocatable: \d+/);
  await c.kubectl('delete pod grows --now');
});

test('ends: the deadline of the Pod, messages from the file and from the log, a restart rule, the signal of the image', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'List', items: [
    pod('deadline', [container('c', 'sleep 3600')], { activeDeadlineSeconds: 2 }),
    pod('message', [container('file', 'echo -n because > /dev/termination-log; exit 3'), container('log', 'echo first; echo last words; exit 4', { terminationMessagePolicy: 'FallbackToLogsOnError' })], { restartPolicy: 'Never' }),
    pod('rule', [container('c', '[ -e /e/second ] && exit 0; touch /e/second; exit 42', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }], volumeMounts: [{ name: 'e', mountPath: '/e' }] })], { restartPolicy: 'Never', volumes: [{ name: 'e', emptyDir: {} }] }),
    pod('signal', [{ name: 'c', image: 'example/stop-signal:1', command: sh(lives('signal', 'usr1', 'USR1')), ...MOUNT }], { terminationGracePeriodSeconds: 20, volumes: [told(c)] }),
  ] });
  const late = await waitForPhase(c, 'deadline', 'Failed');
  assert.deepEqual([late.status?.reason, late.status?.message], ['DeadlineExceeded', 'Pod was active on the node longer than the specified deadline']);
  const ended = await waitForPhase(c, 'message', 'Failed');
  assert.deepEqual([terminated(ended, 0)?.exitCode, terminated(ended, 0)?.message], [3, 'because']);
  assert.deepEqual([terminated(ended, 1)?.exitCode, terminated(ended, 1)?.message], [4, 'first\nlast words\n']);
  const ruled = await waitForPhase(c, 'rule', 'Succeeded');
  assert.deepEqual([ruled.status?.containerStatuses?.[0]?.restartCount, terminated(ruled)?.exitCode], [1, 0]);
  await waitForReady(c, 'signal');
  await c.kubectl('delete pod deadline message rule signal');
  assert.deepEqual(await words(c, 'signal'), ['usr1-up', 'usr1-down']);
});

test('restarts: a container that is killed runs again at once, and how it ended is told whole', async (c) => {
  const emptyDir = { volumes: [{ name: 'e', emptyDir: {} }] };
  const mount = { volumeMounts: [{ name: 'e', mountPath: '/e' }] };
  const nap = 1_500_000_000 + randomInt(100_000_000);
  await c.apply({ apiVersion: 'v1', kind: 'List', items: [
    pod('killed', [container('c', `echo run; echo -n last words > /dev/termination-log; exec sleep ${nap}`, { lifecycle: { postStart: { exec: { command: sh('echo started >> /e/hooks') } } }, ...mount }), container('beside', 'sleep 3600')], emptyDir),
    pod('hungry', [container('c', '[ -e /e/fed ] && exec sleep 3600; touch /e/fed; x=a; while true; do x=$x$x; done', { resources: { limits: { memory: '16Mi' } }, ...mount })], emptyDir),
  ] });
  const before = await waitForReady(c, 'killed');
  const line = `sleep ${nap}`;
  process.kill((await hostProcesses(new RegExp(`^${line}$`))).get(line)!, 'SIGKILL');
  const again = await waitForPod(c, 'killed', 'restarted', (p) => p.status?.containerStatuses?.find((s) => s.name === 'c')?.restartCount === 1 && condition(p, 'Ready')?.status === 'True');
  const [c0, c1] = [before, again].map((p) => p.status!.containerStatuses!.find((s) => s.name === 'c')!);
  const end = c1!.lastState!.terminated!;
  assert.deepEqual([end.exitCode, end.reason, end.message, end.containerID, end.startedAt], [137, 'Error', 'last words', c0!.containerID, c0!.state!.running!.startedAt]);
  assert.ok(end.finishedAt! >= end.startedAt! && c1!.state!.running!.startedAt! >= end.finishedAt!, JSON.stringify(c1));
  assert.deepEqual(again.status!.containerStatuses!.map((s) => s.restartCount).toSorted(), [0, 1]);
  assert.equal((await c.kubectl('logs killed -c c --previous')).stdout, 'run\n');
  assert.equal((await c.kubectl('exec killed -c c -- cat /e/hooks')).stdout, 'started\nstarted\n');
  const fed = await waitForPod(c, 'hungry', 'restarted', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready);
  assert.deepEqual([fed.status!.containerStatuses![0]!.lastState!.terminated!.reason, fed.status!.containerStatuses![0]!.lastState!.terminated!.exitCode], ['OOMKilled', 137]);
  // Asked to go when its next run is about to be made, or is being made, or has been made a moment ago: it goes, and all that is of it.
  process.kill((await hostProcesses(new RegExp(`^${line}$`))).get(line)!, 'SIGKILL');
  await c.kubectl('delete pod killed hungry --now');
  await Promise.all([waitForPodGone(c, 'killed'), waitForPodGone(c, 'hungry')]);
  assert.deepEqual([...(await hostProcesses(new RegExp(`^${line}$`))).keys()], []);
});

test('hooks: postStart comes before Running, one that fails ends the container; preStop comes before SIGTERM; SIGKILL after the grace', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'List', items: [
    pod('hooked', [container('c', lives('hooks', 'c'), { ...MOUNT, lifecycle: { postStart: { exec: { command: sh(`sleep 0.3; ${says('hooks', 'post-start')}`) } }, preStop: { exec: { command: sh(says('hooks', 'pre-stop')) } } } })], { terminationGracePeriodSeconds: 20, volumes: [told(c)] }),
    pod('hook-fails', [container('c', 'sleep 3600', { lifecycle: { postStart: { exec: { command: sh('echo not today; exit 9') } } } })]),
    pod('deaf', [container('c', 'trap "" TERM; while true; do sleep 0.1; done')], { terminationGracePeriodSeconds: 2 }),
  ] });
  await waitForReady(c, 'hooked');
  await c.kubectl('delete pod hooked');
  assert.deepEqual((await words(c, 'hooks')).toSorted((a, b) => Number(a === 'post-start') - Number(b === 'post-start')), ['c-up', 'pre-stop', 'c-down', 'post-start']);
  assert.ok((await words(c, 'hooks')).indexOf('post-start') < 2);
  await waitForEvent(c, 'hook-fails', 'FailedPostStartHook');
  const failed = await waitForPod(c, 'hook-fails', 'ended by its hook', (p) => p.status?.containerStatuses?.[0]?.lastState?.terminated !== undefined);
  assert.equal(failed.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
  await waitForReady(c, 'deaf');
  const began = performance.now();
  await c.kubectl('delete pod deaf');
  const took = performance.now() - began;
  assert.ok(took > 1900 && took < 15_000, `SIGKILL came after ${took} ms`);
  await c.kubectl('delete pod hook-fails --now');
});

test('gates: a Pod is not scheduled before its scheduling gates are gone, and not ready before its readiness gates are met', async (c) => {
  await c.apply({ ...pod('gated', [container('c', 'sleep 3600')], { schedulingGates: [{ name: 'example.com/wait' }], readinessGates: [{ conditionType: 'example.com/lb' }] }) });
  assert.equal(await waitForStatusColumn(c, 'gated', /SchedulingGated/), 'SchedulingGated');
  await c.kubectl(['patch', 'pod', 'gated', '--type=json', '-p', '[{"op":"remove","path":"/spec/schedulingGates"}]']);
  const unready = await waitForPod(c, 'gated', 'ready but for its gate', (p) => condition(p, 'ContainersReady')?.status === 'True');
  assert.deepEqual([condition(unready, 'Ready')?.reason, condition(unready, 'Ready')?.message], ['ReadinessGatesNotReady', 'corresponding condition of pod readiness gate "example.com/lb" does not exist.']);
  await c.kubectl(['patch', 'pod', 'gated', '--subresource=status', '-p', '{"status":{"conditions":[{"type":"example.com/lb","status":"True"}]}}']);
  await waitForReady(c, 'gated');
  assert.match((await c.kubectl('get pod gated -o wide')).stdout, / 1\/1\s*$/m);
  await c.kubectl('delete pod gated --now');
});
