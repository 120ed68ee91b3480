import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { descendantsOf, endProcess, isBack, isRunning, listProcesses, processInfo, signalProcess, waitForEnd } from './processes.ts';

test('processInfo tells parent, start time and arguments, and nothing of what is not there', async () => {
  const info = await processInfo(process.pid);
  assert.equal(info?.parent, process.ppid);
  assert.ok(info.startTime > 0);
  assert.equal(info.args[0], process.argv0);
  assert.equal(await processInfo(2 ** 22 + 1), undefined);
});

test('isRunning and signalProcess take a process with another start time for another process', async () => {
  const other = { pid: process.pid, startTime: 1 };
  assert.equal(await isRunning(other), false);
  await signalProcess(other, 'SIGKILL');
  assert.equal(await waitForEnd(other, systemClock, 0), true);
});

test('endProcess ends one that ignores SIGTERM, too', async () => {
  const child = spawn('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 1 & wait $!; done'], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  const info = (await processInfo(child.pid!))!;
  assert.ok(descendantsOf(await listProcesses(), process.pid).some((p) => p.pid === child.pid));
  const exited = once(child, 'exit');
  await endProcess(info, systemClock, 100);
  assert.deepEqual(await exited, [null, 'SIGKILL']);
  assert.equal(await isRunning(info), false);
});

test('isBack sees that the process ends after its connection was lost, and that the connection is made again', { timeout: 10_000 }, async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  const info = (await processInfo(child.pid!))!;
  const { signal } = new AbortController();
  assert.equal(await isBack(info, async () => {}, systemClock, 5_000, signal), true);
  await assert.rejects(isBack(info, async () => Promise.reject(new Error('refused')), systemClock, 5_000, signal), /refused/);
  const never = (until: AbortSignal): Promise<void> => once(until, 'abort').then(() => until.throwIfAborted());
  const back = isBack(info, never, systemClock, 5_000, signal);
  child.kill('SIGKILL');
  assert.equal(await back, false);
});
