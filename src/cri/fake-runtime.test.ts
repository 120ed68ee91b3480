import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { CriError } from './error.ts';
import { fakeRuntime, type ContainerScript, type FakeRuntime } from './fake-runtime.ts';

async function setUp(script: ContainerScript = {}) {
  const clock = new FakeClock();
  const runtime = fakeRuntime({ clock, container: () => script });
  await runtime.pullImage({ image: { image: 'busybox' } });
  const { podSandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'p', namespace: 'default', uid: 'u1' }, logDirectory: '/var/log/pods/p' } });
  const create = (name = 'c', attempt = 0) =>
    runtime.createContainer({ podSandboxId, config: { metadata: { name, attempt }, image: { image: 'busybox' }, labels: { 'io.kubernetes.container.name': name }, logPath: `${name}/0.log` } });
  return { clock, runtime, podSandboxId, create };
}
async function status(runtime: FakeRuntime, containerId: string) {
  return (await runtime.containerStatus({ containerId })).status!;
}

test('fakeRuntime runs a container by its script: created, running, exited with its code at its time', async () => {
  const { clock, runtime, create } = await setUp({ exit: { afterMs: 5000, code: 3 } });
  const { containerId } = await create();
  assert.equal((await status(runtime, containerId)).state, 'CONTAINER_CREATED');
  await runtime.startContainer({ containerId });
  await clock.advance(4999);
  assert.equal((await status(runtime, containerId)).state, 'CONTAINER_RUNNING');
  await clock.advance(1);
  const ended = await status(runtime, containerId);
  assert.deepEqual([ended.state, ended.exitCode, ended.reason], ['CONTAINER_EXITED', 3, 'Error']);
  assert.equal(ended.finishedAt - ended.startedAt, 5000 * 1e6);
  assert.equal(ended.logPath, '/var/log/pods/p/c/0.log');
});

test('fakeRuntime stops a container by SIGTERM, or by SIGKILL when the grace period is over', async () => {
  const { clock, runtime, create } = await setUp({ term: 'ignore' });
  const { containerId } = await create();
  await runtime.startContainer({ containerId });
  const stopping = runtime.stopContainer({ containerId, timeout: 10 });
  await clock.advance(9999);
  assert.equal((await status(runtime, containerId)).state, 'CONTAINER_RUNNING');
  await clock.advance(1);
  await stopping;
  assert.equal((await status(runtime, containerId)).exitCode, 137);

  const heeds = await setUp();
  const second = await heeds.create();
  await heeds.runtime.startContainer(second);
  const stop = heeds.runtime.stopContainer({ ...second, timeout: 10 });
  await heeds.clock.advance(0);
  await stop;
  assert.equal((await status(heeds.runtime, second.containerId)).exitCode, 143);
});

test('fakeRuntime fails in the words of containerd: unknown container, missing image, name taken, stopped sandbox', async () => {
  const { runtime, podSandboxId, create } = await setUp();
  await assert.rejects(runtime.containerStatus({ containerId: 'nope' }), { message: 'rpc error: code = NotFound desc = an error occurred when try to find container "nope": not found' });
  await assert.rejects(runtime.createContainer({ podSandboxId, config: { metadata: { name: 'x' }, image: { image: 'nginx:1' } } }), { message: 'rpc error: code = NotFound desc = failed to resolve image "nginx:1": not found' });
  const { containerId } = await create();
  await assert.rejects(create(), { message: `rpc error: code = Unknown desc = failed to reserve container name "c_p_default_u1_0": name "c_p_default_u1_0" is reserved for "${containerId}"` });
  await create('c', 1);
  await runtime.stopPodSandbox({ podSandboxId });
  await assert.rejects(create('c', 2), /is not running/);
});

test('fakeRuntime reports a failed start as containerd does: EXITED, 128, StartError', async () => {
  const { runtime, create } = await setUp({ startError: new CriError('Unknown', 'exec: "/nope": no such file or directory') });
  const { containerId } = await create();
  await assert.rejects(runtime.startContainer({ containerId }), /no such file/);
  const s = await status(runtime, containerId);
  assert.deepEqual([s.state, s.exitCode, s.reason, s.message], ['CONTAINER_EXITED', 128, 'StartError', 'exec: "/nope": no such file or directory']);
});

test('fakeRuntime gives each sandbox an address of the Pod CIDR, frees it, and none to the network of the node', async () => {
  const runtime = fakeRuntime({ clock: new FakeClock(), podCIDR: '10.244.3.0/24' });
  const run = async (name: string, network: 'POD' | 'NODE' = 'POD') =>
    (await runtime.runPodSandbox({ config: { metadata: { name, namespace: 'default', uid: name }, linux: { securityContext: { namespaceOptions: { network } } } } })).podSandboxId;
  const ip = async (podSandboxId: string) => (await runtime.podSandboxStatus({ podSandboxId })).status?.network?.ip;
  const [a, b] = [await run('a'), await run('b')];
  assert.deepEqual([await ip(a), await ip(b), await ip(await run('h', 'NODE'))], ['10.244.3.2', '10.244.3.3', '']);
  await runtime.stopPodSandbox({ podSandboxId: a });
  assert.equal(await ip(await run('c')), '10.244.3.2');
});

