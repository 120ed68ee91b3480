import assert from 'node:assert/strict';
import { test } from 'node:test';
import { machineOf } from '../testing/machines.ts';
import type { Hint, ResourceHints } from './hints.ts';
import { byNarrowness, countOf, hasNode, maskOf, masksOver, nodesOf } from './numa-mask.ts';
import { topologyPolicyOptions } from './policy-options.ts';
import { topologyPolicy, type TopologyPolicyName } from './policy.ts';

test('NUMA masks: nodes beyond 31, order, every set of nodes', () => {
  const mask = maskOf([0, 3, 252]);
  assert.deepEqual([nodesOf(mask), countOf(mask), hasNode(mask, 3), hasNode(mask, 4), hasNode(mask, -1)], [[0, 3, 252], 3, true, false, false]);
  assert.deepEqual(masksOver([0, 1, 4]).map(nodesOf), [[0], [1], [4], [0, 1], [0, 4], [1, 4], [0, 1, 4]]);
  assert.throws(() => masksOver(Array.from({ length: 17 }, (_, id) => id)), { message: 'resources on more than 16 NUMA nodes cannot be aligned' });
  assert.ok(byNarrowness(maskOf([5]), maskOf([0, 1])) < 0);
  assert.ok(byNarrowness(maskOf([0, 1]), maskOf([0, 2])) < 0);
});
for (const [options, want] of [
  [{}, { preferClosestNumaNodes: false, maxAllowableNumaNodes: 8 }],
  [{ 'prefer-closest-numa-nodes': 'T', 'max-allowable-numa-nodes': '12' }, { preferClosestNumaNodes: true, maxAllowableNumaNodes: 12 }],
  [{ fast: 'true' }, 'unknown Topology Manager Policy option: "fast"'],
  [{ 'prefer-closest-numa-nodes': 'yes' }, 'bad value for option "prefer-closest-numa-nodes": strconv.ParseBool: parsing "yes": invalid syntax'],
  [{ 'max-allowable-numa-nodes': '4' }, 'the minimum value of "max-allowable-numa-nodes" should not be less than 8'],
  [{ 'max-allowable-numa-nodes': 'many' }, 'unable to convert policy option to integer "max-allowable-numa-nodes": strconv.Atoi: parsing "many": invalid syntax'],
] as const) {
  test(`topologyPolicyOptions: ${JSON.stringify(options)}`, () => {
    if (typeof want === 'string') assert.throws(() => topologyPolicyOptions(options), { message: want });
    else assert.deepEqual(topologyPolicyOptions(options), want);
  });
}

/** `01` is nodes 0 and 1, `01*` prefers them; `any*`, `any`. */
const hint = (text: string): Hint => ({ nodes: text.startsWith('any') ? undefined : maskOf([...text.replace('*', '')].map(Number)), preferred: text.endsWith('*') });
/** `cpu: 0* 1* 01`; `none`: a provider without a preference; `gpu: -`: nowhere; `gpu: ?`: anywhere. */
const hints = (text: string): ResourceHints => new Map(text === 'none' ? [] : text.split(', ').map((resource) => {
  const [name = '', list = ''] = resource.split(': ');
  return [name, list === '?' ? undefined : list === '-' ? [] : list.split(' ').map(hint)];
}));
const show = ({ nodes, preferred }: Hint): string => `${nodes === undefined ? 'any' : nodesOf(nodes).join('')}${preferred ? '*' : ''}`;

/** Four nodes in a ring of two near pairs: 0-3 and 1-2. */
const NODES = machineOf({ sockets: 4, coresPerNode: 1, distances: [[10, 30, 20, 11], [30, 10, 11, 20], [20, 11, 10, 30], [11, 20, 30, 10]] }).nodes;
for (const [providers, bestEffort, single, closest = bestEffort] of [
  [['none'], '0123*', 'any*'],
  [['none', 'cpu: 0* 1*'], '0*', '0*'],
  [['cpu: 0* 1* 01', 'gpu: 1* 01'], '1*', '1*'],
  [['cpu: 0*', 'gpu: 1*'], '0123', 'any'],
  [['cpu: 0* 01', 'gpu: 1* 01'], '0', 'any'],
  [['cpu: 01* 23*'], '01*', 'any', '01*'],
  [['cpu: 01* 03* 12*'], '01*', 'any', '12*'],
  [['cpu: 02 12 01'], '01', 'any', '12'],
  // Not preferred: as many nodes as the most demanding resource needs, rather less than more.
  [['cpu: 0 01 012', 'gpu: 01 012'], '01', 'any'],
  [['cpu: 012 0123', 'gpu: 0 3'], '0', 'any'],
  [['gpu: -', 'cpu: 0* 1*'], '0', 'any'],
  [['gpu: ?', 'cpu: 0* 1*'], '0*', '0*'],
  [['gpu: any', 'cpu: 2*'], '2', 'any'],
  [['memory: 0* 1*, hugepages-1Gi: 1*', 'cpu: 0* 1* 01'], '1*', '1*'],
] as const) {
  test(`topology policies place ${providers.join(' + ')}`, () => {
    const place = (name: Exclude<TopologyPolicyName, 'none'>, near = false) => topologyPolicy(name, { 'prefer-closest-numa-nodes': String(near) }, NODES).place(providers.map(hints));
    const loose = place('best-effort');
    assert.deepEqual([show(loose), loose.admit], [bestEffort, true]);
    const strict = place('restricted');
    assert.deepEqual([show(strict), strict.admit], [bestEffort, bestEffort.endsWith('*')]);
    const one = place('single-numa-node');
    assert.deepEqual([show(one), one.admit], [single, single.endsWith('*')]);
    assert.equal(show(place('best-effort', true)), closest, 'with prefer-closest-numa-nodes');
    assert.equal(show(place('single-numa-node', true)), single, 'with prefer-closest-numa-nodes');
  });
}
test('topologyPolicy refuses machines with more nodes than are allowed, and such that do not tell their distances', () => {
  const { nodes } = machineOf({ sockets: 9, coresPerNode: 1 });
  assert.throws(() => topologyPolicy('restricted', {}, nodes), { message: 'unsupported on machines with more than 8 NUMA Nodes' });
  assert.equal(topologyPolicy('restricted', { 'max-allowable-numa-nodes': '9' }, nodes).name, 'restricted');
  assert.throws(() => topologyPolicy('restricted', { 'prefer-closest-numa-nodes': 'true' }, [{ ...NODES[0]!, distances: undefined }]), { message: 'cannot discover NUMA topology: the distances between NUMA nodes are not known' });
});
