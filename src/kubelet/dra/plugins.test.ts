import assert from 'node:assert/strict';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { PluginInfo } from '../plugins/types.ts';
import { startDraDriver, type TestDraDriverOptions } from '../testing/dra-driver.ts';
import { DraPlugins } from './plugins.ts';

const signal = new AbortController().signal;
const claim = { namespace: 'default', name: 'c', uid: 'u' };
let dir = '';
let clock: FakeClock;
let plugins: DraPlugins;
let told: string[];
let changed: (() => void)[];

const tell = (what: string): void => {
  told.push(what);
  for (const wake of changed.splice(0)) wake();
};
/** Resolves when it has been told of that often. */
async function until(what: string, times = 1): Promise<void> {
  const hold = setInterval(() => {}, 1 << 30);
  const limit = AbortSignal.timeout(10_000);
  try {
    while (told.filter((t) => t === what).length < times) {
      if (limit.aborted) throw new Error(`waiting for ${what}: told was ${told.join(', ')}`);
      await new Promise<void>((resolve) => {
        changed.push(resolve);
        limit.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  } finally {
    clearInterval(hold);
  }
}
const driver = (more: Partial<TestDraDriverOptions> = {}) => startDraDriver({ name: 'd.example', kubeletDir: dir, ...more });
const info = (endpoint: string, supportedVersions: readonly string[] = ['v1.DRAPlugin']): PluginInfo => ({ type: 'DRAPlugin', name: 'd.example', endpoint, supportedVersions });
const endpointAsked = async (): Promise<string> => {
  const plugin = plugins.get('d.example');
  await plugin.prepare([claim], signal);
  return plugin.endpoint;
};

const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'dra', () => plugins.stop());
  clock = new FakeClock();
  [told, changed] = [[], []];
  plugins = new DraPlugins({
    clock, onUsable: (d) => tell(`usable ${d}`), onLost: (d) => tell(`lost ${d}`), onCall: (d, method, code) => tell(`${d} ${method} ${code}`),
    onHealth: (d, devices) => tell(`health ${d} ${devices.map((x) => x.health).join(' ')}`), onHealthEnd: (d) => tell(`no health ${d}`),
  });
});

for (const [version, services] of [['v1', ['v1alpha1.DRAResourceHealth', 'v1.DRAPlugin', 'v1beta1.DRAPlugin']], ['v1beta1', ['v1beta1.DRAPlugin', 'v1.DRAPlugin']]] as const) {
  test(`DraPlugins speak ${version} with a plugin that announces ${services.join(', ')}`, async () => {
    await using d = await driver({ version, prepare: () => [{ poolName: 'p', deviceName: 'x', requestNames: ['r'], cdiDeviceIds: ['v/c=x'] }], unprepare: () => { throw new Error('no'); } });
    await plugins.register(info(d.endpoint, services), signal);
    await until('usable d.example');
    const plugin = plugins.get('d.example');
    assert.deepEqual(await plugin.prepare([claim], signal), new Map([['u', { error: '', devices: [{ poolName: 'p', deviceName: 'x', requestNames: ['r'], cdiDeviceIds: ['v/c=x'], shareId: '' }] }]]));
    assert.deepEqual(await plugin.unprepare([claim], signal), new Map([['u', { error: 'no' }]]));
    assert.deepEqual(told.slice(1), ['NodePrepareResources', 'NodeUnprepareResources'].map((m) => `d.example /k8s.io.kubelet.pkg.apis.dra.${version}.DRAPlugin/${m} OK`));
    assert.deepEqual([d.prepared, d.unprepared], [[['c']], [['c']]]);
  });
}
test('DraPlugins refuse a plugin that nobody can talk to, and a second one at the same place', async () => {
  assert.throws(() => plugins.get('d.example'), { message: 'DRA driver d.example is not registered' });
  const refused = 'invalid supported gRPC versions of DRA driver plugin d.example at endpoint /dra.sock: ';
  await assert.rejects(plugins.register(info('/dra.sock', []), signal), { message: `${refused}empty list of supported gRPC services (aka supported versions)` });
  await assert.rejects(plugins.register(info('/dra.sock', ['v1alpha4.Node', 'x']), signal), { message: `${refused}none of services supported by the plugin (["v1alpha4.Node" "x"]) are supported by the kubelet (["v1.DRAPlugin" "v1beta1.DRAPlugin"])` });
  await plugins.register(info('/dra.sock'), signal);
  await assert.rejects(plugins.register(info('/dra.sock'), signal), { message: 'endpoint /dra.sock already registered for DRA driver plugin d.example' });
  // The registration itself was made anew.
  await plugins.register(info('/dra.sock'), signal, info('/dra.sock'));
});
test('DraPlugins: while a driver is being replaced the newest that is connected is asked, and nothing is lost', async () => {
  const old = await driver({ instance: 'old' });
  await plugins.register(info(old.endpoint), signal);
  await until('usable d.example');
  await using young = await driver({ instance: 'young' });
  await plugins.register(info(young.endpoint), signal);
  await until('usable d.example', 3);
  assert.equal(await endpointAsked(), young.endpoint);
  await young.disconnect();
  await until('usable d.example', 4);
  assert.equal(await endpointAsked(), old.endpoint);
  await young.connect();
  await until('usable d.example', 5);
  await old[Symbol.asyncDispose]();
  await plugins.deregister(info(old.endpoint));
  assert.equal(await endpointAsked(), young.endpoint);
  await clock.advance(60_000);
  assert.equal(told.includes('lost d.example'), false);
});
test('DraPlugins: a driver is lost when it has been away for 30 s, by its registration or by its connection, and comes back', async () => {
  const d = await driver();
  await plugins.register(info(d.endpoint), signal);
  await until('usable d.example');
  await d.disconnect();
  while (plugins.isUsable('d.example')) await new Promise(setImmediate);
  await clock.advance(29_000);
  await d.connect();
  await until('usable d.example', 2);
  await clock.advance(29_000);
  assert.equal(told.includes('lost d.example'), false);
  await d[Symbol.asyncDispose]();
  await plugins.deregister(info(d.endpoint));
  await clock.advance(29_000);
  assert.equal(told.includes('lost d.example'), false);
  await clock.advance(1000);
  assert.deepEqual(told.at(-1), 'lost d.example');
  // Nobody ever answered at this one.
  await plugins.register(info('/nobody.sock'), signal);
  await clock.advance(30_000);
  assert.equal(told.filter((t) => t === 'lost d.example').length, 2);
});
test('DraPlugins hand on how devices are while anybody tells, by a new connection again', async () => {
  await using d = await driver({ health: true });
  d.tellHealth([{ device: { poolName: 'p', deviceName: 'x' }, health: 'HEALTHY' }]);
  await plugins.register(info(d.endpoint), signal);
  await until('health d.example HEALTHY');
  d.tellHealth([{ device: { poolName: 'p', deviceName: 'x' }, health: 'UNHEALTHY' }]);
  await until('health d.example UNHEALTHY');
  await d.disconnect();
  await until('no health d.example');
  await d.connect();
  await until('usable d.example', 2);
  await clock.advance(5000);
  await until('health d.example UNHEALTHY', 2);
  await plugins.deregister(info(d.endpoint));
  await until('no health d.example', 2);
});