test('fakeRuntime removes a sandbox with its containers, and reports each as an event', async () => {
  const { runtime, podSandboxId, create } = await setUp();
  const stop = new AbortController();
  const events: string[] = [];
  const reading = (async () => {
    for await (const e of runtime.getContainerEvents({}, { signal: stop.signal })) events.push(`${e.containerId === podSandboxId ? 'sandbox' : 'container'} ${e.containerEventType}`);
  })();
  const { containerId } = await create();
  await runtime.startContainer({ containerId });
  await runtime.removePodSandbox({ podSandboxId });
  await flushMicrotasks();
  stop.abort(new Error('done'));
  await assert.rejects(reading, /done/);
  assert.deepEqual(events, [
    'container CONTAINER_CREATED_EVENT', 'container CONTAINER_STARTED_EVENT', 'container CONTAINER_STOPPED_EVENT', 'sandbox CONTAINER_STOPPED_EVENT', 'container CONTAINER_DELETED_EVENT', 'sandbox CONTAINER_DELETED_EVENT',
  ]);
  assert.deepEqual((await runtime.listContainers({})).containers, []);
  assert.deepEqual((await runtime.listPodSandbox({})).items, []);
});

test('fakeRuntime lists by id, sandbox, state and labels', async () => {
  const { runtime, podSandboxId, create } = await setUp();
  const { containerId } = await create('a');
  await create('b');
  await runtime.startContainer({ containerId });
  const names = async (filter: Parameters<FakeRuntime['listContainers']>[0]['filter']) => (await runtime.listContainers({ filter })).containers.map((c) => c.metadata?.name);
  assert.deepEqual(await names({ podSandboxId }), ['a', 'b']);
  assert.deepEqual(await names({ state: { state: 'CONTAINER_RUNNING' } }), ['a']);
  assert.deepEqual(await names({ labelSelector: { 'io.kubernetes.container.name': 'b' } }), ['b']);
  assert.deepEqual(await names({ id: 'other' }), []);
});

test('fakeRuntime pulls by script: delayed, failing, or with a size; names are completed as containerd does', async () => {
  const clock = new FakeClock();
  const runtime = fakeRuntime({
    clock,
    pull: (image) => (image.startsWith('missing') ? { error: new CriError('NotFound', `failed to pull and unpack image "docker.io/library/${image}": not found`) } : { delayMs: 2000, sizeBytes: 42 }),
  });
  await assert.rejects(runtime.pullImage({ image: { image: 'missing:1' } }), { code: 'NotFound' });
  const pull = runtime.pullImage({ image: { image: 'nginx' } });
  assert.equal((await runtime.imageStatus({ image: { image: 'nginx' } })).image, undefined);
  await clock.advance(2000);
  const { imageRef } = await pull;
  const { image } = await runtime.imageStatus({ image: { image: 'docker.io/library/nginx:latest' } });
  assert.deepEqual([image?.id, image?.size, image?.repoTags], [imageRef, 42, ['docker.io/library/nginx:latest']]);
  assert.equal(runtime.images.pulls, 2);
  await runtime.removeImage({ image: { image: 'nginx' } });
  assert.deepEqual((await runtime.listImages({})).images, []);
});

test('fakeRuntime counts CPU time by the clock and answers ExecSync by script', async () => {
  const { clock, runtime, create } = await setUp({ usage: { nanoCores: 5e8, memoryBytes: 1024 }, execSync: ({ cmd }) => ({ stdout: Buffer.from(cmd!.join(' ')), exitCode: 1 }) });
  const { containerId } = await create();
  await assert.rejects(runtime.execSync({ containerId, cmd: ['true'] }), /container is in CONTAINER_CREATED state/);
  await runtime.startContainer({ containerId });
  await clock.advance(4000);
  const { stats } = await runtime.containerStats({ containerId });
  assert.deepEqual([stats?.cpu?.usageCoreNanoSeconds?.value, stats?.memory?.workingSetBytes?.value], [2e9, 1024]);
  const done = await runtime.execSync({ containerId, cmd: ['echo', 'hi'] });
  assert.deepEqual([Buffer.from(done.stdout).toString(), done.exitCode], ['echo hi', 1]);
  await assert.rejects(runtime.exec({ containerId }), { message: 'rpc error: code = Unimplemented desc = method Exec not implemented' });
});

test('fakeRuntime leaves no timer behind after kill and close', async () => {
  const { clock, runtime, create } = await setUp({ exit: { afterMs: 60_000, code: 0 } });
  const [a, b] = [await create('a'), await create('b')];
  await runtime.startContainer(a);
  await runtime.startContainer(b);
  runtime.kill(a.containerId, 137, 'OOMKilled');
  assert.equal((await status(runtime, a.containerId)).reason, 'OOMKilled');
  assert.equal(clock.timers, 1);
  runtime.close();
  assert.equal(clock.timers, 0);
});
