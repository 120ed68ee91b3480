import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CheckpointContainerRequest } from '#cri/types.ts';
import { makePod } from './testing/make-pod.ts';
import { runKubelet } from './testing/running-kubelet.ts';

const signal = new AbortController().signal;

test('a checkpoint is asked of the runtime, for the container that runs, below the kubelet\'s own directory', async () => {
  await using k = await runKubelet();
  const pod = k.create(makePod().container('c').build());
  await k.until('the Pod to run', () => k.pod('web')?.status?.phase === 'Running');
  const host = k.kubelet.host();
  await assert.rejects(host.checkpoint(pod, 'c', 0, signal), /code = Unimplemented/, 'a runtime that has none says so');
  await assert.rejects(host.checkpoint(pod, 'other', 0, signal), { message: 'container other not found' });
  const asked: Partial<CheckpointContainerRequest>[] = [];
  Object.assign(k.runtime, { checkpointContainer: (request: Partial<CheckpointContainerRequest>) => Promise.resolve(void asked.push(request)) });
  const location = await host.checkpoint(pod, 'c', 30, signal);
  const id = (await k.runtime.listContainers({})).containers[0]!.id;
  assert.deepEqual(asked, [{ containerId: id, location, timeout: 30 }]);
  assert.match(location, /\/checkpoints\/checkpoint-web_default-c-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.tar$/);
  assert.equal((await stat(join(k.dir, 'kubelet', 'checkpoints'))).mode & 0o777, 0o700);
});
