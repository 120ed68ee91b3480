/** Pods beside a firewall that drops what is forwarded: two of a machine, another node of their cluster, and an outsider who knows the way. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test, type TestContext } from 'node:test';
import type { Event, Node } from '#api/gen/core-v1.ts';
import { systemClock } from '#base/clock.ts';
import { applyNft } from '#base/nft.ts';
import { Client } from '#client/client.ts';
import { EVENTS, NODES } from '#client/kinds.ts';
import { FakeApi } from '#kubelet/testing/fake-api.ts';
import { newForwardAccept, removeForwardAccept } from '#network/forward-accept.ts';
import { tableScript } from '#network/node-network.ts';
import { emptyTable } from '#proxy/table.ts';
import { eventually } from '../controllers/eventually.ts';
import { isCutOff, PORT, serve, sourceSeen, type Server } from './conversation.ts';
import { monitors } from './monitors.ts';
import { addPod, makeMachines, type Machine, type Machines } from './namespaces.ts';

const CLUSTER = '10.244.0.0/16';
const BRIDGE = 'pods';
const ACCEPT = 'PODYARD-FWD-pods';
const HOST_PORT = 8088;
/** Addresses of the machine on the right: as an outsider, as another node, and of a Pod of that. */
const [OUTSIDER, NODE, FAR_POD] = ['172.30.0.2', '172.30.0.12', '10.244.1.7'];
/** As Docker leaves it. */
const DOCKER = `table ip filter {
  chain DOCKER-USER {
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    iifname "docker0" counter accept
  }
}
`;
const node = (name: string, address: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {}, status: { addresses: [{ type: 'InternalIP', address }] } });

