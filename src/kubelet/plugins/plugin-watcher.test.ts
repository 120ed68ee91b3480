import assert from 'node:assert/strict';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '#base/clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { serveRegistration } from '../testing/plugin-registration.ts';
import { PluginWatcher, type PluginHandler } from './plugin-watcher.ts';
import type { PluginInfo, RegistrationStatus } from './types.ts';

const never = new AbortController().signal;
let dir = '';
let watcher: PluginWatcher;
let registered: PluginInfo[] = [];
let deregistered: string[] = [];
let replaced: string[] = [];
let refusal: string | undefined;
let changed: (() => void)[] = [];

const note = (): void => { for (const tell of changed.splice(0)) tell(); };
const handler: PluginHandler = {
  register(plugin, _signal, previous) {
    if (previous) replaced.push(previous.name);
    if (refusal !== undefined) return Promise.reject(new Error(refusal));
    registered.push(plugin);
    note();
    return Promise.resolve();
  },
  deregister(plugin) {
    deregistered.push(plugin.name);
    note();
    return Promise.resolve();
  },
};
/** Resolves when the condition holds; looked at whenever something happens. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(10_000);
  const hold = setInterval(() => {}, 1 << 30);
  try {
    while (!holds()) {
      if (limit.aborted) throw new Error(`waiting for ${what}: it did not come`);
      await new Promise<void>((resolve) => {
        changed.push(resolve);
        limit.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  } finally {
    clearInterval(hold);
  }
}
async function plugin(name: string, info: Partial<PluginInfo> = {}) {
  const statuses: RegistrationStatus[] = [];
  const socket = join(dir, `${name}.sock`);
  const served = await serveRegistration(socket, { type: 'CSIPlugin', name, endpoint: `/run/${name}.sock`, supportedVersions: ['1.0.0'], ...info }, (status) => {
    statuses.push(status);
    note();
  });
  return { statuses, socket, [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() };
}
const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'plugins', () => watcher.stop());
  [registered, deregistered, replaced, refusal, changed] = [[], [], [], undefined, []];
  watcher = new PluginWatcher({ dir, clock: systemClock, handlers: { CSIPlugin: handler } });
});

test('PluginWatcher registers plugins that are there when it starts, before it has started', async () => {
  await using p = await plugin('old');
  await watcher.start(never);
  assert.deepEqual(registered, [{ type: 'CSIPlugin', name: 'old', endpoint: '/run/old.sock', supportedVersions: ['1.0.0'] }]);
  assert.deepEqual(p.statuses, [{ pluginRegistered: true, error: '' }]);
});
test('PluginWatcher registers plugins that come, and lets go of those that leave', async () => {
  await watcher.start(never);
  {
    await using p = await plugin('late');
    await until('the registration', () => p.statuses.length === 1);
  }
  await until('the end', () => deregistered.length === 1);
  assert.deepEqual([registered.map((r) => r.name), deregistered], [['late'], ['late']]);
});
test('PluginWatcher takes up a plugin whose socket was made anew', async () => {
  await watcher.start(never);
  const first = await plugin('again');
  await until('the first registration', () => first.statuses.length === 1);
  await first[Symbol.asyncDispose]();
  await using second = await plugin('again');
  await until('the second registration', () => second.statuses.length === 1);
  assert.equal(registered.length, 2);
});
test('PluginWatcher tells the handler whose place a plugin takes', async () => {
  await using _first = await plugin('again');
  await watcher.start(never);
  assert.deepEqual([registered.length, replaced], [1, []]);
  await using second = await plugin('.hidden', { name: 'again', endpoint: '/run/second.sock' });
  await rename(second.socket, join(dir, 'again.sock'));
  await until('the second registration', () => second.statuses.length === 1);
  assert.deepEqual([registered.map((r) => r.endpoint), replaced], [['/run/again.sock', '/run/second.sock'], ['again']]);
});
test('PluginWatcher tells a plugin why it was refused, and tries again', async () => {
  await watcher.start(never);
  refusal = 'not today';
  await using p = await plugin('moody');
  await until('the refusal', () => p.statuses.length === 1);
  assert.deepEqual(p.statuses[0], { pluginRegistered: false, error: 'not today' });
  refusal = undefined;
  await until('the registration', () => p.statuses.length === 2);
  assert.equal(registered.length, 1);
});
test('PluginWatcher: a plugin of an unknown type is refused; one without an endpoint serves where it registers', async () => {
  await using odd = await plugin('odd', { type: 'Toaster' });
  await using old = await plugin('plain', { endpoint: '' });
  await watcher.start(never);
  assert.deepEqual(odd.statuses[0], { pluginRegistered: false, error: `no handler registered for plugin type: Toaster at socket ${odd.socket}` });
  assert.equal(registered[0]?.endpoint, old.socket);
});
test('PluginWatcher leaves alone what is no socket, and does not wait for a socket that nobody serves', async () => {
  await writeFile(join(dir, 'file'), '');
  await mkdir(join(dir, 'folder'));
  await using dead = await plugin('.hidden');
  await watcher.start(never);
  assert.deepEqual([registered, dead.statuses], [[], []]);
});
test('plugins in folders below register too: in those that are there, and in those that come; with a folder its plugins go', async () => {
  await mkdir(join(dir, 'early', 'deep'), { recursive: true });
  await using first = await plugin('early/deep/a');
  await watcher.start(never);
  await until('the first plugin', () => registered.length === 1);
  assert.equal(registered[0]!.name, 'early/deep/a');
  await mkdir(join(dir, 'late', '.hidden'), { recursive: true });
  await using second = await plugin('late/b');
  await until('the second plugin', () => registered.length === 2);
  await mkdir(join(dir, 'late', 'deeper'));
  await using third = await plugin('late/deeper/c');
  await until('the third plugin', () => registered.length === 3);
  await rm(join(dir, 'late'), { recursive: true });
  await until('those of the folder to go', () => deregistered.length === 2);
  assert.deepEqual(deregistered.toSorted(), ['late/b', 'late/deeper/c']);
  assert.deepEqual([first, second, third].map((p) => p.statuses.map((x) => x.pluginRegistered)), [[true], [true], [true]]);
});
