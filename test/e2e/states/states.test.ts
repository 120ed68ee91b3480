/** The states a person meets in the column STATUS, as release 1.36 shows them. */
import assert from 'node:assert/strict';
import { startWatch, waitForEvent, waitForLog, waitForPhase, waitForPod, waitForPodGone, waitForReady, waitForStatusColumn } from '../harness/conditions.ts';
import { assertOutput } from '../harness/mask.ts';
import { onCluster } from '../harness/suite.ts';
import type { TestCluster } from '../harness/cluster.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'], served: ['docker.io/library/nginx:1.28'], guarded: { 'docker.io/private/app:1': 'docker.io/library/busybox:1.37' } });

const BUSYBOX = 'busybox:1.37';
const sh = (command: string): string[] => ['sh', '-c', command];
function pod(name: string, spec: object): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 1, ...spec } };
}
async function statusRow(c: TestCluster, name: string): Promise<string> {
  return (await c.kubectl(['get', 'pod', name, '--no-headers'])).stdout;
}
/** The column STATUS of every line that a watch prints, each once, in the order of their coming. */
async function statesUntil(c: TestCluster, name: string, spec: object, last: RegExp): Promise<string[]> {
  await using watch = await startWatch(c, ['pods', '--no-headers', '--field-selector', `metadata.name=${name}`]);
  await c.apply(pod(name, spec));
  await watch.seen(new RegExp(`^${name} +\\S+ +(${last.source}) `, 'm'));
  const seen = [...watch.stdout.matchAll(/^\S+ +(\d\/\d) +(\S+) /gm)].map((m) => `${m[2]} ${m[1]}`);
  return [...new Set(seen)];
}

test('Pending, ContainerCreating, Running: on the way up', async (c) => {
  assert.deepEqual(await statesUntil(c, 'up', { containers: [{ name: 'c', image: 'nginx:1.28' }] }, /Running/), ['Pending 0/1', 'ContainerCreating 0/1', 'Running 1/1']);
  await c.shell('kubectl delete pod up --now');
});

test('Pending with the scheduler\'s reason', async (c) => {
  await c.apply(pod('picky', { nodeSelector: { disk: 'ssd' }, containers: [{ name: 'c', image: BUSYBOX }] }));
  await waitForEvent(c, 'picky', 'FailedScheduling', /^0\/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity\/selector\. no new claims to deallocate, preemption: 0\/1 nodes are available: 1 Preemption is not helpful for scheduling\.$/);
  const { status } = await waitForPhase(c, 'picky', 'Pending');
  const scheduled = status?.conditions?.find((x) => x.type === 'PodScheduled');
  assert.deepEqual([scheduled?.status, scheduled?.reason], ['False', 'Unschedulable']);
  assert.match(await statusRow(c, 'picky'), /^picky +0\/1 +Pending +0 /);
  await c.shell('kubectl label node node01 disk=ssd');
  await waitForPod(c, 'picky', 'scheduled', (p) => p.spec.nodeName === 'node01');
  await c.shell('kubectl label node node01 disk-');
  await c.shell('kubectl delete pod picky --now');
});

test('Init:0/2, Init:1/2, PodInitializing, Completed', async (c) => {
  const states = await statesUntil(c, 'steps', {
    restartPolicy: 'Never',
    initContainers: [{ name: 'one', image: BUSYBOX, command: sh('sleep 1') }, { name: 'two', image: BUSYBOX, command: sh('sleep 1') }],
    containers: [{ name: 'c', image: BUSYBOX, command: sh('exit 0') }],
  }, /Completed/);
  assert.deepEqual(states.filter((s) => /Init/.test(s)), ['Init:0/2 0/1', 'Init:1/2 0/1', 'PodInitializing 0/1']);
  assert.equal(states.at(-1), 'Completed 0/1');
  assert.equal((await waitForPhase(c, 'steps', 'Succeeded')).status?.phase, 'Succeeded');
  assertOutput((await c.shell('kubectl get pod steps')).stdout, 'NAME    READY   STATUS      RESTARTS   AGE\nsteps   0/1     Completed   0          3s');
  await c.shell('kubectl delete pod steps');
});

