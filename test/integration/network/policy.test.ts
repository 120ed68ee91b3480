/** NetworkPolicies in a real kernel: two machines, three Pods, and the component in one of them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, beforeEach, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Pod } from '#api/gen/core-v1.ts';
import type { NetworkPolicySpec } from '#api/gen/networking-v1.ts';
import { systemClock } from '#base/clock.ts';
import { applyNft } from '#base/nft.ts';
import { Client } from '#client/client.ts';
import { NAMESPACES, NETWORK_POLICIES, PODS } from '#client/kinds.ts';
import { FakeApi } from '#kubelet/testing/fake-api.ts';
import { tableScript } from '#network/node-network.ts';
import { NetworkPolicies } from '#network/policy/network-policies.ts';
import { eventually } from '../controllers/eventually.ts';
import { addPod, makeMachines, type Machine, type Machines } from './namespaces.ts';

const PORTS = [8080, 8081];
/** Answers what it is sent, on every port. */
const SERVER = `const net = require('net');
Promise.all(${JSON.stringify(PORTS)}.map((p) => new Promise((done) => net.createServer((s) => s.on('error', () => {}).pipe(s)).listen(p, '0.0.0.0', done)))).then(() => console.log('ready'));`;
const DENY: NetworkPolicySpec = { podSelector: {}, policyTypes: ['Ingress'] };

async function serve(t: { after(run: () => Promise<void>): void }, where: Machine): Promise<void> {
  const server = spawn('nsenter', [`--net=${where.netns}`, process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  t.after(async () => {
    server.kill();
    await ended;
  });
  await once(server.stdout, 'data');
}
/** Whether a connection comes about. One that is let through has ten seconds for it, on a busy machine. */
const connects = async (from: Machine, ip: string, port = PORTS[0]!, seconds = 10): Promise<boolean> => await from.run('timeout', String(seconds), 'bash', '-c', `exec 3<>/dev/tcp/${ip}/${port}`).then(() => true, () => false);
const passes = async (from: Machine, to: { ip: string }, port?: number): Promise<void> => assert.equal(await connects(from, to.ip, port), true, `${from.ip} → ${to.ip}:${port ?? PORTS[0]}`);
const fails = async (from: Machine, to: { ip: string }, port?: number): Promise<void> => assert.equal(await connects(from, to.ip, port, 0.7), false, `${from.ip} → ${to.ip}:${port ?? PORTS[0]}`);

const podOf = (name: string, where: Machine, node: string, more: { app?: string } = {}): Pod => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', uid: name, labels: { app: more.app ?? name } }, status: { podIP: where.ip, phase: 'Running' },
  spec: { nodeName: node, containers: [{ name: 'c', ports: [{ name: 'web', containerPort: PORTS[0]! }] }] },
});

