import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { expired } from '#machinery/status-error.ts';
import { Client } from './client.ts';
import { Informer } from './informer.ts';
import { CONFIG_MAPS } from './kinds.ts';
import type { ApiCall, Transport, WatchEvent } from './transport.ts';

const cm = (name: string, rv: string): ConfigMap => ({ metadata: { name, namespace: 'default', resourceVersion: rv } });

/** A server whose lists and watches the test scripts. */
class ScriptedTransport implements Transport {
  lists: ConfigMap[][] = [];
  watches: (WatchEvent[] | Error)[][] = [];
  readonly watchedFrom: unknown[] = [];
  call(_call: ApiCall): Promise<unknown> {
    return Promise.resolve({ metadata: { resourceVersion: '10' }, items: this.lists.shift() ?? [] });
  }
  async *watch(call: ApiCall, signal: AbortSignal): AsyncIterable<readonly WatchEvent[]> {
    this.watchedFrom.push(call.query?.['resourceVersion']);
    const script = this.watches.shift();
    for (const step of script ?? []) {
      if (step instanceof Error) throw step;
      yield step;
    }
    if (!script) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
}
function recorded(informer: Informer<ConfigMap>): string[] {
  const seen: string[] = [];
  informer.addHandler({
    onAdd: (o) => seen.push(`+${o.metadata.name}`),
    onUpdate: (a, b) => seen.push(`${a.metadata.resourceVersion}>${b.metadata.resourceVersion}`),
    onDelete: (o) => seen.push(`-${o.metadata.name}`),
  });
  return seen;
}

test('Informer tells its handlers of the list, then of each event', async () => {
  const transport = new ScriptedTransport();
  transport.lists = [[cm('a', '1')]];
  transport.watches = [[[{ type: 'ADDED', object: cm('b', '11') }, { type: 'MODIFIED', object: cm('a', '12') }, { type: 'DELETED', object: cm('b', '13') }]]];
  const clock = new FakeClock();
  const informer = new Informer(new Client(transport), CONFIG_MAPS, clock);
  const seen = recorded(informer);
  informer.start();
  await informer.synced;
  await flushMicrotasks();
  assert.deepEqual(seen, ['+a', '+b', '1>12', '-b']);
  assert.equal(informer.get('default', 'a')?.metadata.resourceVersion, '12');
  await clock.advance(1000);
  assert.deepEqual(transport.watchedFrom, ['10', '13']);
  await informer.stop();
});

test('Informer lists again when its resourceVersion has expired, and tells what went missing', async () => {
  const transport = new ScriptedTransport();
  transport.lists = [[cm('a', '1'), cm('b', '2')], [cm('b', '2')]];
  transport.watches = [[expired('too old resource version: 10 (20)')]];
  const informer = new Informer(new Client(transport), CONFIG_MAPS, new FakeClock());
  const seen = recorded(informer);
  informer.start();
  await informer.synced;
  await flushMicrotasks();
  assert.deepEqual(seen, ['+a', '+b', '-a']);
  await informer.stop();
});

test('Informer keeps its indexes true', async () => {
  const transport = new ScriptedTransport();
  transport.lists = [[cm('a', '1'), cm('b', '2')]];
  transport.watches = [[[{ type: 'DELETED', object: cm('a', '3') }]]];
  const informer = new Informer(new Client(transport), CONFIG_MAPS, new FakeClock());
  informer.addIndex('ns', (o) => [o.metadata.namespace ?? '']);
  informer.start();
  await informer.synced;
  await flushMicrotasks();
  assert.deepEqual(informer.byIndex('ns', 'default').map((o) => o.metadata.name), ['b']);
  assert.deepEqual(informer.byIndex('ns', 'other'), []);
  await informer.stop();
});
