import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Namespace, Pod } from '#api/gen/core-v1.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec } from '#api/gen/networking-v1.ts';
import { keyOf } from '#api/object.ts';
import { compilePolicy } from './compiled-policy.ts';
import { littlePod, policyPodOf } from './policy-pod.ts';
import { PolicyState } from './policy-state.ts';
import { Evaluator, type World } from './testing/evaluator.ts';
import { NftModel, type Packet } from './testing/nft-model.ts';

const HERE = 'here';
const PORTS = [{ name: 'web', containerPort: 80 }, { name: 'dns', containerPort: 53, protocol: 'UDP' }, { containerPort: 81 }];
const pod = (key: string, ip: string, more: { labels?: Record<string, string>; node?: string; hostNetwork?: boolean; phase?: string; ports?: object[]; deleted?: boolean; created?: string } = {}): Pod => {
  const [namespace, name] = key.split('/');
  return {
    metadata: { namespace, name, uid: key, labels: more.labels ?? { app: name }, creationTimestamp: more.created ?? '2026-01-01T00:00:00Z', ...(more.deleted && { deletionTimestamp: '2026-01-02T00:00:00Z' }) },
    spec: { nodeName: more.node ?? HERE, hostNetwork: more.hostNetwork, containers: [{ name: 'c', ports: more.ports ?? PORTS }] }, status: { podIP: ip, phase: more.phase ?? 'Running' },
  } as Pod;
};
const namespace = (name: string, labels: Record<string, string> = { team: name }): Namespace => ({ metadata: { name, labels }, spec: {} });
const policy = (key: string, spec: NetworkPolicySpec): NetworkPolicy => {
  const [ns, name] = key.split('/');
  return { metadata: { namespace: ns, name }, spec };
};

/** A state beside the kernel that its scripts go to. */
class Node {
  readonly state = new PolicyState('ip t', '10.96.0.10');
  readonly kernel = new NftModel();
  scripts = 0;
  set(world: Partial<World>): this {
    for (const n of world.namespaces ?? []) this.state.setNamespace(n.metadata.name!, n.metadata.labels ?? {});
    for (const p of world.pods ?? []) this.state.setPod(keyOf(p), policyPodOf(littlePod(p), HERE));
    for (const p of world.policies ?? []) this.state.setPolicy(keyOf(p), compilePolicy(p));
    return this.sync();
  }
  sync(): this {
    this.script = this.state.change();
    if (this.script !== '') this.scripts++;
    this.kernel.run(this.script);
    this.state.applied();
    return this;
  }
  script = '';
}

/** `a` and `b` are namespaces with the Pods x, y, z; all but b/z run here. */
const IPS: Readonly<Record<string, string>> = { 'a/x': '10.0.0.1', 'a/y': '10.0.0.2', 'a/z': '10.0.0.3', 'b/x': '10.0.0.4', 'b/y': '10.0.0.5', 'b/z': '10.0.1.6', outside: '192.0.2.1', near: '10.0.0.77' };
const PODS = Object.entries(IPS).filter(([key]) => key.includes('/')).map(([key, ip]) => pod(key, ip, key === 'b/z' ? { node: 'there' } : {}));
const NAMESPACES = [namespace('a'), namespace('b')];

