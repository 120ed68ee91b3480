/** Routes between nodes in a real kernel: two machines, and the component in one of them. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test, type TestContext } from 'node:test';
import type { Event, Node } from '#api/gen/core-v1.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { EVENTS, NODES } from '#client/kinds.ts';
import { FakeApi } from '#kubelet/testing/fake-api.ts';
import { newPodRoutes } from '#network/pod-routes.ts';
import { ROUTE_PROTOCOL } from '#network/route-plan.ts';
import { eventually } from '../controllers/eventually.ts';
import { monitors } from './monitors.ts';
import { makeMachines, type Machine, type Machines } from './namespaces.ts';

const CLUSTER = '10.244.0.0/16';
const OURS = `proto ${ROUTE_PROTOCOL}`;
const node = (name: string, podCIDR: string, address: string): Node => ({
  apiVersion: 'v1', kind: 'Node', metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { podCIDR }, status: { addresses: [{ type: 'InternalIP', address }] },
});
/** The machine's routes, as lines of `ip route`. */
const routesOf = async (machine: Machine): Promise<string[]> => (await machine.run('ip', '-4', 'route', 'show')).split('\n').map((line) => line.trim()).filter((line) => line !== '');
const oursOf = async (machine: Machine): Promise<string[]> => (await routesOf(machine)).filter((line) => line.includes(OURS)).map((line) => line.replace(` ${OURS}`, ''));
const become = (machine: Machine, wanted: readonly string[]): Promise<true> =>
  eventually(`routes ${wanted.join(', ') || 'none'}`, async () => (await oursOf(machine)).join() === wanted.join() || undefined);

