import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { LogFile } from './log-file.ts';

let dir: string;
before(async () => void (dir = await mkdtemp(join(tmpdir(), 'podyard-audit-'))));
after(() => rm(dir, { recursive: true, force: true }));

test('LogFile appends lines in order, for root alone', async () => {
  const path = join(dir, 'plain.log');
  for (const round of [0, 1]) {
    const file = new LogFile({ path, clock: new FakeClock() });
    await file.open();
    for (let i = 0; i < 100; i++) assert.equal(file.write(`${round}.${i}`), true);
    await file.close();
  }
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual((await readFile(path, 'utf8')).split('\n'), [...[0, 1].flatMap((r) => Array.from({ length: 100 }, (_, i) => `${r}.${i}`)), '']);
});

test('LogFile puts a full file aside and keeps the newest of the old ones', async () => {
  const clock = new FakeClock();
  const path = join(dir, 'rotated.log');
  const file = new LogFile({ path, clock, maxBytes: 20, maxBackups: 2 });
  await file.open();
  for (let i = 0; i < 8; i++) {
    file.write(`line ${i} `.padEnd(9, '.'));
    await file.flush();
    await clock.advance(1000);
  }
  await file.close();
  const files = (await readdir(dir)).filter((name) => name.startsWith('rotated')).toSorted();
  assert.deepEqual(files, ['rotated-2026-01-02T03-04-09.000.log', 'rotated-2026-01-02T03-04-11.000.log', 'rotated.log']);
  assert.equal(await readFile(path, 'utf8'), 'line 6 ..\nline 7 ..\n');
  assert.equal(await readFile(join(dir, files[0]!), 'utf8'), 'line 2 ..\nline 3 ..\n');
});

test('LogFile drops what does not fit into its buffer, and never waits', async () => {
  const file = new LogFile({ path: join(dir, 'full.log'), clock: new FakeClock(), maxBufferedBytes: 25 });
  await file.open();
  assert.deepEqual([file.write('0123456789'), file.write('0123456789'), file.write('0123456789')], [true, true, false]);
  await file.flush();
  assert.equal(file.lost, 1);
  assert.equal(file.write('0123456789'), true);
  await file.close();
});

test('LogFile goes on when its file was put aside by somebody else, and when it can be written again', async () => {
  const folder = join(dir, 'sub');
  await mkdir(folder);
  const path = join(folder, 'audit.log');
  const file = new LogFile({ path, clock: new FakeClock(), maxBytes: 10 });
  await file.open();
  file.write('first line');
  await file.flush();
  await rename(path, join(dir, 'elsewhere.log'));
  file.write('second line');
  await file.flush();
  assert.equal(await readFile(path, 'utf8'), 'second line\n');
  await rm(folder, { recursive: true });
  file.write('third line');
  await file.flush();
  assert.equal(file.lost, 1);
  await mkdir(folder);
  file.write('fourth line');
  await file.close();
  assert.equal(await readFile(path, 'utf8'), 'fourth line\n');
});