/** `a/x->a/y:80`, `->a/y:53/udp` */
function packet(text: string): Packet {
  const [, from, to, port, protocol = 'tcp'] = /^(.+)->(.+):(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  return { from: IPS[from!] ?? from!, to: IPS[to!] ?? to!, port: Number(port), protocol };
}
function decides(world: Partial<World>, expected: Readonly<Record<string, boolean>>): void {
  const whole: World = { pods: PODS, namespaces: NAMESPACES, policies: [], ...world };
  const { kernel } = new Node().set(whole);
  const evaluator = new Evaluator(whole);
  for (const [text, passes] of Object.entries(expected)) {
    assert.equal(evaluator.passes(packet(text), HERE), passes, `evaluator: ${text}`);
    assert.equal(kernel.passes(packet(text)), passes, `rules: ${text}`);
  }
}
const ALL = {};
const app = (name: string) => ({ matchLabels: { app: name } });
const team = (name: string) => ({ matchLabels: { team: name } });
const ingress = (from: NetworkPolicyPeer[] | undefined, ports?: NetworkPolicyPort[], podSelector: object = ALL): NetworkPolicySpec => ({ podSelector, policyTypes: ['Ingress'], ingress: [{ ...(from && { from }), ...(ports && { ports }) }] });
const egress = (to: NetworkPolicyPeer[] | undefined, ports?: NetworkPolicyPort[], podSelector: object = ALL): NetworkPolicySpec => ({ podSelector, policyTypes: ['Egress'], egress: [{ ...(to && { to }), ...(ports && { ports }) }] });

describe('NetworkPolicy', () => {
  const cases: Record<string, [NetworkPolicySpec[], Record<string, boolean>]> = {
    'without a policy everything passes': [[], { 'a/x->a/y:80': true, 'outside->a/x:80': true, 'a/x->outside:80': true }],
    'no rule for ingress: nothing comes in, but from the Pod itself; everything goes out': [[{ podSelector: ALL, policyTypes: ['Ingress'] }], { 'a/x->a/y:80': false, 'b/x->a/y:80': false, 'outside->a/y:80': false, 'a/y->a/y:80': true, 'a/y->b/x:80': true, 'a/y->outside:80': true, 'a/y->b/y:80': true }],
    'an empty list of rules is none': [[{ podSelector: ALL, policyTypes: ['Ingress'], ingress: [] }], { 'b/x->a/y:80': false }],
    'policyTypes that are absent are Ingress': [[{ podSelector: ALL }], { 'b/x->a/y:80': false, 'a/y->b/x:80': true }],
    'policyTypes that are absent are both where there are rules for egress': [[{ podSelector: ALL, egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }] }], { 'b/x->a/y:80': false, 'a/y->b/x:80': false, 'a/y->outside:80': true }],
    'an empty rule lets everything in': [[{ podSelector: ALL, ingress: [{}] }], { 'outside->a/y:80': true, 'b/x->a/y:53/udp': true }],
    'an empty list of peers is everybody': [[{ podSelector: ALL, ingress: [{ from: [], ports: [{ port: 80 }] }] }], { 'outside->a/y:80': true, 'outside->a/y:81': false }],
    'only the Pods that are selected are isolated': [[{ podSelector: app('y'), policyTypes: ['Ingress'] }], { 'a/x->a/y:80': false, 'a/y->a/x:80': true, 'a/x->b/y:80': true }],
    'a podSelector names Pods of its own namespace': [[ingress([{ podSelector: app('x') }])], { 'a/x->a/y:80': true, 'a/z->a/y:80': false, 'b/x->a/y:80': false }],
    'an empty podSelector names all of them': [[ingress([{ podSelector: ALL }])], { 'a/x->a/y:80': true, 'b/x->a/y:80': false, 'outside->a/y:80': false }],
    'a namespaceSelector names all Pods of namespaces': [[ingress([{ namespaceSelector: team('b') }])], { 'b/x->a/y:80': true, 'b/z->a/y:80': true, 'a/x->a/y:80': false }],
    'an empty namespaceSelector names all Pods, and nobody else': [[ingress([{ namespaceSelector: ALL }])], { 'b/x->a/y:80': true, 'a/x->a/y:80': true, 'outside->a/y:80': false, 'near->a/y:80': false }],
    'both in one element must hold': [[ingress([{ namespaceSelector: team('b'), podSelector: app('x') }])], { 'b/x->a/y:80': true, 'b/y->a/y:80': false, 'a/x->a/y:80': false }],
    'in two elements one is enough': [[ingress([{ namespaceSelector: team('b') }, { podSelector: app('x') }])], { 'b/x->a/y:80': true, 'b/y->a/y:80': true, 'a/x->a/y:80': true, 'a/z->a/y:80': false }],
    'matchExpressions': [[ingress([{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['a'] }] }, podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['x', 'z'] }] } }])], { 'b/x->a/y:80': true, 'b/z->a/y:80': true, 'b/y->a/y:80': false, 'a/x->a/y:80': false }],
    'an ipBlock takes in addresses but its exceptions, whoever has them': [[ingress([{ ipBlock: { cidr: '10.0.0.0/24', except: ['10.0.0.4/31', '10.0.0.1/32'] } }])], { 'a/z->a/y:80': true, 'near->a/y:80': true, 'b/x->a/y:80': false, 'b/y->a/y:80': false, 'a/x->a/y:80': false, 'b/z->a/y:80': false, 'outside->a/y:80': false }],
    'what one block excepts another one lets in': [[ingress([{ ipBlock: { cidr: '10.0.0.0/24', except: ['10.0.0.0/29'] } }, { ipBlock: { cidr: '10.0.0.4/32' } }])], { 'b/x->a/y:80': true, 'b/y->a/y:80': false }],
    'an ipBlock of every address': [[ingress([{ ipBlock: { cidr: '0.0.0.0/0' } }])], { 'outside->a/y:80': true, 'b/x->a/y:53/udp': true }],
    'an ipBlock of IPv6 lets no IPv4 in': [[ingress([{ ipBlock: { cidr: '2001:db8::/32' } }])], { 'outside->a/y:80': false }],
    'a port is one of TCP unless it says otherwise': [[ingress(undefined, [{ port: 80 }])], { 'b/x->a/y:80': true, 'b/x->a/y:81': false, 'b/x->a/y:80/udp': false }],
    'ports of several protocols': [[ingress(undefined, [{ port: 80 }, { protocol: 'UDP', port: 53 }, { protocol: 'SCTP', port: 99 }])], { 'b/x->a/y:80': true, 'b/x->a/y:53/udp': true, 'b/x->a/y:99/sctp': true, 'b/x->a/y:53': false, 'b/x->a/y:99/udp': false }],
    'a protocol without a port is all of its ports': [[ingress(undefined, [{ protocol: 'UDP' }, { protocol: 'UDP', port: 53 }])], { 'b/x->a/y:5/udp': true, 'b/x->a/y:80': false }],
    'an endPort ends a range, which belongs to it': [[ingress(undefined, [{ port: 80, endPort: 90 }, { port: 85, endPort: 95 }])], { 'b/x->a/y:80': true, 'b/x->a/y:95': true, 'b/x->a/y:79': false, 'b/x->a/y:96': false }],
    'a named port is what the Pod calls so, of its protocol': [[ingress([{ podSelector: app('x') }], [{ port: 'web' }, { port: 'dns', protocol: 'UDP' }, { port: 'dns' }, { port: 'none' }])], { 'a/x->a/y:80': true, 'a/x->a/y:53/udp': true, 'a/x->a/y:53': false, 'a/x->a/y:81': false, 'a/z->a/y:80': false }],
    'peers and ports of one rule belong together, those of two do not': [[{ podSelector: app('y'), ingress: [{ from: [{ podSelector: app('x') }], ports: [{ port: 80 }] }, { from: [{ podSelector: app('z') }], ports: [{ port: 81 }] }] }], { 'a/x->a/y:80': true, 'a/x->a/y:81': false, 'a/z->a/y:81': true, 'a/z->a/y:80': false }],
    'no rule for egress: nothing goes out, everything comes in': [[{ podSelector: ALL, policyTypes: ['Egress'] }], { 'a/x->b/x:80': false, 'a/x->outside:80': false, 'a/x->a/x:80': true, 'b/x->a/x:80': true }],
    'egress to Pods': [[egress([{ podSelector: app('y') }, { namespaceSelector: team('b'), podSelector: app('z') }])], { 'a/x->a/y:80': true, 'a/x->b/z:80': true, 'a/x->b/y:80': false, 'a/x->outside:80': false }],
    'egress to addresses and ports': [[egress([{ ipBlock: { cidr: '192.0.2.0/24' } }], [{ port: 443 }])], { 'a/x->outside:443': true, 'a/x->outside:80': false, 'a/x->b/x:443': false }],
    'egress to a named port is what each destination calls so': [[egress([{ podSelector: app('y') }, { ipBlock: { cidr: '10.0.1.0/24' } }], [{ port: 'web' }])], { 'a/x->a/y:80': true, 'a/x->b/z:80': true, 'a/x->a/z:80': false, 'a/x->outside:80': false, 'a/x->a/y:81': false }],
    'egress to a named port of everybody': [[egress(undefined, [{ port: 'web' }])], { 'a/x->b/y:80': true, 'a/x->outside:80': false }],
    'policies add up': [[ingress([{ podSelector: app('x') }]), ingress([{ namespaceSelector: team('b') }], [{ port: 81 }]), { podSelector: ALL }], { 'a/x->a/y:80': true, 'b/x->a/y:81': true, 'b/x->a/y:80': false, 'a/z->a/y:80': false }],
    'both ends must agree': [[egress([{ podSelector: app('y') }], undefined, app('x')), ingress([{ podSelector: app('x') }], [{ port: 80 }], app('y'))], { 'a/x->a/y:80': true, 'a/x->a/y:81': false, 'a/x->a/z:80': false, 'a/z->a/y:80': false }],
  };
  for (const [name, [specs, expected]] of Object.entries(cases)) test(name, () => decides({ policies: specs.map((spec, i) => policy(`a/p${i}`, spec)) }, expected));

  test('Pods in the network of a node and finished Pods are no peers, and are not isolated', () => {
    const pods = [...PODS, pod('a/host', '10.9.9.9', { hostNetwork: true }), pod('a/done', '10.0.0.20', { phase: 'Succeeded' }), pod('a/failed', '10.0.0.21', { phase: 'Failed' })];
    decides({ pods, policies: [policy('a/p', ingress([{ podSelector: ALL }]))] }, { '10.9.9.9->a/x:80': false, '10.0.0.20->a/x:80': false, '10.0.0.21->a/x:80': false, 'outside->10.9.9.9:80': true, 'outside->10.0.0.20:80': true });
  });
  test('Pods of other nodes are theirs to isolate', () => decides({ policies: [policy('b/p', { podSelector: ALL })] }, { 'a/x->b/x:80': false, 'a/x->b/z:80': true }));
});

