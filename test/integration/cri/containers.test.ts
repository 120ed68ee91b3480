import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { importImages, listImages } from '#cluster/runtime/image-import.ts';
import { parseRegistries, pullCredentials, writeHostsFiles } from '#cluster/runtime/registries.ts';
import { CriError } from '#cri/error.ts';
import { runtimeEvents, type RuntimeEvent } from '#cri/events.ts';
import { buildImages, type ImageStore } from '../../images/build.ts';
import { PRIVATE_USER, startRegistry, type TestRegistry } from '../../images/registry.ts';
import { exited, runContainer, runSandbox, startTestNode, type TestNode } from './setup.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const DISTROLESS = 'docker.io/example/distroless:1';
/** 1.6, 1.7 and later. */
const REFUSED = /401 Unauthorized|authorization failed: no basic auth credentials/;
const WEATHER = 'docker.io/example/weather-api:1';

let images: ImageStore;
let registry: TestRegistry;
let node: TestNode;
const started: AsyncDisposable[] = [];

before(async () => {
  images = await buildImages({ names: [BUSYBOX, DISTROLESS, WEATHER] });
  started.push((registry = await startRegistry()));
  for (const [name, image] of images.images) await registry.push(name, image);
  await registry.push('docker.io/private/app:1', images.images.get(BUSYBOX)!, 'private/app');
  started.push((node = await startTestNode('run', { mirror: registry.url })));
  await node.cri.pullImage({ image: { image: 'busybox:1.37' } });
});
after(async () => {
  for (const part of started.toReversed()) await part[Symbol.asyncDispose]();
});

test('pulling goes through the mirror and gives the image its digest', async () => {
  assert.ok(registry.requests.some((r) => r.startsWith('HEAD /v2/library/busybox/manifests/1.37')), registry.requests.join('\n'));
  const { image } = await node.cri.imageStatus({ image: { image: 'busybox:1.37' } });
  assert.deepEqual(image?.repoTags, [BUSYBOX]);
  assert.deepEqual(image.repoDigests, [`docker.io/library/busybox@${images.images.get(BUSYBOX)!.manifest.digest}`]);
  assert.equal(image.id, images.images.get(BUSYBOX)!.config.digest);
});

test('pulling an image that does not exist fails as NotFound with the text of containerd', async () => {
  await assert.rejects(node.cri.pullImage({ image: { image: 'registry.example/nothing/here:1' } }), (error: CriError) => {
    assert.equal(error.code, 'NotFound');
    // `reference "…"` in 1.x, `image` in 2.x.
    assert.match(error.desc, /^failed to pull and unpack image "registry\.example\/nothing\/here:1": failed to resolve (reference "registry\.example\/nothing\/here:1"|image): registry\.example\/nothing\/here:1: not found$/);
    return true;
  });
});

test('pulling a private image needs the credentials of registries.yaml', async () => {
  await assert.rejects(node.cri.pullImage({ image: { image: 'private/app:1' } }), (error: CriError) => error.code === 'Unknown' && REFUSED.test(error.desc));
  const registries = parseRegistries({ mirrors: { 'docker.io': { endpoint: [registry.url] } }, configs: { [new URL(registry.url).host]: { auth: { ...PRIVATE_USER } } } });
  await writeHostsFiles(node.config.certsDir, registries);
  const [auth] = pullCredentials(registries, 'private/app:1');
  await assert.rejects(node.cri.pullImage({ image: { image: 'private/app:1' }, auth: { ...auth, password: 'wrong' } }), REFUSED);
  const { imageRef } = await node.cri.pullImage({ image: { image: 'private/app:1' }, auth });
  assert.equal(imageRef, images.images.get(BUSYBOX)!.config.digest);
});

test('a container runs, writes its log and ends with its own exit code', async () => {
  const sandbox = await runSandbox(node, 'code');
  const id = await runContainer(node, sandbox, 'c', { image: { image: BUSYBOX }, command: ['sh', '-c', 'echo out; echo err >&2; exit 7'] });
  const status = await exited(node.cri, id);
  assert.deepEqual([status.exitCode, status.reason], [7, 'Error']);
  assert.ok(Math.abs(status.finishedAt - Date.now() * 1e6) < 60e9 && Math.abs(status.startedAt - status.finishedAt) < 10e9, JSON.stringify([status.startedAt, status.finishedAt]));
  const log = await readFile(`${node.dir}/logs/code/c.log`, 'utf8');
  assert.match(log, /^\S+Z stdout F out$/m);
  assert.match(log, /^\S+Z stderr F err$/m);
  const zero = await runContainer(node, sandbox, 'zero', { image: { image: BUSYBOX }, command: ['true'] });
  assert.equal((await exited(node.cri, zero)).reason, 'Completed');
});

test('a command that does not exist fails the start: exit code 128, StartError', async () => {
  const sandbox = await runSandbox(node, 'nocmd');
  const { containerId } = await node.cri.createContainer({ podSandboxId: sandbox.podSandboxId, sandboxConfig: sandbox.config, config: { metadata: { name: 'c' }, image: { image: BUSYBOX }, command: ['/nonexistent'], logPath: 'c.log' } });
  await assert.rejects(node.cri.startContainer({ containerId }), /exec: "\/nonexistent": stat \/nonexistent: no such file or directory/);
  const { status } = await node.cri.containerStatus({ containerId });
  assert.deepEqual([status?.state, status?.exitCode, status?.reason], ['CONTAINER_EXITED', 128, 'StartError']);
});

