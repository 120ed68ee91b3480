import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import { runKubelet } from '../testing/running-kubelet.ts';
import { CONFIG, parseManifest } from './manifest.ts';

const manifest = (name: string, command = 'run') => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec:\n  containers: [{name: c, image: busybox, command: [${command}]}]\n`;

test('parseManifest names Pods for the node, marks where they come from, gives them a uid that follows from the text', () => {
  const [pod] = parseManifest(manifest('web'), 'web.yaml', 'Node-1', '2026-01-02T03:04:05Z');
  const { name, namespace, uid, annotations } = pod!.metadata;
  assert.deepEqual([name, namespace, uid?.length], ['web-node-1', 'default', 32]);
  assert.deepEqual(annotations, { [CONFIG.hash]: uid, [CONFIG.source]: 'file', [CONFIG.seen]: '2026-01-02T03:04:05Z' });
  assert.equal(pod!.spec.nodeName, 'Node-1');
  assert.deepEqual(pod!.spec.tolerations, [{ operator: 'Exists', effect: 'NoExecute' }]);
  assert.equal(parseManifest(manifest('web'), 'web.yaml', 'Node-1', 'later')[0]!.metadata.uid, uid);
  assert.notEqual(parseManifest(manifest('web', 'other'), 'web.yaml', 'Node-1', '')[0]!.metadata.uid, uid);
});
for (const [name, text, message] of [
  ['another kind', 'kind: Service\nmetadata: {name: x}', /kind "Service" is not a Pod/], ['no name', 'kind: Pod\nspec: {containers: [{name: c}]}', /metadata\.name: Required value/],
  ['no containers', 'kind: Pod\nmetadata: {name: x}\nspec: {}', /spec\.containers: Required value/], ['no YAML', '{', /./],
] as const) {
  test(`parseManifest refuses ${name}`, () => assert.throws(() => parseManifest(text, 'f', 'n', ''), message));
}

test('StaticPods run what the directory says, with a mirror in the API', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-static-'));
  await writeFile(join(dir, 'web.yaml'), manifest('web'));
  await writeFile(join(dir, 'broken.yaml'), '{');
  {
    await using k = await runKubelet({ config: { staticPodDir: dir } });
    const mirror = (): Pod | undefined => k.pod('web-node-1');
    await k.until('the mirror to run', () => mirror()?.status?.phase === 'Running' && mirror()?.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True');
    const uid = mirror()!.metadata.annotations![CONFIG.mirror]!;
    assert.notEqual(mirror()!.metadata.uid, uid);
    assert.equal(mirror()!.metadata.ownerReferences![0]!.kind, 'Node');
    assert.deepEqual(k.kubelet.cache.uids(), [uid]);
    // The server's side of the kubelet answers for the Pod that really runs.
    assert.equal(k.kubelet.host().podByName('default', 'web-node-1')!.metadata.uid, uid);

    k.api.remove(PODS, 'default/web-node-1');
    await k.until('the mirror to come back', () => mirror()?.status?.phase === 'Running');
    assert.deepEqual(k.kubelet.cache.uids(), [uid]);

    await writeFile(join(dir, 'web.yaml'), manifest('web', 'other'));
    await k.until('the new Pod alone', () => k.kubelet.cache.uids().length === 1 && k.kubelet.cache.uids()[0] !== uid && mirror()?.metadata.annotations?.[CONFIG.mirror] === k.kubelet.cache.uids()[0], 40_000);

    await rm(join(dir, 'web.yaml'));
    await k.until('nothing', () => mirror() === undefined && k.kubelet.cache.uids().length === 0, 40_000);
  }
  await rm(dir, { recursive: true });
});
test('StaticPods: an empty directory is made', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-static-'));
  await mkdir(join(dir, 'x'));
  {
    await using k = await runKubelet({ config: { staticPodDir: join(dir, 'new') } });
    assert.equal(k.kubelet.cache.uids().length, 0);
  }
  await rm(dir, { recursive: true });
});