test('Init:Error and Init:CrashLoopBackOff', async (c) => {
  await c.apply(pod('init-once', { restartPolicy: 'Never', initContainers: [{ name: 'i', image: BUSYBOX, command: sh('exit 2') }], containers: [{ name: 'c', image: BUSYBOX }] }));
  assert.equal(await waitForStatusColumn(c, 'init-once', /Init:Error/), 'Init:Error');
  assert.equal((await waitForPhase(c, 'init-once', 'Failed')).status?.phase, 'Failed');
  await c.apply(pod('init-again', { initContainers: [{ name: 'i', image: BUSYBOX, command: sh('exit 2') }], containers: [{ name: 'c', image: BUSYBOX }] }));
  assert.equal(await waitForStatusColumn(c, 'init-again', /Init:CrashLoopBackOff/), 'Init:CrashLoopBackOff');
  await c.shell('kubectl delete pod init-once init-again');
});

test('Error: a container that ends with a failure under restartPolicy Never', async (c) => {
  await c.apply(pod('wrong', { restartPolicy: 'Never', containers: [{ name: 'c', image: BUSYBOX, command: sh('echo no; exit 42') }] }));
  const failed = await waitForPhase(c, 'wrong', 'Failed');
  const { terminated } = failed.status!.containerStatuses![0]!.state!;
  assert.deepEqual([terminated?.exitCode, terminated?.reason], [42, 'Error']);
  assert.match(await statusRow(c, 'wrong'), /^wrong +0\/1 +Error +0 /);
  assert.equal((await c.shell('kubectl logs wrong')).stdout, 'no\n');
  await c.shell('kubectl delete pod wrong');
});

test('CrashLoopBackOff, with growing waits', async (c) => {
  await c.apply(pod('crash', { containers: [{ name: 'c', image: BUSYBOX, command: sh('exit 1') }] }));
  await waitForStatusColumn(c, 'crash', /CrashLoopBackOff/);
  const waiting = await waitForPod(c, 'crash', 'waiting for its second restart', (p) => p.status?.containerStatuses?.[0]?.state?.waiting?.message?.startsWith('back-off 20s') === true);
  const { state, lastState, restartCount } = waiting.status!.containerStatuses![0]!;
  assert.match(state!.waiting!.message!, /^back-off 20s restarting failed container=c pod=crash_default\([0-9a-f-]{36}\)$/);
  assert.deepEqual([state!.waiting!.reason, lastState!.terminated?.exitCode, restartCount], ['CrashLoopBackOff', 1, 2]);
  assert.equal(waiting.status?.phase, 'Running');
  await c.shell('kubectl delete pod crash');
});

test('ErrImagePull, then ImagePullBackOff; InvalidImageName; ErrImageNeverPull', async (c) => {
  const image = 'nginx:9.99';
  const states = await statesUntil(c, 'no-image', { containers: [{ name: 'c', image }] }, /ImagePullBackOff/);
  assert.deepEqual(states.slice(-2), ['ErrImagePull 0/1', 'ImagePullBackOff 0/1']);
  // containerd asks the mirror, then the registry itself, and tells of the last.
  await waitForEvent(c, 'no-image', 'Failed', /^Failed to pull image "nginx:9\.99": (rpc error: code = \w+ desc = )?failed to pull and unpack image "docker\.io\/library\/nginx:9\.99": failed to resolve (reference "docker\.io\/library\/nginx:9\.99"|image): /);
  await waitForEvent(c, 'no-image', 'Failed', /^Error: ErrImagePull$/);
  await waitForEvent(c, 'no-image', 'BackOff', /^Back-off pulling image "nginx:9\.99"$/);
  await waitForEvent(c, 'no-image', 'Failed', /^Error: ImagePullBackOff$/);
  await c.apply(pod('bad-name', { containers: [{ name: 'c', image: 'UPPER/Case::x' }] }));
  assert.equal(await waitForStatusColumn(c, 'bad-name', /InvalidImageName/), 'InvalidImageName');
  await c.apply(pod('never', { containers: [{ name: 'c', image: 'nginx:1.99', imagePullPolicy: 'Never' }] }));
  assert.equal(await waitForStatusColumn(c, 'never', /ErrImageNeverPull/), 'ErrImageNeverPull');
  await waitForEvent(c, 'never', 'ErrImageNeverPull', /^Container image "nginx:1\.99" is not present with pull policy of Never$/);
  await c.shell('kubectl delete pod no-image bad-name never');
});

