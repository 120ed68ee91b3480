import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { listLeftovers, removeRuntime } from '#cluster/runtime/cleanup.ts';
import { run } from '#cluster/runtime/command.ts';
import { configFile, Containerd, findInstance, pidFile } from '#cluster/runtime/containerd.ts';
import { processInfo } from '#cluster/runtime/processes.ts';
import { runtimeEvents } from '#cri/events.ts';
import { buildImages } from '../../images/build.ts';
import { importImages } from '#cluster/runtime/image-import.ts';
import { exists, runContainer, runSandbox, startTestNode, type TestNode } from './setup.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';

/** What of this machine names one of these, outside of a node's own directories: mounts, network namespaces, results of CNI. Other nodes live beside it. */
async function traces(marks: readonly string[]): Promise<string[]> {
  const names = await Promise.all(['/run/netns', '/var/lib/cni/results'].map(async (dir) => (await readdir(dir).catch(() => [])).map((name) => `${dir}/${name}`)));
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return [...mounts, ...names.flat()].filter((trace) => marks.some((mark) => trace.includes(mark)));
}
/** What the traces of a sandbox and of its containers are known by. */
async function marksOf(node: TestNode, podSandboxId: string): Promise<string[]> {
  const { info } = await node.cri.podSandboxStatus({ podSandboxId, verbose: true });
  const { runtimeSpec } = JSON.parse(info['info'] ?? '') as { readonly runtimeSpec: { readonly linux: { readonly namespaces: readonly { readonly type: string; readonly path?: string }[] } } };
  const netns = runtimeSpec.linux.namespaces.find((n) => n.type === 'network')?.path;
  assert.ok(netns);
  return [podSandboxId, netns];
}

async function loadBusybox(node: TestNode): Promise<void> {
  const { writeArchive } = await buildImages({ names: [BUSYBOX] });
  await writeArchive(`${node.dir}/busybox.tar`, [BUSYBOX]);
  await importImages(`${node.dir}/busybox.tar`, { socket: node.config.socket, runtime: node.cri, clock: systemClock });
}

test('a restart of Podyard adopts the running containerd, and its containers go on', async () => {
  await using node = await startTestNode('adopt');
  await loadBusybox(node);
  const sandbox = await runSandbox(node, 'p');
  const containerId = await runContainer(node, sandbox, 'c', { image: { image: BUSYBOX }, command: ['sleep', '1000'] });
  const { pid } = node.containerd.process!;
  await node.containerd.release();
  const again = await node.restart();
  assert.equal(again.process?.pid, pid);
  const { status } = await again.client.containerStatus({ containerId });
  assert.equal(status?.state, 'CONTAINER_RUNNING');
});

