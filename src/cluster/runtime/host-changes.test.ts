import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { HostChangeJournal } from './host-changes.ts';

async function journalPath(t: TestContext): Promise<string> {
  const dir = await mkdtemp(`${tmpdir()}/host-changes-`);
  t.after(() => rm(dir, { recursive: true, force: true }));
  return `${dir}/state/journal`;
}

test('HostChangeJournal has recorded changes on disk, for root only, and lists them latest first', async (t) => {
  const path = await journalPath(t);
  const journal = await HostChangeJournal.open(path, new FakeClock());
  await journal.record('link', 'cni0');
  await journal.record('mount', '/a b');
  await journal.record('link', 'cni0');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await readFile(path, 'utf8')).trimEnd().split('\n').length, 2);
  await journal.close();
  const again = await HostChangeJournal.open(path, new FakeClock());
  assert.deepEqual(again.list(), [{ kind: 'mount', id: '/a b' }, { kind: 'link', id: 'cni0' }]);
  await again.close();
});

test('HostChangeJournal forgets what was undone, and does not grow by it', async (t) => {
  const path = await journalPath(t);
  const journal = await HostChangeJournal.open(path, new FakeClock());
  await journal.record('file', '/x');
  await journal.record('file', '/y');
  await journal.forget('file', '/x');
  await journal.forget('file', '/never');
  assert.deepEqual(journal.list(), [{ kind: 'file', id: '/y' }]);
  await journal.close();
  const again = await HostChangeJournal.open(path, new FakeClock());
  assert.deepEqual(again.list(), [{ kind: 'file', id: '/y' }]);
  assert.equal((await readFile(path, 'utf8')).trimEnd().split('\n').length, 1);
  await again.close();
});

test('HostChangeJournal reads a file whose last line a crash cut short, and goes on writing behind it', async (t) => {
  const path = await journalPath(t);
  const journal = await HostChangeJournal.open(path, new FakeClock());
  await journal.record('netns', 'n1');
  await journal.close();
  await appendFile(path, '{"kind":"netns","i');
  const again = await HostChangeJournal.open(path, new FakeClock());
  await again.record('netns', 'n2');
  await again.close();
  const third = await HostChangeJournal.open(path, new FakeClock());
  assert.deepEqual(third.list().map((c) => c.id), ['n2', 'n1']);
  await third.close();
});

test('HostChangeJournal writes changes that come at once one after the other', async (t) => {
  const path = await journalPath(t);
  const journal = await HostChangeJournal.open(path, new FakeClock());
  await Promise.all(Array.from({ length: 50 }, (_, i) => journal.record('route', `10.0.${i}.0/24`)));
  await journal.close();
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n').map((line) => (JSON.parse(line) as { id: string }).id);
  assert.deepEqual(lines, Array.from({ length: 50 }, (_, i) => `10.0.${i}.0/24`));
});
