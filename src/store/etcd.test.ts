import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { storeContractSuite } from './contract-suite.ts';
import { openEtcdStore, reportsProgressTruly } from './etcd.ts';
import { WatchCache } from './watch-cache.ts';

const binary = (process.env['PATH'] ?? '').split(delimiter).map((dir) => join(dir, 'etcd')).find(isExecutable);
/** Why the suite cannot run; older releases lose or delay progress notes (etcd issues 15220, 17507), and Debian 12 has one. */
const unusable = binary === undefined ? 'etcd is not in PATH: see test/vectors/fetch-etcd.ts' : reportsProgressTruly(versionOf(binary)) ? false : `${binary} is too old: see test/vectors/fetch-etcd.ts`;
function versionOf(path: string): string {
  return /etcd Version: (\S+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[1] ?? '';
}
function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

let directory: string;
let server: ChildProcess;

/** Sockets of etcd are files in its working directory, named like a host and port. */
function startServer(): ChildProcess {
  const args = ['--data-dir', 'data', '--listen-client-urls', 'unix://client:1', '--advertise-client-urls', 'unix://client:1'];
  const peers = ['--listen-peer-urls', 'unix://peer:1', '--initial-advertise-peer-urls', 'unix://peer:1', '--initial-cluster', 'default=unix://peer:1'];
  return spawn(binary!, [...args, ...peers], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
}
async function serving(child: ChildProcess): Promise<void> {
  let said = '';
  for await (const chunk of child.stderr!.iterator({ destroyOnReturn: false })) {
    said += String(chunk);
    if (said.includes('ready to serve client requests')) break;
    assert.ok(said.length < 1_000_000);
  }
  child.stderr!.resume();
}
async function stopServer(): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exit = once(server, 'exit');
  server.kill('SIGKILL');
  await exit;
}
const open = () => openEtcdStore({ endpoints: [`unix:${join(directory, 'client:1')}`] });

test('reportsProgressTruly knows the releases with the fix', () => {
  for (const version of ['3.4.31', '3.4.40', '3.5.13', '3.5.30', '3.6.0', '3.7.0-alpha.0', '4.0.0']) assert.ok(reportsProgressTruly(version), version);
  for (const version of ['3.3.40', '3.4.23', '3.4.30', '3.5.0', '3.5.12', '2.3.8', '']) assert.ok(!reportsProgressTruly(version), version);
});

describe('the etcd backend', { skip: unusable }, () => {
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'podyard-etcd-'));
    server = startServer();
    await serving(server);
  });
  after(async () => {
    await stopServer();
    await rm(directory, { recursive: true });
  });

  storeContractSuite('etcd', async () => {
    const store = await open();
    const { entries } = await store.list('/');
    await Promise.all(entries.map((e) => store.delete(e.key, e.modRevision)));
    return { store, cleanup: () => store.close() };
  });

  test('sizeBytes tells what the file of etcd takes', async () => {
    const store = await open();
    assert.ok((await store.sizeBytes!())! > 4096);
    await store.close();
  });

  test('a watch cache is consistent though others write, and goes on after etcd was away', async () => {
    const [mine, others] = [await open(), await open()];
    const { signal } = new AbortController();
    const cache = new WatchCache<KubeObject>({ store: mine, prefix: '/registry/shared/' });
    await cache.start(signal);
    const value = (name: string): Buffer => Buffer.from(JSON.stringify({ metadata: { name } }));
    for (let i = 0; i < 10; i++) {
      await others.create(`/registry/shared/o${i}`, value(`o${i}`));
      await cache.freshen();
      assert.equal(cache.get(`/registry/shared/o${i}`)?.object.metadata.name, `o${i}`);
    }
    const made = await cache.create('/registry/shared/mine', { metadata: { name: 'mine' } });
    assert.equal(cache.get('/registry/shared/mine')?.revision, made.revision);
    const theirs = await others.update('/registry/shared/mine', value('mine'), made.revision);
    await assert.rejects(cache.update('/registry/shared/mine', { metadata: { name: 'mine', labels: { a: 'b' } } }, made.revision), { name: 'RevisionConflictError' });
    assert.equal(cache.get('/registry/shared/mine')?.revision, theirs.modRevision, 'the cache holds what was in the way');
    const watcher = cache.watch({ after: theirs.modRevision, signal });
    const next = watcher.next();
    await stopServer();
    await assert.rejects(others.get('/registry/shared/mine'), { name: 'EtcdError' });
    server = startServer();
    await serving(server);
    const again = await open();
    const late = await again.create('/registry/shared/late', value('late'));
    const { value: events } = await next;
    assert.deepEqual((events as readonly { entry: { revision: number } }[]).map((e) => e.entry.revision), [late.modRevision]);
    await watcher.return();
    await cache.stop();
    await Promise.all([mine, others, again].map((s) => s.close()));
  });
});
