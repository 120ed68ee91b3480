import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { DeviceHealths } from './device-healths.ts';
import { healthCodec } from './protocol.ts';
import type { DeviceHealth, HealthStatus } from './types.ts';

let dir = '';
let clock: FakeClock;
let changes: string[];
const healths = (): DeviceHealths => new DeviceHealths({ checkpoint: join(dir, 'dra_health_state'), clock, onChange: (driver, devices) => void changes.push(`${driver}: ${devices.map((d) => `${d.pool}/${d.device}`).join(' ')}`) });
const told = (deviceName: string, health: HealthStatus, message = '', healthCheckTimeoutSeconds = 0): DeviceHealth => healthCodec('DeviceHealth').decode(healthCodec('DeviceHealth').encode({ device: { poolName: 'p', deviceName }, health, message, healthCheckTimeoutSeconds }));
const of = (h: DeviceHealths, device: string) => h.of('a', { pool: 'p', device });

const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'health');
  clock = new FakeClock();
  changes = [];
});

test('DeviceHealths tells what a driver told, and of changes alone', async () => {
  const h = healths();
  assert.deepEqual(of(h, 'one'), { health: 'Unknown' });
  h.update('a', [told('one', 'HEALTHY'), told('two', 'UNHEALTHY', 'too hot')]);
  assert.deepEqual([of(h, 'one'), of(h, 'two'), h.of('b', { pool: 'p', device: 'one' })], [{ health: 'Healthy' }, { health: 'Unhealthy', message: 'too hot' }, { health: 'Unknown' }]);
  h.update('a', [told('one', 'HEALTHY'), told('two', 'UNHEALTHY', 'still too hot')]);
  h.update('a', [told('one', 'UNKNOWN', 'x'.repeat(2000))]);
  assert.deepEqual(changes, ['a: p/one p/two', 'a: p/two', 'a: p/one']);
  assert.deepEqual([of(h, 'one').health, of(h, 'one').message], ['Unknown', `${'x'.repeat(1021)}...`]);
  await h.stop();
});
test('DeviceHealths: what is not told again in time is not known', async () => {
  const h = healths();
  h.update('a', [told('slow', 'HEALTHY', '', 100), told('default', 'HEALTHY', 'well', -5)]);
  await clock.advance(29_000);
  h.update('a', [told('slow', 'HEALTHY', '', 100)]);
  assert.equal(of(h, 'default').health, 'Healthy');
  await clock.advance(1100);
  assert.deepEqual([of(h, 'default'), of(h, 'slow'), changes], [{ health: 'Unknown' }, { health: 'Healthy' }, ['a: p/slow p/default', 'a: p/default']]);
  h.update('a', [told('default', 'HEALTHY', 'well', -5)]);
  assert.deepEqual([of(h, 'default').health, changes.length], ['Healthy', 3]);
  h.clear('a');
  h.clear('a');
  assert.deepEqual([of(h, 'slow').health, changes.at(-1)], ['Unknown', 'a: p/slow p/default']);
  assert.equal(changes.length, 4);
  await h.stop();
  assert.equal(clock.timers, 0);
});
test('DeviceHealths takes up what an earlier process wrote, as long as it is fresh', async () => {
  const h = healths();
  h.update('a', [told('one', 'UNHEALTHY', 'worn', 60)]);
  await h.stop();
  const next = healths();
  await next.load();
  assert.deepEqual(of(next, 'one'), { health: 'Unhealthy', message: 'worn' });
  await next.stop();
  clock = new FakeClock(clock.now() + 61_000);
  const late = healths();
  await late.load();
  assert.deepEqual(of(late, 'one'), { health: 'Unknown' });
  await late.stop();
  await writeFile(join(dir, 'dra_health_state'), '{');
  const broken = healths();
  await broken.load();
  assert.deepEqual(of(broken, 'one'), { health: 'Unknown' });
});