test('containerd that was killed is started again, and finds its containers running', async () => {
  await using node = await startTestNode('kill');
  await loadBusybox(node);
  const sandbox = await runSandbox(node, 'p');
  const containerId = await runContainer(node, sandbox, 'c', { image: { image: BUSYBOX }, command: ['sleep', '1000'] });
  const stop = new AbortController();
  const events = runtimeEvents({ runtime: node.cri, clock: systemClock, signal: stop.signal });
  assert.equal((await events.next()).value?.type, 'Resync');
  const killed = node.containerd.process!.pid;
  process.kill(killed, 'SIGKILL');
  assert.equal((await events.next()).value?.type, 'Resync', 'the event stream comes back, and says that something may have been missed');
  stop.abort();
  await events.return(undefined);
  while (node.containerd.process!.pid === killed) await new Promise((resolve) => setTimeout(resolve, 10));
  await node.cri.connected({ timeoutMs: 20_000 });
  for (;;) {
    const state = await node.cri.containerStatus({ containerId }).then((r) => r.status?.state, () => undefined);
    if (state !== undefined) {
      assert.equal(state, 'CONTAINER_RUNNING');
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(Buffer.from((await node.cri.execSync({ containerId, cmd: ['echo', 'still here'], timeout: 10 })).stdout).toString(), 'still here\n');
});

test('stopping containerd leaves its containers to the next one, which a changed configuration starts anew', async () => {
  await using node = await startTestNode('stop');
  const sandbox = await runSandbox(node, 'p');
  const before = node.containerd.process!;
  await node.containerd.stop();
  assert.equal(await processInfo(before.pid), undefined);
  assert.equal(await exists(pidFile(node.config)), false);
  const second = await node.restart();
  assert.deepEqual((await second.client.listPodSandbox({})).items.map((i) => [i.id, i.state]), [[sandbox.podSandboxId, 'SANDBOX_READY']]);
  await second.release();
  const changed = new Containerd({ config: { ...node.config, certsDir: `${node.config.certsDir}2` }, clock: systemClock, changes: node.changes });
  await changed.start(AbortSignal.timeout(60_000));
  assert.notEqual(changed.process?.pid, second.process?.pid);
  assert.match(await readFile(configFile(node.config), 'utf8'), /certs\.d2/);
  assert.equal((await changed.client.listPodSandbox({})).items.length, 1);
  await changed.release();
});

test('an instance is found by its command line when its pid file is lost', async () => {
  await using node = await startTestNode('lost');
  const { pid } = node.containerd.process!;
  await run('rm', [pidFile(node.config)]);
  assert.equal((await findInstance(node.config))?.pid, pid);
});

test('a containerd that ends at its start fails the start at once, with what it said', async () => {
  await using node = await startTestNode('bad');
  await node.containerd.stop();
  const bad = new Containerd({ config: { ...node.config, netns: '/run/netns/there-is-none' }, clock: systemClock, changes: node.changes });
  await assert.rejects(bad.start(AbortSignal.timeout(60_000)), /starting containerd: it ended with exit code 1: .*there-is-none/);
  await bad.stop();
});

test('nothing is left behind: processes, mounts, links, cgroups, files', async () => {
  const node = await startTestNode('gone');
  await loadBusybox(node);
  const marks = [node.dir, node.config.bridge];
  for (const name of ['a', 'b']) {
    const sandbox = await runSandbox(node, name);
    marks.push(await runContainer(node, sandbox, 'c', { image: { image: BUSYBOX }, command: ['sleep', '1000'] }), ...(await marksOf(node, sandbox.podSandboxId)));
  }
  for (const mark of marks) assert.notDeepEqual(await traces([mark]), [], `there is nothing of ${mark} while it runs`);
  const there = await listLeftovers(node.config);
  assert.ok(there.processes.length >= 7 && there.mounts.length >= 8 && there.cgroups.length > 0 && there.links.length === 1 && there.files.length > 0, JSON.stringify(there));
  await node[Symbol.asyncDispose]();
  assert.deepEqual(await listLeftovers(node.config), { processes: [], mounts: [], cgroups: [], links: [], files: [] });
  assert.equal(await exists(node.dir), false);
  assert.deepEqual(await traces(marks), []);
});

test('nothing is left behind either when containerd itself is dead and cannot be asked', async () => {
  await using node = await startTestNode('force');
  await loadBusybox(node);
  await runContainer(node, await runSandbox(node, 'p'), 'c', { image: { image: BUSYBOX }, command: ['sh', '-c', 'trap "" TERM; while true; do sleep 1; done'] });
  await node.containerd.stop();
  await removeRuntime(node.config, systemClock);
  assert.deepEqual(await listLeftovers(node.config), { processes: [], mounts: [], cgroups: [], links: [], files: [] });
});

test('a node in a network namespace has its containerd and its bridge there', async (t) => {
  const netns = `crins${process.pid}`;
  await run('ip', ['netns', 'add', netns]);
  t.after(() => run('ip', ['netns', 'delete', netns]));
  await using node = await startTestNode('ns', { netns: `/run/netns/${netns}` });
  await runSandbox(node, 'p');
  assert.match((await run('ip', ['-n', netns, 'link', 'show', 'dev', node.config.bridge])).stdout, new RegExp(node.config.bridge));
  await assert.rejects(run('ip', ['link', 'show', 'dev', node.config.bridge]), /does not exist/);
});

test('mounts made on the host later are seen by a container with HostToContainer', async () => {
  await using node = await startTestNode('prop');
  await loadBusybox(node);
  const volume = `${node.config.sharedDirs[0]}/volume`;
  await run('mkdir', ['-p', `${volume}/sub`]);
  const containerId = await runContainer(node, await runSandbox(node, 'p'), 'c', {
    image: { image: BUSYBOX }, command: ['sleep', '1000'], mounts: [{ containerPath: '/v', hostPath: volume, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }],
  });
  await run('mount', ['-t', 'tmpfs', 'tmpfs', `${volume}/sub`]);
  await run('touch', [`${volume}/sub/later`]);
  const { stdout } = await node.cri.execSync({ containerId, cmd: ['ls', '/v/sub'], timeout: 10 });
  assert.equal(Buffer.from(stdout).toString(), 'later\n');
});

test('a mount that a container with Bidirectional makes is seen on the host', async () => {
  await using node = await startTestNode('bidi');
  await loadBusybox(node);
  const volume = `${node.config.sharedDirs[0]}/volume`;
  await run('mkdir', ['-p', `${volume}/sub`]);
  const containerId = await runContainer(node, await runSandbox(node, 'p', { privileged: true }), 'c', {
    image: { image: BUSYBOX }, command: ['sleep', '1000'], mounts: [{ containerPath: '/v', hostPath: volume, propagation: 'PROPAGATION_BIDIRECTIONAL' }],
    linux: { securityContext: { privileged: true, namespaceOptions: { network: 'POD', pid: 'CONTAINER' } } },
  });
  const done = await node.cri.execSync({ containerId, cmd: ['sh', '-c', 'mount -t tmpfs tmpfs /v/sub && touch /v/sub/inside'], timeout: 10 });
  assert.equal(done.exitCode, 0, Buffer.from(done.stderr).toString());
  assert.equal(await exists(`${volume}/sub/inside`), true);
});
