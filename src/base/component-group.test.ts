import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ComponentGroup, type ComponentRow } from './component-group.ts';

const never = new AbortController().signal;
function rows(log: string[], fails: Record<string, boolean> = {}): { rows: ComponentRow[]; fail: (name: string, err: Error) => void } {
  const failures = new Map<string, (err: Error) => void>();
  const row = (name: string, ...needs: string[]): ComponentRow => ({
    name, needs,
    create: () => {
      const failed = Promise.withResolvers<Error>();
      failures.set(name, failed.resolve);
      return {
        name, failed: failed.promise,
        start: async () => {
          if (fails[name]) throw new Error('no');
          log.push(`+${name}`);
        },
        stop: async () => void log.push(`-${name}`),
      };
    },
  });
  return { rows: [row('kubelet', 'apiserver', 'containerd'), row('apiserver', 'store'), row('store'), row('containerd')], fail: (name, err) => failures.get(name)!(err) };
}

test('ComponentGroup starts by needs and stops in reverse', async () => {
  const log: string[] = [];
  const group = new ComponentGroup(rows(log).rows, () => 0);
  await group.start(never);
  assert.ok(log.indexOf('+store') < log.indexOf('+apiserver') && log.indexOf('+apiserver') < log.indexOf('+kubelet') && log.indexOf('+containerd') < log.indexOf('+kubelet'));
  const started = log.splice(0).map((l) => l.slice(1));
  await group.stop();
  await group.stop();
  assert.deepEqual(log.map((l) => l.slice(1)), started.toReversed());
});

test('ComponentGroup stops what it started when one row fails to start, and says which', async () => {
  const log: string[] = [];
  const group = new ComponentGroup(rows(log, { apiserver: true }).rows, () => 0);
  await assert.rejects(group.start(never), /starting apiserver: no/);
  assert.ok(log.includes('-store') && !log.includes('+kubelet'));
});

test('ComponentGroup stops everything when a ready component fails', async () => {
  const log: string[] = [];
  const { rows: table, fail } = rows(log);
  const group = new ComponentGroup(table, () => 0);
  await group.start(never);
  fail('containerd', new Error('it died'));
  assert.match((await group.failed).message, /containerd failed: it died/);
  assert.ok(log.includes('-kubelet') && log.includes('-store'));
});

test('ComponentGroup refuses tables with unknown or circular needs', () => {
  const row = (name: string, ...needs: string[]): ComponentRow => ({ name, needs, create: () => { throw new Error('not created'); } });
  assert.throws(() => new ComponentGroup([row('a', 'b')], () => 0), /component "a" needs "b"/);
  assert.throws(() => new ComponentGroup([row('a', 'b'), row('b', 'a')], () => 0), /need one another/);
});
