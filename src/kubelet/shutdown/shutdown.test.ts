import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { LogindWatch } from './logind.ts';
import { groupPods, shutdownGroups, type ShutdownGroup } from './node-shutdown.ts';

const CRITICAL = 2_000_000_000;
test('shutdownGroups: critical Pods last, in the time kept for them; priorities of one\'s own; off by default', () => {
  assert.deepEqual(shutdownGroups(kubeletConfig('/x')), []);
  assert.deepEqual(shutdownGroups(kubeletConfig('/x', { shutdownGraceMs: 30_000, shutdownGraceCriticalMs: 10_000 })), [{ priority: 0, seconds: 20 }, { priority: CRITICAL, seconds: 10 }]);
  assert.deepEqual(shutdownGroups(kubeletConfig('/x', { shutdownGraceByPriority: [{ priority: 1000, seconds: 5 }, { priority: 0, seconds: 60 }] })), [{ priority: 0, seconds: 60 }, { priority: 1000, seconds: 5 }]);
});
const groups: readonly ShutdownGroup[] = [{ priority: 0, seconds: 1 }, { priority: 1000, seconds: 1 }, { priority: CRITICAL, seconds: 1 }];
for (const [priority, group] of [[undefined, 0], [-5, 0], [0, 0], [999, 0], [1000, 1], [CRITICAL, 2], [CRITICAL + 1000, 2]] as const) {
  test(`groupPods: priority ${priority} is in group ${group}`, () => assert.equal(groupPods([makePod().spec(priority === undefined ? {} : { priority }).build()], groups)[group]!.length, 1));
}

test('LogindWatch stops Pods before it lets go of the lock, and takes it again when the machine stays up', async () => {
  const told: string[] = [];
  const cancelled = Promise.withResolvers<void>();
  const signal = (on: boolean) => JSON.stringify({ type: 'signal', sender: ':1.2', interface: 'org.freedesktop.login1.Manager', member: 'PrepareForShutdown', payload: { type: 'b', data: [on] } });
  const watch = new LogindWatch({
    clock: systemClock,
    // As the programs behave: one holds on until its input ends, one prints what it hears.
    inhibit: ['cat'],
    monitor: ['sh', '-c', 'echo "$0"; echo "{\\"member\\":\\"Other\\"}"; echo "$1"; exec sleep 60', signal(true), signal(false)],
    onShutdown: async () => void told.push('down'),
    onCancelled: async () => {
      told.push('up');
      cancelled.resolve();
    },
  });
  // Neither the programs nor the clock keep a process alive.
  const hold = setInterval(() => {}, 1000);
  watch.start();
  await cancelled.promise;
  assert.deepEqual(told, ['down', 'up']);
  await watch.stop();
  clearInterval(hold);
});