describe('PolicyState', () => {
  test('has no table while no Pod of this node is selected, and none after', () => {
    const node = new Node().set({ namespaces: NAMESPACES, pods: PODS });
    assert.deepEqual(node.script, 'table ip t\ndelete table ip t\n', 'what an earlier process left');
    assert.equal(node.set({ policies: [policy('b/p', { podSelector: app('z') })] }).script, '');
    assert.equal(node.set({ policies: [policy('a/p', { podSelector: ALL })] }).kernel.there, true);
    node.state.setPolicy('a/p', undefined);
    assert.equal(node.sync().kernel.there, false);
    assert.equal(node.sync().script, '');
  });
  test('a change of one Pod changes what is about it alone, and nothing where nothing is', () => {
    const node = new Node().set({ namespaces: NAMESPACES, pods: PODS, policies: [policy('a/p', ingress([{ podSelector: app('x') }]))] });
    node.set({ pods: [pod('b/z', '10.0.1.7', { node: 'there' })] });
    assert.equal(node.script, '');
    node.set({ pods: [pod('b/x', '10.0.0.4', { labels: { app: 'x', other: 'label' } })] });
    assert.equal(node.script, '');
    node.set({ pods: [pod('a/x', '10.0.0.99', { node: 'there' })] });
    assert.deepEqual(node.script.split('\n').filter((l) => l.includes('element')).map((l) => l.replace(/-[0-9a-f]{12}-a\/p/, '')), [
      'delete element ip t ingress-pods { 10.0.0.1 }', 'delete element ip t ingress-peers-0 { 10.0.0.1 }', 'add element ip t ingress-peers-0 { 10.0.0.99 }',
    ]);
  });
  test('labels of Pods and namespaces are followed', () => {
    const node = new Node().set({ namespaces: NAMESPACES, pods: PODS, policies: [policy('a/p', ingress([{ namespaceSelector: team('blue'), podSelector: app('x') }], undefined, app('y')))] });
    assert.equal(node.kernel.passes(packet('b/x->a/y:80')), false);
    assert.equal(node.set({ namespaces: [namespace('b', { team: 'blue' })] }).kernel.passes(packet('b/x->a/y:80')), true);
    assert.equal(node.set({ pods: [pod('b/x', IPS['b/x']!, { labels: { app: 'w' } })] }).kernel.passes(packet('b/x->a/y:80')), false);
    assert.equal(node.set({ pods: [pod('a/y', IPS['a/y']!, { labels: { app: 'w' } })] }).kernel.passes(packet('b/y->a/y:80')), true);
    assert.equal(node.kernel.there, false, 'nobody is selected any more');
  });
  test('an address that two Pods claim is that of the later one, and of none that is being deleted', () => {
    const node = new Node().set({ namespaces: NAMESPACES, pods: [pod('a/old', '10.0.0.1', { labels: { app: 'db' }, deleted: true, created: '2027-01-01T00:00:00Z' }), pod('a/new', '10.0.0.1')], policies: [policy('a/db', { podSelector: app('db') }), policy('b/p', { podSelector: ALL })] });
    assert.equal(node.kernel.passes(packet('outside->a/x:80')), true);
    node.set({ pods: [pod('a/newer', '10.0.0.1', { labels: { app: 'db' }, created: '2026-01-01T00:00:01Z' })] });
    assert.equal(node.kernel.passes(packet('outside->a/x:80')), false);
    node.state.setPod('a/newer', undefined);
    assert.equal(node.sync().kernel.passes(packet('outside->a/x:80')), true);
  });
  test('after a script that failed all is made anew', () => {
    const node = new Node().set({ namespaces: NAMESPACES, pods: PODS, policies: [policy('a/p', { podSelector: app('y') })] });
    node.state.setPolicy('a/q', compilePolicy(policy('a/q', { podSelector: app('x') })));
    assert.notEqual(node.state.change(), '');
    node.sync();
    assert.ok(node.script.startsWith('table ip t\ndelete table ip t\n'));
    assert.deepEqual(['outside->a/x:80', 'outside->a/y:80', 'outside->a/z:80'].map((p) => node.kernel.passes(packet(p))), [false, false, true]);
  });
});

