import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { criMessage, type Init } from '#cri/schema.ts';
import type { ContainerConfig, PodSandboxConfig } from '#cri/types.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig, runKubelet } from '../testing/running-kubelet.ts';
import { UserNamespaces } from './user-namespaces.ts';

const block = (n: number) => ({ hostId: n * 65_536, containerId: 0, length: 65_536 });

test('UserNamespaces give each Pod a block of its own, the same after a restart, and again when it is free', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-userns-'));
  const config = kubeletConfig(dir, { maxPods: 3 });
  const dirOf = (uid: string): string => join(config.rootDir, 'pods', uid);
  const of = async (given: UserNamespaces, uid: string) => {
    await mkdir(dirOf(uid), { recursive: true });
    return await given.of(makePod('p', uid).build());
  };
  const first = new UserNamespaces(config);
  const uids = ['a', 'b', 'c'];
  await Promise.all(uids.map((uid) => mkdir(dirOf(uid), { recursive: true })));
  const all = await Promise.all(uids.map((uid) => first.of(makePod('p', uid).build())));
  assert.deepEqual(all, [1, 2, 3].map((n) => ({ mode: 'POD', uids: [block(n)], gids: [block(n)] })));
  await assert.rejects(of(first, 'd'), { message: 'could not find an empty slot to allocate a user namespace' });
  assert.deepEqual(JSON.parse(await readFile(join(dirOf('b'), 'userns'), 'utf8')), { uidMappings: [block(2)], gidMappings: [block(2)] });
  const second = new UserNamespaces(config);
  assert.deepEqual((await of(second, 'b')).uids, [block(2)]);
  await rm(dirOf('a'), { recursive: true });
  assert.deepEqual((await of(second, 'd')).uids, [block(1)]);
  await writeFile(join(dirOf('d'), 'userns'), JSON.stringify({ uidMappings: [{ ...block(1), length: 1 }], gidMappings: [block(1)] }));
  await assert.rejects(of(second, 'd'), /are not one block of 65536 ids/);
  await rm(dir, { recursive: true });
});

test('a Pod with hostUsers: false has its ids in every request, where the runtime can; elsewhere it is refused', async () => {
  await using k = await runKubelet();
  const asked: { sandbox: Init<PodSandboxConfig>; containers: Init<ContainerConfig>[] } = { sandbox: {}, containers: [] };
  const { status, runPodSandbox, createContainer } = k.runtime;
  let able = false;
  Object.assign(k.runtime, {
    status: async () => ({ ...(await status({})), runtimeHandlers: [criMessage('RuntimeHandler', { name: '', features: { userNamespaces: able } })] }),
    runPodSandbox: (...args: Parameters<typeof runPodSandbox>) => ((asked.sandbox = args[0].config ?? {}), runPodSandbox(...args)),
    createContainer: (...args: Parameters<typeof createContainer>) => (asked.containers.push(args[0].config ?? {}), createContainer(...args)),
  });
  k.create(makePod().spec({ hostUsers: false }).volume('v', { emptyDir: {} }).container('c', { volumeMounts: [{ name: 'v', mountPath: '/v' }] }).build());
  await k.until('the refusal', () => k.events('web').some((e) => e === 'FailedCreatePodSandBox: Failed to create pod sandbox: RuntimeClass handler "" does not support user namespaces'));
  able = true;
  await k.until('Running', () => k.pod('web')?.status?.phase === 'Running', 300_000);
  const ids = { mode: 'POD', uids: [block(1)], gids: [block(1)] };
  assert.deepEqual(asked.sandbox.linux?.securityContext?.namespaceOptions?.usernsOptions, ids);
  const [container] = asked.containers;
  assert.deepEqual(container?.linux?.securityContext?.namespaceOptions?.usernsOptions, ids);
  assert.deepEqual(container?.mounts?.map((m) => [m.containerPath, m.uidMappings, m.gidMappings]), ['/v', '/etc/hosts', '/dev/termination-log'].map((path) => [path, [block(1)], [block(1)]]));
});