describe('Pod routes', () => {
  let machines: Machines;
  let left: Machine;
  let api: FakeApi;
  let journal: Set<string>;
  const events = (): string[] => api.list<Event>(EVENTS).map((e) => `${e.type} ${e.reason} ${e.involvedObject.kind}/${e.involvedObject.name}: ${e.message}`);
  const start = async (t: TestContext, clock: Clock = systemClock): Promise<() => Promise<void>> => {
    const routes = newPodRoutes({
      client: new Client(api), clock, nodeName: 'a', nodeIP: left.ip, clusterCIDR: CLUSTER, podCIDR: '10.244.0.0/24', podNetwork: 'routes', vxlanLink: 'podsx', netns: left.netns,
      recordChange: (kind, id) => void journal.add(`${kind} ${id}`), forgetChange: (kind, id) => void journal.delete(`${kind} ${id}`),
    });
    t.after(() => routes.stop());
    await routes.start(t.signal);
    return () => routes.stop();
  };
  /** Links are listened to, and nothing is still to be looked at. */
  const settled = (clock: FakeClock): Promise<true> => eventually('a quiet moment', async () => (await clock.advance(1000), monitors().length === 1 && clock.timers === 0));
  const becomeIn = (clock: FakeClock, route: string): Promise<true> => eventually(route, async () => (await clock.advance(1000), (await oursOf(left)).join() === route));
  before(async () => {
    machines = await makeMachines();
    left = machines.left;
  });
  after(() => machines[Symbol.asyncDispose]());
  beforeEach(async () => {
    await left.run('ip', 'route', 'flush', ...OURS.split(' '));
    api = new FakeApi();
    journal = new Set();
    api.put(NODES, node('a', '10.244.0.0/24', left.ip));
  });

  test('a route comes with a node, follows its range and address, and goes with it; each is in the journal as long as it is there', async (t) => {
    await start(t);
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.2'));
    await become(left, ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    assert.deepEqual([...journal], [`route 10.244.1.0/24 ${OURS}`]);
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.3'));
    await become(left, ['10.244.1.0/24 via 172.30.0.3 dev eth0']);
    api.put(NODES, node('b', '10.244.2.0/24', '172.30.0.3'));
    await become(left, ['10.244.2.0/24 via 172.30.0.3 dev eth0']);
    await eventually('the old range forgotten', () => [...journal].join() === `route 10.244.2.0/24 ${OURS}`);
    api.remove(NODES, 'b');
    await become(left, []);
    await eventually('an empty journal', () => journal.size === 0);
    assert.deepEqual(events(), []);
  });

  test('what the journal names is what `ip route delete` takes, and the routes outlive the process', async (t) => {
    const stop = await start(t);
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.2'));
    await become(left, ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    await stop();
    assert.deepEqual(await oursOf(left), ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    for (const change of journal) await left.run('ip', 'route', 'delete', ...change.split(' ').slice(1));
    assert.deepEqual(await oursOf(left), []);
  });

  test("stale routes go at the start; what is another's stays, inside of the cluster's range and outside of it", async (t) => {
    const foreign = ['10.244.7.0/24 via 172.30.0.2 dev eth0', `10.99.0.0/24 via 172.30.0.2 dev eth0 ${OURS}`, '10.244.8.0/24 via 172.30.0.2 dev eth0 proto static'];
    for (const route of [...foreign, `10.244.6.0/24 via 172.30.0.2 ${OURS}`, `10.244.1.0/24 via 172.30.0.9 ${OURS}`]) await left.run('ip', 'route', 'add', ...route.split(' '));
    t.after(async () => {
      for (const range of ['10.244.7.0/24', '10.99.0.0/24', '10.244.8.0/24']) await left.run('ip', 'route', 'delete', range);
    });
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.2'));
    api.put(NODES, node('c', '10.244.8.0/24', '172.30.0.3'));
    await start(t);
    await become(left, ['10.99.0.0/24 via 172.30.0.2 dev eth0', '10.244.1.0/24 via 172.30.0.2 dev eth0']);
    const now = await routesOf(left);
    for (const route of foreign) assert.ok(now.includes(route), route);
    const told = await eventually('an event', () => events().length > 0 && events());
    assert.deepEqual(told, ['Warning PodRouteNotCreated Node/a: No route to the Pods of node "c" (10.244.8.0/24 via 172.30.0.3): another route to this range is there, and stays']);
  });

  test('a link that goes down and comes up again has its routes back', async (t) => {
    const clock = new FakeClock();
    await start(t, clock);
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.2'));
    await become(left, ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    await settled(clock);
    await left.run('ip', 'link', 'set', 'eth0', 'down');
    assert.deepEqual(await oursOf(left), []);
    await left.run('ip', 'link', 'set', 'eth0', 'up');
    await becomeIn(clock, '10.244.1.0/24 via 172.30.0.2 dev eth0');
  });

  test('an ip monitor that dies is started again, and ends with the component', async (t) => {
    const stop = await start(t);
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.2'));
    await become(left, ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    const first = await eventually('ip monitor', () => monitors()[0]);
    process.kill(first);
    await eventually('another ip monitor', () => monitors().some((pid) => pid !== first));
    await left.run('ip', 'link', 'set', 'eth0', 'down');
    await left.run('ip', 'link', 'set', 'eth0', 'up');
    await become(left, ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    await stop();
    assert.deepEqual(monitors(), []);
  });

  test('an address that moves to another link takes the routes along', async (t) => {
    const clock = new FakeClock();
    await start(t, clock);
    t.after(async () => {
      await left.run('ip', 'link', 'set', 'eth0', 'nomaster');
      await left.run('ip', 'link', 'delete', 'br0');
      await left.run('ip', 'address', 'add', '172.30.0.1/24', 'dev', 'eth0');
    });
    api.put(NODES, node('b', '10.244.1.0/24', '172.30.0.2'));
    await become(left, ['10.244.1.0/24 via 172.30.0.2 dev eth0']);
    await settled(clock);
    for (const command of ['link add br0 type bridge', 'link set eth0 master br0', 'address delete 172.30.0.1/24 dev eth0', 'address add 172.30.0.1/24 dev br0', 'link set br0 up']) await left.run('ip', ...command.split(' '));
    await becomeIn(clock, '10.244.1.0/24 via 172.30.0.2 dev br0');
  });

  test('a node that is no neighbour is told of once, and its route comes when it becomes one', async (t) => {
    await start(t);
    api.put(NODES, node('b', '10.244.1.0/24', '192.0.2.9'));
    const told = await eventually('an event', () => events().length > 0 && events());
    assert.match(told[0]!, /^Warning PodRouteNotCreated Node\/a: No route to the Pods of node "b" \(10\.244\.1\.0\/24 via 192\.0\.2\.9\): (Nexthop has invalid gateway|Network is unreachable): nodes must be on one network, as neighbours, or the server be started with --pod-network vxlan$/);
    await left.run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0');
    t.after(() => left.run('ip', 'address', 'delete', '192.0.2.1/24', 'dev', 'eth0'));
    await become(left, ['10.244.1.0/24 via 192.0.2.9 dev eth0']);
    assert.equal(events().length, 1);
    assert.equal(api.list<Event>(EVENTS)[0]!.count, 1);
  });

  test('a Node object cannot draw what is not its own', async (t) => {
    await start(t);
    const before = await routesOf(left);
    for (const [i, range] of ['0.0.0.0/0', '172.30.0.0/24', '10.244.0.0/16', '10.244.0.0/25'].entries()) api.put(NODES, node(`thief-${i}`, range, '172.30.0.2'));
    await eventually('four events', () => events().length === 4);
    assert.deepEqual(await routesOf(left), before);
  });
});
