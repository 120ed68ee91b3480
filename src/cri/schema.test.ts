import assert from 'node:assert/strict';
import { test } from 'node:test';
import { criCodec, criFacts, criMessage, jsonName } from './schema.ts';
import type { Messages } from './types.ts';

test('criCodec writes the field numbers of the protocol', () => {
  // field 1 (config): field 1 (metadata): field 1 (name) "p"; field 2 (runtime_handler) "runc"
  const bytes = criCodec('RunPodSandboxRequest').encode({ config: { metadata: { name: 'p' } }, runtimeHandler: 'runc' });
  assert.equal(bytes.toString('hex'), '0a050a030a0170120472756e63');
});

test('criCodec gives absent scalars, lists, maps and enums their zero value and leaves absent messages out', () => {
  const status = criCodec('ContainerStatus').decode(Buffer.alloc(0));
  assert.equal(status.state, 'CONTAINER_CREATED');
  assert.equal(status.exitCode, 0);
  assert.deepEqual(status.mounts, []);
  assert.deepEqual(status.labels, {});
  assert.equal('metadata' in status, false);
});

test('criCodec keeps a wrapper message that is present with its zero value', () => {
  const codec = criCodec('LinuxContainerSecurityContext');
  assert.deepEqual(codec.decode(codec.encode({ runAsUser: { value: 0 } })).runAsUser, { value: 0 });
  assert.equal(codec.decode(codec.encode({})).runAsUser, undefined);
});

test('criCodec reads 64-bit numbers as numbers, negative ones too', () => {
  const sent = { cpuQuota: -1, memoryLimitInBytes: 9_007_199_254_740_991, oomScoreAdj: -997 };
  const { cpuQuota, memoryLimitInBytes, oomScoreAdj } = criMessage('LinuxContainerResources', sent);
  assert.deepEqual({ cpuQuota, memoryLimitInBytes, oomScoreAdj }, sent);
});

test('criCodec reads bytes as bytes', () => {
  assert.equal(Buffer.from(criMessage('ExecSyncResponse', { stdout: Buffer.from('a\0b') }).stdout).toString(), 'a\0b');
});

test('every message of the table of facts can be written empty and read back', () => {
  for (const name of Object.keys(criFacts().messages) as (keyof Messages)[]) assert.equal(criCodec(name).encode({}).length, 0, name);
});

test('jsonName follows the JSON mapping of protobuf', () => {
  assert.equal(jsonName('pod_sandbox_id'), 'podSandboxId');
  assert.equal(jsonName('uidMappings'), 'uidMappings');
});
