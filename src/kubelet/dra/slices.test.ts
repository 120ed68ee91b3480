import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceSlice } from '#api/gen/resource-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { RESOURCE_SLICES } from '#client/kinds.ts';
import { serviceUnavailable } from '#machinery/status-error.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { SliceRemover } from './slices.ts';

const signal = new AbortController().signal;
function setUp(usable: ReadonlySet<string> = new Set()) {
  const [api, clock] = [new FakeApi(), new FakeClock()];
  const put = (driver: string, nodeName: string) => api.put<ResourceSlice>(RESOURCE_SLICES, { kind: 'ResourceSlice', metadata: { name: `${driver}-${nodeName}` }, spec: { driver, nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 } } });
  const remover = new SliceRemover({ nodeName: 'n1', client: new Client(api), clock, isUsable: (driver) => usable.has(driver) });
  return { api, clock, put, remover, left: () => api.list(RESOURCE_SLICES).map((s) => s.metadata.name).toSorted() };
}

test('SliceRemover takes away everything of its own node at the start, then what drivers leave that are not there', async () => {
  const { clock, put, remover, left } = setUp(new Set(['here']));
  for (const driver of ['a', 'b']) for (const node of ['n1', 'n2']) put(driver, node);
  await remover.start(signal);
  assert.deepEqual(left(), ['a-n2', 'b-n2']);
  for (const driver of ['a', 'b', 'here']) put(driver, 'n1');
  for (const driver of ['a', 'here']) remover.remove(driver);
  await clock.advance(0);
  assert.deepEqual(left(), ['a-n2', 'b-n1', 'b-n2', 'here-n1']);
  await remover.stop();
});
test('SliceRemover tries again what the API server refuses', async () => {
  const { api, clock, put, remover, left } = setUp();
  put('a', 'n1');
  api.intercept = () => { throw serviceUnavailable('not now'); };
  await remover.start(signal);
  assert.deepEqual(left(), ['a-n1']);
  api.intercept = () => {};
  await clock.advance(1000);
  assert.deepEqual(left(), []);
  await remover.stop();
});