describe('The rules', () => {
  const label = fc.constantFrom('x', 'y', 'z');
  const selector = fc.oneof(fc.constant(ALL), label.map(app), fc.uniqueArray(label, { minLength: 1 }).map((values) => ({ matchExpressions: [{ key: 'app', operator: 'In', values }] })));
  const nsSelector = fc.oneof(fc.constant(ALL), fc.constantFrom('a', 'b').map(team));
  const block = fc.constantFrom({ cidr: '10.0.0.0/24' }, { cidr: '0.0.0.0/0' }, { cidr: '10.0.0.0/16', except: ['10.0.0.2/31', '10.0.1.0/24'] }, { cidr: '192.0.2.0/24' }, { cidr: '10.0.0.4/32' });
  const peer: fc.Arbitrary<NetworkPolicyPeer> = fc.oneof(block.map((ipBlock) => ({ ipBlock })), selector.map((podSelector) => ({ podSelector })), nsSelector.map((namespaceSelector) => ({ namespaceSelector })), fc.record({ podSelector: selector, namespaceSelector: nsSelector }));
  const port: fc.Arbitrary<NetworkPolicyPort> = fc.constantFrom({ port: 80 }, { port: 'web' }, { protocol: 'UDP', port: 'dns' }, { protocol: 'UDP' }, { port: 79, endPort: 81 }, { protocol: 'UDP', port: 53 }, { port: 'other' });
  const rule = fc.record({ peers: fc.option(fc.array(peer, { maxLength: 2 }), { nil: undefined }), ports: fc.option(fc.array(port, { maxLength: 2 }), { nil: undefined }) });
  const rules = fc.array(rule, { maxLength: 2 });
  const spec: fc.Arbitrary<NetworkPolicySpec> = fc.record({ podSelector: selector, in: rules, out: rules, policyTypes: fc.constantFrom(undefined, ['Ingress'] as const, ['Egress'] as const, ['Ingress', 'Egress'] as const) }).map(({ podSelector, policyTypes, ...r }) => ({
    podSelector, policyTypes, ingress: r.in.map(({ peers, ports }) => ({ from: peers, ports })), egress: r.out.map(({ peers, ports }) => ({ to: peers, ports })),
  }));
  type Step = (world: { pods: Map<string, Pod>; namespaces: Map<string, Namespace>; policies: Map<string, NetworkPolicy> }, state: PolicyState) => void;
  const podStep: fc.Arbitrary<Step> = fc.record({ key: fc.constantFrom(...PODS.map(keyOf)), there: fc.boolean(), label, node: fc.constantFrom(HERE, HERE, 'there'), phase: fc.constantFrom('Running', 'Running', 'Failed'), hostNetwork: fc.constantFrom(false, false, true), ports: fc.constantFrom(PORTS, [], [{ name: 'web', containerPort: 81 }]) }).map(({ key, there, label: l, ...more }) => (world, state) => {
    const made = pod(key, IPS[key]!, { ...more, labels: { app: l } });
    if (there) world.pods.set(key, made);
    else world.pods.delete(key);
    state.setPod(key, there ? policyPodOf(littlePod(made), HERE) : undefined);
  });
  const namespaceStep: fc.Arbitrary<Step> = fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('a', 'b', 'c')).map(([name, t]) => (world, state) => {
    world.namespaces.set(name, namespace(name, { team: t }));
    state.setNamespace(name, { team: t });
  });
  const policyStep: fc.Arbitrary<Step> = fc.tuple(fc.constantFrom('a/p', 'a/q', 'b/p'), fc.option(spec, { nil: undefined, freq: 4 })).map(([key, s]) => (world, state) => {
    if (s) world.policies.set(key, policy(key, s));
    else world.policies.delete(key);
    state.setPolicy(key, s && compilePolicy(policy(key, s)));
  });
  const steps = fc.array(fc.array(fc.oneof(podStep, namespaceStep, { arbitrary: policyStep, weight: 2 }), { minLength: 1, maxLength: 4 }), { maxLength: 6 });
  const packets = Object.values(IPS).flatMap((from) => Object.values(IPS).flatMap((to) => [['tcp', 80], ['tcp', 81], ['udp', 53], ['tcp', 53]].map(([protocol, at]) => ({ from, to, protocol, port: at }) as Packet)));

  test('decide as the API reference does, and any row of changes leads to what a fresh start gives', () => {
    fc.assert(fc.property(steps, (batches) => {
      const world = { pods: new Map(PODS.map((p) => [keyOf(p), p])), namespaces: new Map(NAMESPACES.map((n) => [n.metadata.name!, n])), policies: new Map<string, NetworkPolicy>() };
      const now = (): World => ({ pods: [...world.pods.values()], namespaces: [...world.namespaces.values()], policies: [...world.policies.values()] });
      const node = new Node().set(now());
      for (const batch of batches) {
        for (const step of batch) step(world, node.state);
        node.sync();
        const evaluator = new Evaluator(now());
        for (const p of packets) assert.equal(node.kernel.passes(p), evaluator.passes(p, HERE), JSON.stringify(p));
      }
      assert.deepEqual(node.kernel.contents(), new Node().set(now()).kernel.contents());
    }), { numRuns: 60 });
  });
});