describe('NetworkPolicies', () => {
  let machines: Machines;
  let left: Machine;
  let [web, near, far]: (Machine & AsyncDisposable)[] = [];
  const servers: (() => Promise<void>)[] = [];
  let api: FakeApi;
  let journal: Set<string>;
  const put = (name: string, spec: NetworkPolicySpec): void => void api.put(NETWORK_POLICIES, { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' }, spec });
  const table = async (): Promise<string> => await left.run('nft', 'list', 'table', 'ip', 'podyard_policy').catch(() => '');
  const start = async (t: TestContext): Promise<NetworkPolicies> => {
    const policies = new NetworkPolicies({
      client: new Client(api), clock: systemClock, nodeName: 'a', dnsIP: '10.96.0.10', table: 'podyard_policy', netns: left.netns,
      recordChange: (kind, id) => void journal.add(`${kind} ${id}`), forgetChange: (kind, id) => void journal.delete(`${kind} ${id}`),
    });
    t.after(() => policies.stop());
    await policies.start();
    return policies;
  };
  /** Resolves when a rule with these words is there, or none. */
  const shown = (words: string, there = true): Promise<true> => eventually(`${there ? '' : 'no '}${words}`, async () => (await table()).includes(words) === there || undefined);

  before(async () => {
    machines = await makeMachines();
    left = machines.left;
    web = await addPod(left, 'pods', '10.244.0.1', '10.244.0.7');
    near = await addPod(left, 'pods', '10.244.0.1', '10.244.0.8');
    far = await addPod(machines.right, 'pods', '10.244.1.1', '10.244.1.7');
    for (const [machine, other, via] of [[left, '10.244.1.0/24', machines.right.ip], [machines.right, '10.244.0.0/24', left.ip]] as const) {
      for (const setting of ['net/ipv4/ip_forward', 'net/bridge/bridge-nf-call-iptables']) await machine.run('sysctl', '-qw', `${setting}=1`);
      await machine.run('ip', 'route', 'add', other, 'via', via);
    }
    for (const where of [web, near, far, machines.right]) await serve({ after: (run) => void servers.push(run) }, where);
  });
  after(async () => {
    for (const stop of servers) await stop();
    for (const pod of [web!, near!, far!]) await pod[Symbol.asyncDispose]();
    await machines[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    // The node's own table makes the kernel know connections, as on every node.
    await applyNft(`flush ruleset\n${tableScript({ table: 'podyard', clusterCIDR: '10.244.0.0/16', podCIDR: '10.244.0.0/24', bridge: 'pods' }, [])}`, { netns: left.netns });
    api = new FakeApi();
    journal = new Set();
    api.put(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: { team: 'd' } } });
    for (const pod of [podOf('web', web!, 'a'), podOf('near', near!, 'a'), podOf('far', far!, 'b')]) api.put(PODS, pod);
  });

  test('without a policy there is no table, and nobody asks for Pods; what was left of an earlier process is removed', async (t) => {
    await left.run('nft', 'add', 'table', 'ip', 'podyard_policy');
    await start(t);
    await eventually('no table', async () => (await table()) === '');
    assert.deepEqual([...new Set(api.calls.map((c) => c.resource.plural))], ['networkpolicies']);
    assert.deepEqual([...journal], []);
    await passes(near!, web!);
  });
  test('isolated Pods are closed to Pods of their own bridge and of other nodes, open to their node and themselves; the table goes with the last policy', async (t) => {
    await start(t);
    put('deny', DENY);
    await shown(`${web!.ip} : goto`);
    assert.deepEqual([...journal], ['nft-table ip podyard_policy']);
    await Promise.all([fails(near!, web!), fails(far!, web!), fails(machines.right, web!), passes(left, web!), passes(web!, web!), passes(web!, far!)]);
    api.remove(NETWORK_POLICIES, 'default/deny');
    await eventually('no table', async () => (await table()) === '');
    await eventually('an empty journal', () => journal.size === 0);
    await Promise.all([passes(near!, web!), passes(far!, web!)]);
  });
  test('rules let in whom they name, on the ports they name, and follow labels', async (t) => {
    await start(t);
    put('some', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'], ingress: [
      { from: [{ podSelector: { matchLabels: { app: 'near' } } }], ports: [{ port: 'web' }, { port: 9000, endPort: 9010 }] },
      { from: [{ ipBlock: { cidr: '10.244.0.0/16', except: ['10.244.0.0/24'] } }], ports: [{ port: PORTS[1]! }] },
    ] });
    await shown(`${web!.ip} : goto`);
    await Promise.all([passes(near!, web!), fails(near!, web!, PORTS[1]), fails(far!, web!), passes(far!, web!, PORTS[1]), fails(machines.right, web!), passes(far!, near!)]);
    api.put(PODS, podOf('near', near!, 'a', { app: 'other' }));
    await shown(`elements = { ${near!.ip} }`, false);
    await fails(near!, web!);
    api.put(PODS, podOf('far', far!, 'b', { app: 'near' }));
    await shown(`elements = { ${far!.ip} }`);
    await Promise.all([passes(far!, web!), fails(near!, web!)]);
  });
  test('rules for the way out, and every form that a rule may have', async (t) => {
    await start(t);
    put('out', { podSelector: { matchLabels: { app: 'near' } }, policyTypes: ['Egress'], egress: [
      { to: [{ namespaceSelector: { matchLabels: { team: 'd' } }, podSelector: { matchLabels: { app: 'far' } } }, { ipBlock: { cidr: '203.0.113.0/24' } }, { ipBlock: { cidr: '255.255.255.255/32' } }], ports: [{ port: 'web' }, { protocol: 'UDP' }, { protocol: 'SCTP', port: 7 }] },
      { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '172.30.0.2/32'] } }] },
      { to: [{ ipBlock: { cidr: '0.0.0.0/0' } }], ports: [{ port: 1, endPort: 2 }, { port: 4 }] },
    ] });
    await shown(`${near!.ip} : goto`);
    await Promise.all([passes(near!, far!), fails(near!, far!, PORTS[1]), fails(near!, web!), fails(near!, machines.right), passes(far!, near!), passes(web!, near!)]);
  });
  test('a ClusterIP is judged by the Pod that it leads to', async (t) => {
    await left.run('nft', 'add table ip svc; add chain ip svc pre { type nat hook prerouting priority dstnat; }; add rule ip svc pre ip daddr 10.96.0.10 meta l4proto tcp dnat to 172.30.0.2:8080; add rule ip svc pre ip daddr 10.96.0.9 tcp dport 80 dnat to 10.244.1.7:8080; add rule ip svc pre ip daddr 10.96.0.8 tcp dport 80 dnat to 10.244.0.7:8080');
    await start(t);
    put('out', { podSelector: { matchLabels: { app: 'near' } }, policyTypes: ['Egress'], egress: [{ to: [{ podSelector: { matchLabels: { app: 'far' } } }], ports: [{ port: 8080 }] }] });
    await shown(`${near!.ip} : goto`);
    await passes(near!, { ip: '10.96.0.9' }, 80);
    await fails(near!, { ip: '10.96.0.8' }, 80);
    await passes(web!, { ip: '10.96.0.9' }, 80);
    // But for names: those are part of the node.
    await Promise.all([passes(near!, { ip: '10.96.0.10' }, 53), fails(near!, { ip: '10.96.0.10' }, 54), fails(near!, machines.right)]);
  });
  test('a connection that is established stays when a policy comes', { timeout: 60_000 }, async (t) => {
    await start(t);
    const client = spawn('nsenter', [`--net=${near!.netns}`, process.execPath, '-e', `process.stdin.pipe(require('net').connect(${PORTS[0]}, '${web!.ip}')).pipe(process.stdout)`], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => void client.kill());
    client.stdin.write('before');
    await once(client.stdout, 'data');
    put('deny', DENY);
    await shown(`${web!.ip} : goto`);
    await fails(near!, web!);
    client.stdin.write('after');
    assert.equal(String((await once(client.stdout, 'data'))[0]), 'after');
  });
  test('isolate waits for the rules about a Pod whose address nobody knows yet, and for nothing else', async (t) => {
    put('deny', { podSelector: { matchLabels: { app: 'new' } }, policyTypes: ['Ingress'] });
    const policies = await start(t);
    await policies.isolate(podOf('free', near!, 'a'), near!.ip, t.signal);
    assert.equal(await table(), '');
    const made = { ...podOf('new', web!, 'a'), status: {} };
    await policies.isolate(made, web!.ip, t.signal);
    assert.match(await table(), new RegExp(`${web!.ip} : goto`));
    await fails(near!, web!);
    // The API does not know more than before: the Pod stays isolated until it does, and after.
    api.remove(PODS, 'default/web');
    api.put(PODS, { ...made, status: { phase: 'Pending' } });
    api.put(PODS, podOf('new', web!, 'a'));
    await fails(near!, web!);
    // The next Pod with its address.
    api.remove(PODS, 'default/new');
    await policies.isolate(podOf('free', web!, 'a'), web!.ip, t.signal);
    await eventually('no table', async () => (await table()) === '');
  });
  test('packets between Pods of one bridge are filtered though somebody had switched that off', async (t) => {
    await start(t);
    put('deny', DENY);
    await shown(`${web!.ip} : goto`);
    await left.run('sysctl', '-qw', 'net/bridge/bridge-nf-call-iptables=0');
    await passes(near!, web!);
    const module = fileURLToPath(new URL('../../../src/network/bridge-filter.ts', import.meta.url));
    await left.run(process.execPath, '-e', `import(${JSON.stringify(module)}).then((m) => m.filterBridgedPackets())`);
    await fails(near!, web!);
  });
  test('a table that somebody has taken away is made anew with the next change', async (t) => {
    await start(t);
    put('deny', DENY);
    await shown(`${web!.ip} : goto`);
    await left.run('nft', 'delete', 'table', 'ip', 'podyard_policy');
    put('more', { podSelector: {}, policyTypes: ['Egress'] });
    await shown(`${web!.ip} : goto`);
  });
});