test('a private image: refused without credentials, pulled with the Pod\'s own', async (c) => {
  await c.apply(pod('private', { containers: [{ name: 'c', image: 'private/app:1', command: ['sleep', '3600'] }] }));
  await waitForEvent(c, 'private', 'Failed', /^Failed to pull image "private\/app:1": /);
  assert.match(await waitForStatusColumn(c, 'private', /ErrImagePull|ImagePullBackOff/), /ErrImagePull|ImagePullBackOff/);
  await c.shell('kubectl delete pod private');
  await c.kubectl(['create', 'secret', 'docker-registry', 'reader', '--docker-server=docker.io', '--docker-username=reader', '--docker-password=correct horse']);
  await c.apply(pod('private', { imagePullSecrets: [{ name: 'reader' }], containers: [{ name: 'c', image: 'private/app:1', command: ['sleep', '3600'] }] }));
  await waitForReady(c, 'private');
  // It is on the node now, but not for those who could not have pulled it.
  await c.apply(pod('stranger', { containers: [{ name: 'c', image: 'private/app:1', command: ['sleep', '3600'] }] }));
  await waitForEvent(c, 'stranger', 'Failed', /^Failed to pull image "private\/app:1": /);
  await c.shell('kubectl delete pod private stranger --now');
});

test('OOMKilled', async (c) => {
  await c.apply(pod('hungry', { restartPolicy: 'Never', containers: [{ name: 'c', image: BUSYBOX, command: sh('x=a; while true; do x=$x$x; done'), resources: { limits: { memory: '16Mi' } } }] }));
  const killed = await waitForPhase(c, 'hungry', 'Failed');
  const { terminated } = killed.status!.containerStatuses![0]!.state!;
  assert.deepEqual([terminated?.reason, terminated?.exitCode], ['OOMKilled', 137]);
  assert.match(await statusRow(c, 'hungry'), /^hungry +0\/1 +OOMKilled +0 /);
  await c.shell('kubectl delete pod hungry');
});

test('CreateContainerConfigError: a ConfigMap that is not there, and then is', async (c) => {
  await c.apply(pod('needs-config', { containers: [{ name: 'c', image: BUSYBOX, command: sh('echo "$GREETING"; sleep 3600'), env: [{ name: 'GREETING', valueFrom: { configMapKeyRef: { name: 'greetings', key: 'first' } } }] }] }));
  assert.equal(await waitForStatusColumn(c, 'needs-config', /CreateContainerConfigError/), 'CreateContainerConfigError');
  await waitForEvent(c, 'needs-config', 'Failed', /^Error: configmap "greetings" not found$/);
  await c.shell('kubectl create configmap greetings --from-literal=first=hello');
  await waitForReady(c, 'needs-config', { timeoutMs: 90_000 });
  await waitForLog(c, 'needs-config', /^hello$/m);
  await c.shell('kubectl delete pod needs-config');
});

test('ContainerCreating for want of a Secret\'s volume, with the event that says so', async (c) => {
  await c.apply(pod('needs-secret', { containers: [{ name: 'c', image: BUSYBOX, command: sh('echo "$(cat /keys/word)"; sleep 3600'), volumeMounts: [{ name: 'k', mountPath: '/keys' }] }], volumes: [{ name: 'k', secret: { secretName: 'keys' } }] }));
  await waitForEvent(c, 'needs-secret', 'FailedMount', /^MountVolume\.SetUp failed for volume "k" : secret "keys" not found$/);
  assert.match(await statusRow(c, 'needs-secret'), /^needs-secret +0\/1 +ContainerCreating +0 /);
  await c.shell('kubectl create secret generic keys --from-literal=word=open');
  await waitForReady(c, 'needs-secret', { timeoutMs: 90_000 });
  await waitForLog(c, 'needs-secret', /^open$/m);
  await c.shell('kubectl delete pod needs-secret');
});

test('RunContainerError / StartError: a command that does not exist', async (c) => {
  await c.apply(pod('no-command', { containers: [{ name: 'c', image: BUSYBOX, command: ['/no/such/program'] }] }));
  assert.match(await waitForStatusColumn(c, 'no-command', /RunContainerError|CrashLoopBackOff/), /RunContainerError|CrashLoopBackOff/);
  await waitForEvent(c, 'no-command', 'Failed', /^Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "\/no\/such\/program": stat \/no\/such\/program: no such file or directory: unknown$/);
  await c.shell('kubectl delete pod no-command');
});

test('Terminating, for as long as the container takes', async (c) => {
  await c.apply(pod('slow', { terminationGracePeriodSeconds: 20, containers: [{ name: 'c', image: BUSYBOX, command: sh('trap "until [ -e /end ]; do sleep 0.1; done; exit 0" TERM; while true; do sleep 0.1; done') }] }));
  await waitForReady(c, 'slow');
  await c.shell('kubectl delete pod slow --wait=false');
  assert.match(await statusRow(c, 'slow'), /^slow +1\/1 +Terminating +0 /);
  await waitForEvent(c, 'slow', 'Killing', /^Stopping container c$/);
  await c.shell('kubectl exec slow -- touch /end');
  await waitForPodGone(c, 'slow');
});
