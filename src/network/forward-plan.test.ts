import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import type { NftExpression, NftObject } from '#base/nft.ts';
import { acceptChainOf, addressesOfOthers, AS_WRITTEN, forwardScript, forwardTableOf, jumpsTo, planForwarding, tablesToRead } from './forward-plan.ts';

const place = { bridge: 'podyard0', clusterCIDR: '10.244.0.0/16', table: 'podyard' };
const COUNTER: NftExpression = { counter: { packets: 7, bytes: 420 } };
const DROP: NftExpression = { drop: null };
const chain = (text: string, hook?: string, policy?: string): NftObject => {
  const [family = '', table = '', name = ''] = text.split(' ');
  return { chain: { family, table, name, ...(hook && { hook }), ...(policy && { policy }) } };
};
const rule = (text: string, ...expr: NftExpression[]): NftObject => {
  const [family = '', table = '', name = ''] = text.split(' ');
  return { rule: { family, table, chain: name, handle: 9, expr } };
};
const match = (left: object, right: unknown): NftExpression => ({ match: { op: '==', left, right } });
const iif = (name: string): NftExpression => match({ meta: { key: 'iifname' } }, name);
const from = (addr: string, len: number): NftExpression => match({ payload: { protocol: 'ip', field: 'saddr' } }, { prefix: { addr, len } });
const FORWARD = 'ip filter FORWARD';
const docker = [chain(FORWARD, 'forward', 'drop'), rule(FORWARD, COUNTER, { jump: { target: 'DOCKER-USER' } }), rule(FORWARD, iif('docker0'), COUNTER, { accept: null })];
const firewalld = [
  chain('inet firewalld filter_FORWARD', 'forward', 'accept'),
  rule('inet firewalld filter_FORWARD', match({ ct: { key: 'status' } }, 'dnat'), { accept: null }),
  rule('inet firewalld filter_FORWARD', { reject: { type: 'icmpx', expr: 'admin-prohibited' } }),
];

describe('planForwarding', () => {
  const cases: readonly [name: string, objects: readonly NftObject[], blocked: boolean, problems?: readonly string[]][] = [
    ['nothing at all', [], false],
    ["Docker's policy", docker, true],
    ['policy accept, with rules that drop some', [chain(FORWARD, 'forward', 'accept'), rule(FORWARD, iif('docker0'), COUNTER, DROP)], false],
    ['policy accept, and a reject of all as iptables-nft prints it', [chain(FORWARD, 'forward', 'accept'), rule(FORWARD, COUNTER, { xt: { type: 'target', name: 'REJECT' } })], true],
    ['a log of all, and a target that an older nft does not tell', [chain(FORWARD, 'forward', 'accept'), rule(FORWARD, COUNTER, { log: null }), rule(FORWARD, COUNTER, { xt: null })], false],
    ['a log of all with the drop', [chain(FORWARD, 'forward', 'accept'), rule(FORWARD, { log: null }, COUNTER, DROP)], true],
    ['another chain of that name, without a hook', [chain(FORWARD)], false],
    ['what is dropped on its way in', [chain('ip filter INPUT', 'input', 'drop')], false],
    ['a policy in another table', [chain('inet filter forward', 'forward', 'drop')], false, ['inet filter forward']],
    ["a chain by hand in iptables' table", [...docker, chain('ip filter forward', 'forward', 'drop')], true, ['ip filter forward']],
    ['firewalld, which ends in a reject', firewalld, false, ['inet firewalld filter_FORWARD']],
    ["firewalld that has been told the Pods' range", [...firewalld, rule('inet firewalld filter_FORWARD_ZONES', from('10.244.0.0', 16), { goto: { target: 'x' } })], false],
    ["firewalld that has been told the Pods' bridge", [...firewalld, rule('inet firewalld filter_FORWARD_ZONES', iif('podyard0'), { goto: { target: 'x' } })], false],
    ['firewalld that has been told another range', [...firewalld, rule('inet firewalld filter_FORWARD_ZONES', from('10.244.0.0', 24), { goto: { target: 'x' } })], false, ['inet firewalld filter_FORWARD']],
    ['IPv6 alone, and bridges', [chain('ip6 filter FORWARD', 'forward', 'drop'), chain('bridge filter FORWARD', 'forward', 'drop')], false],
    ['clusters of this machine', [chain('ip podyard_1a2b3c4d_proxy filter-forward', 'forward', 'accept'), rule('ip podyard_1a2b3c4d_proxy filter-forward', DROP), chain('ip podyard_forward mark', 'forward', 'drop')], false],
    ['our own rules name the bridge, and are no sign that the administrator knows of it', [chain('ip filter forward', 'forward', 'drop'), rule(`ip filter ${acceptChainOf(place)}`, iif('podyard0'), { accept: null })], false, ['ip filter forward']],
  ];
  for (const [name, objects, blocked, problems = []] of cases) {
    test(name, () => {
      const plan = planForwarding(objects, false, place);
      assert.equal(plan.blocked, blocked);
      assert.deepEqual([...plan.problems.keys()], problems);
    });
  }

  test('iptables-legacy is told of where iptables-nft is not in use', () => {
    assert.match(planForwarding([], true, place).problems.get('iptables-legacy')!, /iptables-legacy -I FORWARD -i podyard0 -j ACCEPT && iptables-legacy -I FORWARD -o podyard0 -j ACCEPT$/);
    assert.equal(planForwarding(docker, true, place).problems.size, 0);
  });
  test('what is told has the commands that help', () => {
    const told = (objects: readonly NftObject[]): string => [...planForwarding(objects, false, place).problems.values()].join();
    assert.ok(told([chain('inet filter forward', 'forward', 'drop')]).endsWith('there: nft insert rule inet filter forward ip saddr 10.244.0.0/16 accept && nft insert rule inet filter forward ip daddr 10.244.0.0/16 accept'));
    assert.ok(told(firewalld).endsWith('there: firewall-cmd --permanent --zone=trusted --add-source=10.244.0.0/16 && firewall-cmd --reload'));
  });
  test('the jump and the content of the chain are seen, counters aside', () => {
    const own = `ip filter ${acceptChainOf(place)}`;
    const kept = rule(`ip ${forwardTableOf(place)} ${AS_WRITTEN}`, iif('podyard0'), COUNTER, { accept: null });
    const seen = (...objects: NftObject[]): readonly [jumps: boolean, isRight: boolean] => {
      const { jumps, isRight } = planForwarding([...docker, kept, ...objects], false, place);
      return [jumps, isRight];
    };
    const jump = rule(FORWARD, COUNTER, { jump: { target: acceptChainOf(place) } });
    assert.deepEqual(seen(jump, rule(own, iif('podyard0'), { counter: { packets: 1, bytes: 1 } }, { accept: null })), [true, true]);
    assert.deepEqual(seen(jump, rule(own, iif('docker0'), COUNTER, { accept: null })), [true, false]);
    assert.deepEqual(seen(), [false, false]);
  });
});

