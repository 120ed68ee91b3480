import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { CriError } from '#cri/error.ts';
import type { Channel } from '#cri/channel.ts';
import { isStuckTask, removeTasks } from './stuck-tasks.ts';

test('isStuckTask knows containerd\'s refusal', () => {
  assert.equal(isStuckTask(new CriError('FailedPrecondition', 'failed to remove container "x": cannot delete running task x: failed precondition')), true);
  assert.equal(isStuckTask(new CriError('FailedPrecondition', 'other')), false);
  assert.equal(isStuckTask(new CriError('NotFound', 'cannot delete running task')), false);
});
test('removeTasks kills, then removes when the end has come', async () => {
  const clock = new FakeClock();
  const calls: string[] = [];
  let ends = 3;
  const channel = { unary: (m: { path: string; request: { encode(v: object): Uint8Array } }, request: object, _o: object, headers: Record<string, string>) => {
    calls.push(`${m.path.split('/').at(-1)} ${Buffer.from(m.request.encode(request)).toString('hex')} ${headers['containerd-namespace']}`);
    return m.path.endsWith('Delete') && ends-- > 0 ? Promise.reject(new CriError('FailedPrecondition', 'task must be stopped')) : Promise.resolve({});
  } } as unknown as Channel;
  const work = removeTasks(channel, clock, ['ab'], new AbortController().signal);
  await clock.advance(1000);
  await work;
  assert.deepEqual(calls, ['Kill 0a0261621809 k8s.io', ...Array.from({ length: 4 }, () => 'Delete 0a026162 k8s.io')]);
});
