/**
 * `kill -9` of Podyard at 50 random moments, while a client creates, updates and deletes: every acknowledged write is there, no half
 * write is, containers keep their processes, and the next start makes the cluster whole again.
 */
import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import type { ConfigMap, Pod } from '#api/gen/core-v1.ts';
import { sleep, systemClock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import { CONFIG_MAPS, PODS } from '#client/kinds.ts';
import { adminTransport } from '#cluster/admin.ts';
import { StatusError } from '#machinery/status-error.ts';
import { waitForNode, waitForPhase, waitForReady } from '../harness/conditions.ts';
import { hostProcesses } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const KILLS = 50;
const WRITERS = 4;
const LONGEST_MS = 400;
/** Large enough that a write is several pages of the store. */
const FILLER = 'x'.repeat(20_000);

/** What is known of one object: the last acknowledged state, and the one that may or may not have come through. */
interface Known {
  acknowledged: string | undefined;
  pending?: { readonly state: string | undefined };
}

const checksum = (text: string): string => createHash('sha256').update(text).digest('hex');
const dataOf = (state: string): Record<string, string> => ({ state, filler: FILLER, sum: checksum(state + FILLER) });

/** Writes one object over and over until a call fails, keeping book of what was acknowledged. */
async function writeUntilFailure(client: Client, name: string, known: Known, signal: AbortSignal): Promise<number> {
  const maps = client.of(CONFIG_MAPS);
  const object = (state: string): ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: dataOf(state) }) as ConfigMap;
  for (let writes = 0; ; writes++) {
    if (signal.aborted) return writes;
    const next = known.acknowledged !== undefined && randomInt(5) === 0 ? undefined : `${name}-${process.hrtime.bigint()}`;
    known.pending = { state: next };
    try {
      if (known.acknowledged === undefined && next !== undefined) await maps.create(object(next));
      else if (next === undefined) await maps.delete('default', name);
      else await maps.update(object(next));
    } catch (error) {
      // A refusal would be a lost or doubled write; only the connection's end is expected.
      if (error instanceof StatusError && error.status.reason !== 'ServiceUnavailable' && !signal.aborted) throw error;
      return writes;
    }
    known.acknowledged = next;
    delete known.pending;
  }
}

/** The object is as it was acknowledged, or as the write under way made it; and whole. */
async function verify(client: Client, book: ReadonlyMap<string, Known>, round: number): Promise<void> {
  const list = await client.of(CONFIG_MAPS).list({ namespace: 'default', labelSelector: '' });
  const found = new Map(list.items.map((m) => [m.metadata.name!, m]));
  for (const [name, known] of book) {
    const object = found.get(name);
    const state = object?.data?.['state'];
    const allowed = known.pending ? [known.acknowledged, known.pending.state] : [known.acknowledged];
    assert.ok(allowed.includes(state), `after kill ${round} "${name}" is ${state}; acknowledged ${known.acknowledged}, under way ${JSON.stringify(known.pending)}`);
    if (object) assert.deepEqual(object.data, dataOf(state!), `"${name}" is whole`);
    known.acknowledged = state;
    delete known.pending;
  }
}

/** The containers of the steady Pods: each sleeps for a time of its own, that no other cluster of the machine has. */
const TIME = String(randomInt(10_000_000, 100_000_000));
const STEADY = new RegExp(`^sleep ${TIME}[0-9]$`);

test('50 kills: no acknowledged write is lost, none is half there, containers keep their PIDs, Pods made meanwhile come to run', { timeout: 900_000 }, async (c, t) => {
  for (let i = 0; i < 3; i++) await c.kubectl(['run', `steady-${i}`, '--image=busybox:1.37', '--', 'sleep', `${TIME}${i}`]);
  const before = await Promise.all([0, 1, 2].map((i) => waitForReady(c, `steady-${i}`)));
  const pids = await hostProcesses(STEADY);
  assert.equal(pids.size, 3);
  const book = new Map<string, Known>(Array.from({ length: WRITERS }, (_, i) => [`map-${i}`, { acknowledged: undefined }]));
  let writes = 0;
  for (let round = 1; round <= KILLS; round++) {
    const transport = await adminTransport({ kubeconfig: c.kubeconfig });
    const client = new Client(transport, 'crash');
    const killed = new AbortController();
    const writers = [...book].map(([name, known]) => writeUntilFailure(client, name, known, killed.signal));
    // Every fifth round a Pod is made at just that time: its start may be broken off half-way.
    if (round % 5 === 1) {
      const made = { apiVersion: 'v1', kind: 'Pod', metadata: { name: `made-${round}`, namespace: 'default' }, spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'busybox:1.37', command: ['true'] }] } } as Pod;
      await client.of(PODS).create(made);
    }
    await sleep(systemClock, randomInt(LONGEST_MS));
    await c.kill();
    killed.abort();
    for (const count of await Promise.all(writers)) writes += count;
    transport.close();
    await c.up();
    const again = await adminTransport({ kubeconfig: c.kubeconfig });
    await verify(new Client(again, 'crash'), book, round);
    again.close();
    assert.deepEqual(await hostProcesses(STEADY), pids, `containers run on after kill ${round}`);
  }
  t.diagnostic(`${writes} writes were acknowledged between ${KILLS} kills`);
  assert.ok(writes > KILLS * WRITERS, `the client did write: ${writes}`);
  await waitForNode(c, 'node01', 'Ready', (n) => n.status?.conditions?.find((x) => x.type === 'Ready')?.status === 'True');
  for (let round = 1; round <= KILLS; round += 5) await waitForPhase(c, `made-${round}`, 'Succeeded');
  const after = await Promise.all([0, 1, 2].map((i) => waitForReady(c, `steady-${i}`)));
  const told = (pods: Pod[]): unknown => pods.map((p) => [p.metadata.uid, p.status?.podIP, p.status?.containerStatuses?.map((s) => [s.containerID, s.restartCount, s.state?.running?.startedAt])]);
  assert.deepEqual(told(after), told(before), 'the same containers, no restart counted');
  await c.kubectl('run after --image=busybox:1.37 -- sleep 1000');
  await waitForReady(c, 'after');
  assert.equal((await c.kubectl('exec steady-0 -- echo reached')).stdout, 'reached\n');
});