test('tablesToRead names each table once, and none of those that no forwarded packet goes through or that are ours', () => {
  const chains = [...docker, chain('ip filter forward', 'forward'), ...firewalld, chain('ip nat PREROUTING', 'prerouting'), chain('ip podyard_forward mark', 'forward'), chain('ip podyard_ab12_proxy filter-forward', 'forward')];
  assert.deepEqual(tablesToRead(chains), [['ip', 'filter'], ['inet', 'firewalld']]);
});
test('jumpsTo takes jumps that ask for nothing, from FORWARD alone', () => {
  const jump = { jump: { target: 'x' } };
  const all = [rule(FORWARD, COUNTER, jump), rule(FORWARD, iif('a'), jump), rule('ip filter OTHER', jump), rule('ip nat FORWARD', jump), rule(FORWARD, { jump: { target: 'y' } }), rule(FORWARD, jump)];
  assert.deepEqual(jumpsTo(all, 'x'), [all[0]!.rule, all[5]!.rule]);
});
test('names of chains are short enough for iptables, with the longest name of an interface', () => {
  assert.ok(acceptChainOf({ ...place, bridge: 'x'.repeat(15) }).length <= 28);
});
test('addressesOfOthers takes IPv4 addresses and nothing else that a Node says', () => {
  const node = (name: string, ...addresses: string[]): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {}, status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) } });
  assert.deepEqual(addressesOfOthers([node('me', '192.0.2.1'), node('b', '192.0.2.9', 'b', 'fd00::1', '192.0.2.3 } ; flush ruleset'), node('c', '192.0.2.2', '192.0.2.9'), node('d')], 'me'), ['192.0.2.2', '192.0.2.9']);
});

describe('forwardScript', () => {
  const [ours = '', theirs = ''] = forwardScript(place, ['192.0.2.2'], false).split('\nadd chain');
  test("writes nothing into iptables' table but what iptables-nft can list: no connection tracking, no sets", () => {
    assert.match(ours, /ct state/);
    assert.doesNotMatch(theirs, /ct |@|\{/);
  });
  test('inserts the jump only where there is none', () => {
    assert.ok(theirs.endsWith(`insert rule ip filter FORWARD counter jump ${acceptChainOf(place)}\n`));
    assert.doesNotMatch(forwardScript(place, [], true), /insert/);
  });
  test('names each of its own chains and sets, without elements where there are no other nodes', () => {
    assert.ok(ours.startsWith(`table ip ${forwardTableOf(place)}\ndelete table ip podyard_forward\n`));
    assert.match(forwardScript(place, [], false), /set nodes \{ type ipv4_addr; \}/);
  });
});