test('a container that takes more memory than its limit is killed: 137, OOMKilled, and a native event tells', async () => {
  const stop = new AbortController();
  const oom: RuntimeEvent[] = [];
  const subscribed = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const event of runtimeEvents({ runtime: node.cri, clock: systemClock, signal: stop.signal })) {
      if (event.type === 'Resync') subscribed.resolve();
      if (event.type === 'ContainerOOM') oom.push(event);
    }
  })();
  await subscribed.promise;
  const sandbox = await runSandbox(node, 'oom');
  const id = await runContainer(node, sandbox, 'c', {
    image: { image: BUSYBOX }, command: ['sh', '-c', 'x=a; while true; do x=$x$x; done'],
    linux: { resources: { memoryLimitInBytes: 16 * 1024 * 1024 }, securityContext: { namespaceOptions: { network: 'POD', pid: 'CONTAINER' } } },
  });
  const status = await exited(node.cri, id);
  stop.abort();
  await reading;
  assert.deepEqual([status.exitCode, status.reason], [137, 'OOMKilled']);
  // CRI's own events, from 1.7 on, do not tell of it: there the reason must do.
  const { runtimeVersion } = await node.cri.version({});
  assert.equal(oom.some((event) => 'containerId' in event && event.containerId === id), runtimeVersion.startsWith('1.6.'));
});

test('execSync gives output and exit code, ends a command at its timeout, and refuses an ended container', async () => {
  const sandbox = await runSandbox(node, 'exec');
  const containerId = await runContainer(node, sandbox, 'c', { image: { image: BUSYBOX }, command: ['sleep', '1000'] });
  const done = await node.cri.execSync({ containerId, cmd: ['sh', '-c', 'echo hello; echo bad >&2; exit 3'], timeout: 10 });
  assert.deepEqual([Buffer.from(done.stdout).toString(), Buffer.from(done.stderr).toString(), done.exitCode], ['hello\n', 'bad\n', 3]);
  await assert.rejects(node.cri.execSync({ containerId, cmd: ['sleep', '30'], timeout: 1 }), { code: 'DeadlineExceeded', desc: /timeout 1s exceeded/ });
  await node.cri.stopContainer({ containerId, timeout: 0 });
  await assert.rejects(node.cri.execSync({ containerId, cmd: ['true'] }), /container is in CONTAINER_EXITED state/);
});

test('an image without a shell runs, and exec says that there is none', async () => {
  await node.cri.pullImage({ image: { image: DISTROLESS } });
  const sandbox = await runSandbox(node, 'noshell');
  const containerId = await runContainer(node, sandbox, 'c', { image: { image: DISTROLESS } });
  await assert.rejects(node.cri.execSync({ containerId, cmd: ['sh'], timeout: 5 }), /exec: "sh": executable file not found in \$PATH/);
});

test('the weather service answers on the address of its Pod, and heeds SIGTERM', async () => {
  await node.cri.pullImage({ image: { image: WEATHER } });
  const sandbox = await runSandbox(node, 'weather');
  const containerId = await runContainer(node, sandbox, 'c', { image: { image: WEATHER } });
  const { status } = await node.cri.podSandboxStatus({ podSandboxId: sandbox.podSandboxId });
  let answer: Response | undefined;
  while (!answer) answer = await fetch(`http://${status?.network?.ip}:8080/weatherforecast`).catch(() => undefined);
  const forecast = (await answer.json()) as { date: string; temperatureC: number }[];
  assert.equal(forecast.length, 5);
  assert.match(forecast[0]!.date, /^\d{4}-\d\d-\d\d$/);
  assert.equal((await fetch(`http://${status?.network?.ip}:8080/none`)).status, 404);
  await node.cri.stopContainer({ containerId, timeout: 20 });
  assert.equal((await exited(node.cri, containerId)).exitCode, 0);
});

test('events arrive within milliseconds, in order, and ContainerStopped only when the status says EXITED', async () => {
  const sandbox = await runSandbox(node, 'events');
  const stop = new AbortController();
  const seen: { type: string; lateMs: number }[] = [];
  const take = { image: { image: BUSYBOX }, command: ['sh', '-c', 'sleep 0.2'] };
  let containerId = '';
  for await (const event of runtimeEvents({ runtime: node.cri, clock: systemClock, signal: stop.signal })) {
    if (event.type === 'Resync') {
      containerId = await runContainer(node, sandbox, 'c', take);
      continue;
    }
    if (event.containerId !== containerId) continue;
    seen.push({ type: event.type, lateMs: Date.now() - event.atMs });
    if (event.type === 'ContainerStopped') {
      assert.equal((await node.cri.containerStatus({ containerId })).status?.state, 'CONTAINER_EXITED');
      await node.cri.removeContainer({ containerId });
    }
    if (event.type === 'ContainerDeleted') stop.abort();
  }
  assert.deepEqual(seen.map((e) => e.type), ['ContainerCreated', 'ContainerStarted', 'ProcessEnded', 'ContainerStopped', 'ContainerDeleted']);
  // The machine may be busy: what is measured is that events are pushed, not found by listing once a second.
  assert.ok(seen.slice(1).every((e) => e.lateMs < 500), JSON.stringify(seen));
});

test('an archive can be imported and is then listed with its names', async () => {
  const path = `${node.dir}/images.tar`;
  await images.writeArchive(path, [WEATHER, DISTROLESS]);
  const names = await importImages(path, { socket: node.config.socket, runtime: node.cri, clock: systemClock });
  assert.deepEqual(names.toSorted(), [DISTROLESS, WEATHER]);
  const listed = await listImages(node.cri);
  assert.ok(listed.some((image) => image.names.includes(WEATHER) && image.sizeBytes > 500_000));
  await writeFile(`${node.dir}/bad.tar`, 'this is no archive');
  await assert.rejects(importImages(`${node.dir}/bad.tar`, { socket: node.config.socket, runtime: node.cri, clock: systemClock }), /running "ctr .*bad\.tar"/);
});
