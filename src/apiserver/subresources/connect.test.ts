import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { containerOf } from './connect.ts';
import { parseProxyName } from './proxy.ts';

const pod = (containers: string[], init: string[] = [], ephemeral: string[] = []) =>
  ({ metadata: { name: 'p' }, spec: { containers: containers.map((name) => ({ name })), initContainers: init.map((name) => ({ name })), ephemeralContainers: ephemeral.map((name) => ({ name })) } }) as unknown as Pod;

test('containerOf takes the only container, or asks in upstream\'s words', () => {
  assert.equal(containerOf(pod(['a']), ''), 'a');
  assert.equal(containerOf(pod(['a'], ['i'], ['e']), 'e'), 'e');
  assert.throws(() => containerOf(pod(['a', 'b']), ''), { message: 'a container name must be specified for pod p, choose one of: [a b]' });
  assert.throws(() => containerOf(pod(['a', 'b'], ['i', 'j']), ''), { message: 'a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i j]' });
  assert.throws(() => containerOf(pod(['a']), 'z'), { message: 'container z is not valid for pod p' });
});
test('parseProxyName splits scheme, name and port', () => {
  assert.deepEqual(parseProxyName('web'), { scheme: '', name: 'web', port: '' });
  assert.deepEqual(parseProxyName('web:http'), { scheme: '', name: 'web', port: 'http' });
  assert.deepEqual(parseProxyName('https:web:443'), { scheme: 'https', name: 'web', port: '443' });
  for (const bad of ['', ':80', 'ftp:web:1', 'a:b:c:d']) assert.equal(parseProxyName(bad), undefined);
});
