import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { RuntimeContainer } from './runtime-cache.ts';
import { rotateLogs } from './log-rotation.ts';
import { terminationMessage } from './termination-message.ts';
import { ANNOTATIONS } from '../interfaces.ts';
import { criMessage } from '#cri/schema.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'logs'); });
const never = new AbortController().signal;

test('rotateLogs: large logs are moved away, all but the newest compressed, the oldest removed', async () => {
  const clock = new FakeClock();
  const path = join(dir, '0.log');
  const reopened: string[] = [];
  const runtime = { reopenContainerLog: async ({ containerId }: { containerId?: string }) => {
    reopened.push(containerId!);
    await writeFile(path, '');
    return {};
  } };
  const rotate = () => rotateLogs({ runtime, clock, maxBytes: 5, maxFiles: 3 }, [{ id: 'c', logPath: path } as RuntimeContainer], never);
  for (const text of ['tiny', 'first-', 'second-', 'third-']) {
    await writeFile(path, text);
    await rotate();
    await clock.advance(1000);
  }
  assert.deepEqual(reopened, ['c', 'c', 'c']);
  const names = (await readdir(dir)).toSorted();
  assert.deepEqual(names, ['0.log', '0.log.20260102-030407.gz', '0.log.20260102-030408']);
  assert.equal(await readFile(join(dir, names[2]!), 'utf8'), 'third-');
  assert.equal(gunzipSync(await readFile(join(dir, names[1]!))).toString(), 'second-');
});
test('rotateLogs gives a log its name back when the runtime does not open a new one', async () => {
  const path = join(dir, '0.log');
  await writeFile(path, 'too large');
  await rotateLogs({ runtime: { reopenContainerLog: () => Promise.reject(new Error('gone')) }, clock: new FakeClock(), maxBytes: 5, maxFiles: 3 }, [{ id: 'c', logPath: path } as RuntimeContainer], never);
  assert.deepEqual(await readdir(dir), ['0.log']);
});

const line = (text: string, tag = 'F', stream = 'stdout') => `2026-01-02T03:04:05.000000000Z ${stream} ${tag} ${text}\n`;
const MESSAGES: readonly { name: string; file?: string; log?: string; policy?: string; exitCode?: number; runtime?: string; want: string }[] = [
  { name: 'what the program wrote', file: 'bye\n', exitCode: 1, want: 'bye\n' },
  { name: 'no more than 4096 bytes of it', file: 'x'.repeat(5000), want: 'x'.repeat(4096) },
  { name: 'nothing written', want: '' },
  { name: 'the runtime\'s own text', runtime: 'exec: no such file', exitCode: 128, want: 'exec: no such file' },
  { name: 'the log, when the policy says so and it failed', log: line('one') + line('two', 'P', 'stderr') + line(' more'), policy: 'FallbackToLogsOnError', exitCode: 1, want: 'one\ntwo more\n' },
  { name: 'not the log of a success', log: line('one'), policy: 'FallbackToLogsOnError', want: '' },
  { name: 'not the log without the policy', log: line('one'), exitCode: 1, want: '' },
  { name: 'the file before the log', file: 'f', log: line('one'), policy: 'FallbackToLogsOnError', exitCode: 1, want: 'f' },
  { name: 'the last 80 lines of the log', log: Array.from({ length: 100 }, (_, i) => line(String(i))).join(''), policy: 'FallbackToLogsOnError', exitCode: 1, want: Array.from({ length: 80 }, (_, i) => `${i + 20}\n`).join('') },
];
for (const { name, file, log, policy = 'File', exitCode = 0, runtime = '', want } of MESSAGES) {
  test(`terminationMessage: ${name}`, async () => {
    if (file !== undefined) await writeFile(join(dir, 'message'), file);
    if (log !== undefined) await writeFile(join(dir, '0.log'), log);
    const status = criMessage('ContainerStatus', {
      exitCode, message: runtime, logPath: join(dir, '0.log'), mounts: [{ containerPath: '/dev/termination-log', hostPath: join(dir, 'message') }],
      annotations: { [ANNOTATIONS.terminationMessagePath]: '/dev/termination-log', [ANNOTATIONS.terminationMessagePolicy]: policy },
    });
    assert.equal(await terminationMessage(status), want);
  });
}
