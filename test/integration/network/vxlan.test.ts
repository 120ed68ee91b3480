/** VXLAN in a real kernel: machines on different networks, with a router between them that lets no Pod's address through, and the component in two of them. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test, type TestContext } from 'node:test';
import type { Event, Node } from '#api/gen/core-v1.ts';
import { applyNft } from '#base/nft.ts';
import { systemClock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import { EVENTS, NODES } from '#client/kinds.ts';
import { FakeApi } from '#kubelet/testing/fake-api.ts';
import { tableScript } from '#network/node-network.ts';
import { newPodRoutes } from '#network/pod-routes.ts';
import type { PodNetwork } from '#network/route-plan.ts';
import { vxlanPodMtu } from '#network/vxlan-link.ts';
import { eventually } from '../controllers/eventually.ts';
import { send, serve, sourceSeen } from './conversation.ts';
import { addPod, makeRemoteMachines, type Machine, type RemoteMachines } from './namespaces.ts';

const CLUSTER = '10.244.0.0/16';
const VNI = '717824';
const LINK = 'podsx';
const MEGABYTES = 4 << 20;
const node = (name: string, podCIDR: string, address: string): Node => ({
  apiVersion: 'v1', kind: 'Node', metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { podCIDR }, status: { addresses: [{ type: 'InternalIP', address }] },
});
const lines = (text: string): string[] => text.split('\n').map((line) => line.trim()).filter((line) => line !== '');

describe('Pods by VXLAN', () => {
  let machines: RemoteMachines;
  let left: Machine;
  let right: Machine;
  let podOfLeft: Machine & AsyncDisposable;
  let podOfRight: Machine & AsyncDisposable;
  let api: FakeApi;
  /** What the journals of both nodes hold. */
  let journal: Set<string>;
  const start = async (t: TestContext, machine: Machine, podNetwork: PodNetwork = 'vxlan'): Promise<() => Promise<void>> => {
    const nodeName = machine === left ? 'left' : 'right';
    const routes = newPodRoutes({
      client: new Client(api), clock: systemClock, nodeName, nodeIP: machine.ip, clusterCIDR: CLUSTER, podCIDR: machine === left ? '10.244.1.0/24' : '10.244.2.0/24', podNetwork, vxlanLink: LINK, netns: machine.netns,
      recordChange: (kind, id) => void journal.add(`${nodeName} ${kind} ${id}`), forgetChange: (kind, id) => void journal.delete(`${nodeName} ${kind} ${id}`),
    });
    t.after(() => routes.stop());
    await routes.start(t.signal);
    return () => routes.stop();
  };
  /** What a machine has that leads to other nodes: neighbours, the nodes that they are on, routes. */
  const waysOf = async ({ run }: Machine): Promise<string[]> => [
    ...lines(await run('ip', '-4', 'neighbour', 'show', 'dev', LINK, 'nud', 'permanent')), ...lines(await run('bridge', 'fdb', 'show', 'dev', LINK)), ...lines(await run('ip', '-4', 'route', 'show', 'proto', '144')),
  ].map((line) => line.replace(/ (PERMANENT|self permanent)$/, ''));
  const hasLink = async ({ run }: Machine): Promise<boolean> => (await run('ip', '-json', 'link', 'show', 'type', 'vxlan')).includes(`"ifname":"${LINK}"`);
  const become = (machine: Machine, ways: readonly string[]): Promise<true> => eventually(`ways ${ways.join(', ')}`, async () => ((await hasLink(machine)) && (await waysOf(machine)).join() === ways.join()) || undefined);
  const waysTo = (range: string, ip: string, mac: string): string[] => [`${range} lladdr ${mac}`, `${mac} dst ${ip}`, `${range}/24 via ${range} dev ${LINK} onlink`];
  const LEFT_TO_RIGHT = waysTo('10.244.2.0', '172.30.2.2', '0a:76:ac:1e:02:02');
  const RIGHT_TO_LEFT = waysTo('10.244.1.0', '172.30.1.2', '0a:76:ac:1e:01:02');
  const startBoth = async (t: TestContext): Promise<void> => {
    await Promise.all([start(t, left), start(t, right)]);
    await Promise.all([become(left, LEFT_TO_RIGHT), become(right, RIGHT_TO_LEFT)]);
  };

  before(async () => {
    machines = await makeRemoteMachines();
    ({ left, right } = machines);
    podOfLeft = await addPod(left, 'pods', '10.244.1.1', '10.244.1.7', await vxlanPodMtu(left.ip, { netns: left.netns }));
    podOfRight = await addPod(right, 'pods', '10.244.2.1', '10.244.2.7');
    for (const [machine, podCIDR] of [[left, '10.244.1.0/24'], [right, '10.244.2.0/24']] as const) {
      for (const setting of ['ip_forward', 'conf/all/rp_filter', 'conf/default/rp_filter', 'conf/eth0/rp_filter', 'conf/pods/rp_filter']) await machine.run('sysctl', '-qw', `net/ipv4/${setting}=1`);
      await applyNft(tableScript({ table: 'podyard', clusterCIDR: CLUSTER, podCIDR, bridge: 'pods' }, []), { netns: machine.netns });
    }
  });
  after(async () => {
    await podOfLeft[Symbol.asyncDispose]();
    await podOfRight[Symbol.asyncDispose]();
    await machines[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    for (const machine of [left, right]) if (await hasLink(machine)) await machine.run('ip', 'link', 'delete', LINK);
    api = new FakeApi();
    journal = new Set();
    for (const n of [node('left', '10.244.1.0/24', left.ip), node('right', '10.244.2.0/24', right.ip)]) api.put(NODES, n);
  });

  test("Pods see each other's addresses, also with strict reverse-path filters; a node reaches Pods of the other", async (t) => {
    await startBoth(t);
    for (const where of [podOfLeft, podOfRight, right]) await serve(t, where);
    assert.equal(await sourceSeen(podOfLeft, podOfRight), podOfLeft.ip);
    assert.equal(await sourceSeen(podOfRight, podOfLeft), podOfRight.ip);
    assert.equal(await sourceSeen(left, podOfRight), '10.244.1.0', "by its own address in the Pods' range");
    assert.equal(await sourceSeen(podOfLeft, right), left.ip, 'beyond the Pods the address is masqueraded');
  });

  test('packets as large as they may be pass whole; a Pod of before, whose packets are too large, is told', async (t) => {
    await startBoth(t);
    for (const where of [podOfLeft, podOfRight]) await serve(t, where);
    assert.match(await podOfLeft.run('ip', 'link', 'show', 'eth0'), / mtu 1450 /);
    assert.match(await podOfRight.run('ip', 'link', 'show', 'eth0'), / mtu 1500 /);
    assert.deepEqual(await send(podOfLeft, podOfRight, MEGABYTES), { source: podOfLeft.ip, bytes: MEGABYTES });
    assert.deepEqual(await send(podOfRight, podOfLeft, MEGABYTES), { source: podOfRight.ip, bytes: MEGABYTES });
    for (const machine of [left, right]) {
      const [names = [], values = []] = lines(await machine.run('cat', '/proc/net/snmp')).filter((line) => line.startsWith('Ip:')).map((line) => line.split(' '));
      assert.equal(values[names.indexOf('FragCreates')], '0', 'nothing was sent in fragments');
    }
  });

  test('a link that is deleted or goes down is whole again', async (t) => {
    await startBoth(t);
    await serve(t, podOfRight);
    for (const breakage of ['link delete podsx', 'link set podsx down', 'address flush dev podsx']) {
      await left.run('ip', ...breakage.split(' '));
      await become(left, LEFT_TO_RIGHT);
      await eventually(`answers after ${breakage}`, async () => (await sourceSeen(left, podOfRight).catch(() => '')) === '10.244.1.0');
    }
  });

  test('ways follow a node to another address and go with it, those of before the start too; the link goes with the last', async (t) => {
    const stop = await start(t, left);
    await become(left, LEFT_TO_RIGHT);
    await stop();
    await become(left, LEFT_TO_RIGHT);
    assert.deepEqual([...journal], [`left link ${LINK}`, 'left route 10.244.2.0/24 proto 144']);
    await left.run('bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', LINK, 'dst', machines.stranger.ip);
    await left.run('ip', 'neighbour', 'add', '10.244.9.0', 'lladdr', '0a:76:ac:1e:09:09', 'dev', LINK, 'nud', 'permanent');
    await start(t, left);
    await become(left, LEFT_TO_RIGHT);
    api.put(NODES, node('right', '10.244.2.0/24', '172.30.2.9'));
    await become(left, waysTo('10.244.2.0', '172.30.2.9', '0a:76:ac:1e:02:09'));
    api.put(NODES, node('right', '10.244.3.0/24', '172.30.2.9'));
    await become(left, waysTo('10.244.3.0', '172.30.2.9', '0a:76:ac:1e:02:09'));
    api.remove(NODES, 'right');
    await eventually('no link', async () => !(await hasLink(left)));
    await eventually('an empty journal', () => journal.size === 0);
  });

  test('a cluster that goes back to routes has no link, and is told what it would need', async (t) => {
    const stop = await start(t, left);
    await become(left, LEFT_TO_RIGHT);
    await stop();
    await start(t, left, 'routes');
    const told = await eventually('an event', () => api.list<Event>(EVENTS)[0]);
    assert.match(told.message!, /^No route to the Pods of node "right" \(10\.244\.2\.0\/24 via 172\.30\.2\.2\): .*: nodes must be on one network, as neighbours, or the server be started with --pod-network vxlan$/);
    assert.equal(await hasLink(left), false);
    assert.deepEqual([...journal].filter((change) => change.includes(' link ')), []);
  });

  test('a link that the kernel refuses is told of, and made when it can be', async (t) => {
    await left.run('ip', ...`link add other type vxlan id ${VNI} local ${left.ip} dstport 8472 nolearning`.split(' '));
    await start(t, left);
    const told = await eventually('an event', () => api.list<Event>(EVENTS)[0]);
    assert.match(told.message!, /^No route to the Pods of node "right" \(10\.244\.2\.0\/24 via 172\.30\.2\.2\): making the link podsx: .*already exists$/);
    await left.run('ip', 'link', 'delete', 'other');
    await become(left, LEFT_TO_RIGHT);
  });

  test('a machine that is no node of the cluster hears nothing, though it has the link', async (t) => {
    const { run, ip } = machines.stranger;
    for (const command of [`link add ${LINK} type vxlan id ${VNI} local ${ip} dstport 8472 nolearning`, `address add 10.244.2.7/32 dev ${LINK}`, `link set ${LINK} up`]) await run('ip', ...command.split(' '));
    await startBoth(t);
    await serve(t, podOfRight);
    assert.equal(await sourceSeen(podOfLeft, podOfRight), podOfLeft.ip);
    const [stats] = JSON.parse(await run('ip', '-json', '-statistics', 'link', 'show', LINK)) as [{ stats64: { rx: { packets: number } } }];
    assert.equal(stats.stats64.rx.packets, 0);
  });
});