describe('Beside a firewall that drops what is forwarded', () => {
  let machines: Machines;
  let left: Machine;
  let right: Machine;
  let podA: Machine;
  let podB: Machine;
  let api: FakeApi;
  let journal: Set<string>;
  const things = new AsyncDisposableStack();
  const nft = (script: string): Promise<void> => applyNft(`${script}\n`, { netns: left.netns });
  const list = (...what: string[]): Promise<string> => left.run('nft', 'list', ...what);
  const rules = async (): Promise<string> => (await list('ruleset')).replaceAll(/ packets \d+ bytes \d+/g, '');
  const jumps = async (): Promise<number> => (await list('table', 'ip', 'filter')).split(`jump ${ACCEPT}`).length - 1;
  const accepted = (): Promise<true> => eventually('one jump, and what it leads to', async () => ((await jumps()) === 1 && (await list('chain', 'ip', 'filter', ACCEPT)).split(' accept').length === 4) || undefined);
  const events = (): string[] => api.list<Event>(EVENTS).map((e) => `${e.type} ${e.reason} ${e.involvedObject.kind}/${e.involvedObject.name}: ${e.message}`);
  const start = async (t: TestContext): Promise<() => Promise<void>> => {
    const accept = newForwardAccept({
      client: new Client(api), clock: systemClock, nodeName: 'a', bridge: BRIDGE, clusterCIDR: CLUSTER, table: 'podyard', netns: left.netns,
      recordChange: (kind, id) => void journal.add(`${kind} ${id}`),
    });
    t.after(() => accept.stop());
    await accept.start(t.signal);
    return () => accept.stop();
  };
  /** The machine on the right sends from one of its addresses. */
  const as = async (address: string): Promise<Machine> => {
    await right.run('ip', 'route', 'replace', CLUSTER, 'via', left.ip, 'src', address);
    return right;
  };
  before(async () => {
    ({ left, right } = machines = await makeMachines());
    things.use(machines);
    podA = things.use(await addPod(left, BRIDGE, '10.244.0.1', '10.244.0.7'));
    podB = things.use(await addPod(left, BRIDGE, '10.244.0.1', '10.244.0.8'));
    for (const setting of ['net/ipv4/ip_forward', 'net/bridge/bridge-nf-call-iptables']) await left.run('sysctl', '-qw', `${setting}=1`);
    for (const address of [`${NODE}/24`, `${FAR_POD}/32`]) await right.run('ip', 'address', 'add', address, 'dev', 'eth0');
    await left.run('ip', 'route', 'add', '10.244.1.0/24', 'via', NODE);
    for (const where of [podA, podB, right]) await serve({ after: (end) => things.defer(end) }, where);
  });
  after(() => things.disposeAsync());
  beforeEach(async () => {
    const hostPorts = [{ protocol: 'tcp', hostIP: '', hostPort: HOST_PORT, podIP: podA.ip, containerPort: PORT }] as const;
    await nft('flush ruleset');
    await nft(tableScript({ table: 'podyard', clusterCIDR: CLUSTER, podCIDR: '10.244.0.0/24', bridge: BRIDGE }, hostPorts));
    api = new FakeApi();
    journal = new Set();
    api.put(NODES, node('a', left.ip));
    api.put(NODES, node('b', NODE));
  });

  test('Pods reach each other, the outside and other nodes, and are reached by those and by hostPorts; without it none of this', async (t) => {
    await nft(DOCKER);
    const hostPort = { ip: left.ip, port: HOST_PORT };
    const [far, outside] = [() => as(FAR_POD), () => as(OUTSIDER)];
    const ways: [from: () => Machine | Promise<Machine>, to: Server][] = [
      [() => podA, podB], [() => podA, { ip: OUTSIDER }], [() => podA, { ip: FAR_POD }], [far, podA], [() => as(NODE), podA], [outside, hostPort],
    ];
    for (const [from, to] of ways) assert.ok(await isCutOff(await from(), to), `${to.ip} is not reached before`);
    await start(t);
    await accepted();
    assert.equal(await sourceSeen(podA, podB), podA.ip);
    assert.equal(await sourceSeen(podA, { ip: OUTSIDER }), left.ip);
    assert.equal(await sourceSeen(podA, { ip: FAR_POD }), podA.ip);
    assert.equal(await sourceSeen(await far(), podA), FAR_POD);
    assert.equal(await sourceSeen(await as(NODE), podA), NODE);
    assert.equal(await sourceSeen(await outside(), hostPort), OUTSIDER);
    assert.deepEqual([...journal], ['nft-table ip podyard_forward', `forward-accept ${ACCEPT}`]);
    assert.deepEqual(events(), []);
  });

  test("an outsider who sends to a Pod's address is dropped still; one that becomes a node is let in, and goes with it", async (t) => {
    await nft(DOCKER);
    await start(t);
    await accepted();
    const outsider = await as(OUTSIDER);
    assert.ok(await isCutOff(outsider, podA));
    api.put(NODES, node('c', OUTSIDER));
    await eventually('the address of the new node', async () => (await list('set', 'ip', 'podyard_forward', 'nodes')).includes(OUTSIDER));
    assert.equal(await sourceSeen(outsider, podA), OUTSIDER);
    api.remove(NODES, 'c');
    await eventually('the address gone', async () => !(await list('set', 'ip', 'podyard_forward', 'nodes')).includes(`${OUTSIDER},`));
    assert.ok(await isCutOff(outsider, podA));
    await nft('flush chain ip filter DOCKER-USER\nadd rule ip filter DOCKER-USER ip daddr 10.244.0.0/16 accept');
    assert.equal(await sourceSeen(outsider, podA), OUTSIDER, "the administrator's own rules are asked after ours");
  });

  test('iptables-nft lists, saves and restores the table still', async (t) => {
    await nft(DOCKER);
    await start(t);
    await accepted();
    const listed = await left.run('iptables-nft', '-S');
    for (const line of ['-A FORWARD -j PODYARD-FWD-pods', '-A PODYARD-FWD-pods -i pods -j ACCEPT', '-A PODYARD-FWD-pods -d 10.244.0.0/16 -m mark --mark 0x1000/0x1000 -j ACCEPT', '-A PODYARD-FWD-pods -s 10.244.0.0/16 -m mark --mark 0x1000/0x1000 -j ACCEPT']) assert.ok(listed.split('\n').includes(line), line);
    await left.run('sh', '-c', 'iptables-nft-save | iptables-nft-restore');
    await accepted();
    assert.equal(await left.run('iptables-nft', '-S'), listed);
  });

  test('no mark is left on packets that have passed', async (t) => {
    await nft(`${DOCKER}table ip watcher {
      chain late { type filter hook postrouting priority 300; meta mark & 0x1000 != 0 counter; }
    }`);
    await start(t);
    await accepted();
    await sourceSeen(podA, podB);
    await sourceSeen(podA, { ip: OUTSIDER });
    assert.match(await list('chain', 'ip', 'watcher', 'late'), /counter packets 0 /);
  });

  test('a firewall that comes later, is flushed, or writes its rules anew is healed; what only looks different is left', async (t) => {
    await start(t);
    await nft(DOCKER);
    await accepted();
    await nft('flush chain ip filter FORWARD');
    await accepted();
    await nft('flush table ip filter');
    await accepted();
    await nft(`flush chain ip filter ${ACCEPT}\nadd rule ip filter ${ACCEPT} ip daddr ${CLUSTER} accept`);
    await accepted();
    await nft(`delete table ip filter\n${DOCKER}`);
    await accepted();
    assert.equal(await sourceSeen(podA, podB), podA.ip);
    await nft('insert rule ip filter FORWARD iifname "docker0" drop');
    await nft('add table ip another');
    await nft('flush chain ip filter FORWARD');
    await accepted();
    assert.equal(await sourceSeen(podA, podB), podA.ip);
  });

  test('it goes on listening when tables of clusters come and go, and ends with the component', async (t) => {
    const stop = await start(t);
    const listening = await eventually('two that listen', () => (monitors().length === 2 ? monitors() : undefined));
    await nft(DOCKER);
    await accepted();
    await nft(emptyTable('ip podyard_proxy'));
    await nft('delete table ip podyard_proxy');
    await nft('flush chain ip filter FORWARD');
    await accepted();
    assert.deepEqual(monitors(), listening);
    await stop();
    assert.deepEqual(monitors(), []);
  });

  test('a policy that becomes drop is heard, and where it is accept nothing is written', async (t) => {
    await nft(DOCKER.replace('policy drop', 'policy accept'));
    const before = await rules();
    await start(t);
    await nft('add table inet other\nadd chain inet other forward { type filter hook forward priority 5; policy drop; }');
    await eventually('an event, which tells that all has been looked at', () => events().length > 0);
    await nft('delete table inet other');
    assert.equal(await rules(), before);
    assert.equal(journal.size, 0);
    await nft('chain ip filter FORWARD { type filter hook forward priority filter; policy drop; }');
    await accepted();
  });

  test('what the journal names can be undone, once more when it has gone, and leaves what is not ours as it was', async (t) => {
    await nft(DOCKER);
    const before = await rules();
    const stop = await start(t);
    await accepted();
    await stop();
    assert.equal(await jumps(), 1, 'the rules outlive the process');
    await nft(`add rule ip filter FORWARD counter jump ${ACCEPT}`);
    for (let i = 0; i < 2; i++) await removeForwardAccept(ACCEPT, { netns: left.netns });
    await nft('delete table ip podyard_forward');
    assert.equal(await rules(), before);
    await nft(`add chain ip filter ${ACCEPT}`);
    await removeForwardAccept(ACCEPT, { netns: left.netns });
    assert.equal(await rules(), before);
    await nft('delete table ip filter');
    await removeForwardAccept(ACCEPT, { netns: left.netns });
  });

  test('a table that is not understood is told of, once, and stays as it is', async (t) => {
    await nft('table inet mine {\nchain forward {\ntype filter hook forward priority filter; policy drop;\n}\n}');
    const before = await rules();
    await start(t);
    const told = await eventually('an event', () => events().length > 0 && events());
    assert.match(told[0]!, /^Warning ForwardingBlocked Node\/a: Chain forward of table inet mine drops what this machine forwards, .*: nft insert rule inet mine forward ip saddr 10\.244\.0\.0\/16 accept && nft insert rule inet mine forward ip daddr 10\.244\.0\.0\/16 accept$/);
    assert.equal(await rules(), before);
    for (const command of told[0]!.split('there: ')[1]!.split(' && ')) await left.run('nft', ...command.split(' ').slice(1));
    assert.equal(await sourceSeen(podA, podB), podA.ip, 'what is told helps');
    await nft('delete table inet mine');
    assert.equal(events().length, 1);
    assert.equal(api.list<Event>(EVENTS)[0]!.count, 1);
  });
});
