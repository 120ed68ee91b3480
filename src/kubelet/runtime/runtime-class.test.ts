import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '#client/client.ts';
import { RUNTIME_CLASSES } from '#client/kinds.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { injectsCdi, mountsImages, refuseUserNamespace, runtimeHandlerOf } from './runtime-class.ts';

test('runtimeHandlerOf gives the handler that the class names', async () => {
  const api = new FakeApi();
  api.put(RUNTIME_CLASSES, { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'safe' }, handler: 'runsc' });
  const of = (runtimeClassName?: string) => runtimeHandlerOf(new Client(api), makePod().spec(runtimeClassName ? { runtimeClassName } : {}).build(), new AbortController().signal);
  assert.equal(await of(), '');
  assert.equal(await of('safe'), 'runsc');
  await assert.rejects(of('no'), { message: 'runtimeclasses.node.k8s.io "no" not found' });
});
test('refuseUserNamespace refuses what the node cannot give', () => {
  const wants = makePod().spec({ hostUsers: false }).build();
  const able = [{ name: '', features: { userNamespaces: false } }, { name: 'new', features: { userNamespaces: true } }];
  assert.throws(() => refuseUserNamespace(wants, '', able), { message: 'RuntimeClass handler "" does not support user namespaces' });
  assert.throws(() => refuseUserNamespace(wants, 'other', able), { message: 'RuntimeClass handler "other" does not support user namespaces' });
  refuseUserNamespace(wants, 'new', able);
  refuseUserNamespace(makePod().spec({ hostUsers: true }).build(), '', able);
  refuseUserNamespace(makePod().build(), '', able);
});
for (const [version, images, cdi] of [['containerd://1.6.20', false, false], ['containerd://1.7.24', false, true], ['containerd://2.0.5', false, true], ['containerd://2.1.0', true, true], ['cri-o://1.33.0', true, true]] as const) {
  test(`mountsImages and injectsCdi: ${version}`, () => assert.deepEqual([mountsImages(version), injectsCdi(version)], [images, cdi]));
}
