import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PriorityLevelConfigurationSpec } from '#api/gen/flowcontrol-v1.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';
import { seatLimits, shareSeats } from './concurrency-limits.ts';
import { DroppedRequests } from './dropped-requests.ts';
import { flowMatcher } from './match.ts';
import { SeatDemand } from './seat-demand.ts';
import { dealHand, firstCard, flowHash } from './shuffle-sharding.ts';

test('dealHand deals different queues, the same ones for the same flow, and all queues alike', () => {
  const counts = Array.from({ length: 16 }, () => 0);
  for (let i = 0; i < 4000; i++) {
    const hash = flowHash('schema', `user-${i}`);
    const hand = dealHand(hash, 16, 4);
    assert.equal(new Set(hand).size, 4);
    assert.ok(hand.every((q) => q >= 0 && q < 16));
    assert.deepEqual(dealHand(hash, 16, 4), hand);
    assert.equal(firstCard(hash, 16), hand[0]);
    for (const q of hand) counts[q]! += 1;
  }
  for (const n of counts) assert.ok(n > 850 && n < 1150, `each queue is dealt about 1000 times: ${counts.join(' ')}`);
  assert.deepEqual(dealHand(1, 3, 8).toSorted(), [0, 1, 2]);
});

test('seatLimits gives the server of 600 seats upstream\'s limits', () => {
  const limited = (nominalConcurrencyShares: number, lendablePercent: number): PriorityLevelConfigurationSpec => ({ type: 'Limited', limited: { nominalConcurrencyShares, lendablePercent } });
  const specs = [limited(30, 33), limited(40, 25), limited(10, 0), limited(40, 50), limited(100, 90), limited(20, 50), limited(5, 0), { type: 'Exempt', exempt: { nominalConcurrencyShares: 0 } }];
  const limits = seatLimits(specs, 600);
  assert.deepEqual(limits.map((l) => l.nominal), [74, 98, 25, 98, 245, 49, 13, 0]);
  assert.deepEqual(limits.map((l) => l.lower), [50, 73, 25, 49, 24, 24, 13, 0]);
  assert.equal(limits[0]!.upper, 674);
});

test('shareSeats gives everyone the same part of its target within its bounds', () => {
  const even = shareSeats([{ lower: 0, upper: 100, target: 30 }, { lower: 0, upper: 100, target: 10 }], 20);
  assert.deepEqual(even.seats.map((n) => Math.round(n)), [15, 5]);
  const bounded = shareSeats([{ lower: 12, upper: 100, target: 12 }, { lower: 0, upper: 5, target: 90 }, { lower: 0, upper: 100, target: 90 }], 60);
  assert.deepEqual(bounded.seats.map((n) => Math.round(n)), [12, 5, 43]);
  assert.deepEqual(shareSeats([{ lower: 5, upper: 9, target: 5 }, { lower: 7, upper: 9, target: 7 }], 10).seats, [5, 7]);
  assert.deepEqual(shareSeats([{ lower: 1, upper: 4, target: 1 }, { lower: 1, upper: 3, target: 2 }], 100).seats, [4, 3]);
});

test('SeatDemand weighs by time', () => {
  const demand = new SeatDemand(0);
  demand.add(4, 0);
  demand.add(-4, 500);
  assert.deepEqual(demand.take(1000), { average: 2, standardDeviation: 2, highWatermark: 4 });
  assert.deepEqual(demand.take(2000), { average: 0, standardDeviation: 0, highWatermark: 0 });
});

test('DroppedRequests sends clients away for longer while there are many, and back again', () => {
  const dropped = new DroppedRequests();
  let now = 1000;
  for (let i = 0; i < 20; i++) dropped.refused(now);
  assert.equal(dropped.refused((now += 1000)), 2);
  for (let i = 0; i < 20; i++) dropped.refused(now);
  assert.equal(dropped.refused((now += 2000)), 4);
  assert.equal(dropped.refused(now + 60_000), 1);
});

test('flowMatcher knows users, groups, service accounts, resources, scopes and paths', () => {
  const request = (verb: string, namespace: string, resource: string, subresource = ''): RequestInfo => ({ isResourceRequest: true, verb, path: '', apiGroup: 'apps', apiVersion: 'v1', namespace, resource, subresource, name: '' });
  const path = (text: string): RequestInfo => ({ isResourceRequest: false, verb: 'get', path: text, apiGroup: '', apiVersion: '', namespace: '', resource: '', subresource: '', name: '' });
  const who = (name: string, ...groups: string[]): UserInfo => ({ name, groups });
  const rule = { verbs: ['get'], apiGroups: ['apps'], resources: ['deployments', 'deployments/scale'], namespaces: ['a'] };
  const byUser = flowMatcher([{ subjects: [{ kind: 'User', user: { name: 'u' } }, { kind: 'ServiceAccount', serviceAccount: { namespace: 'n', name: '*' } }], resourceRules: [rule], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['/healthz', '/debug/*'] }] }]);
  assert.equal(byUser(request('get', 'a', 'deployments'), who('u')), true);
  assert.equal(byUser(request('get', 'a', 'deployments', 'scale'), who('system:serviceaccount:n:sa')), true);
  assert.equal(byUser(request('get', 'a', 'deployments', 'status'), who('u')), false);
  assert.equal(byUser(request('list', 'a', 'deployments'), who('u')), false);
  assert.equal(byUser(request('get', 'b', 'deployments'), who('u')), false);
  assert.equal(byUser(request('get', '', 'deployments'), who('u')), false);
  assert.equal(byUser(request('get', 'a', 'deployments'), who('system:serviceaccount:m:sa')), false);
  assert.equal(byUser(path('/debug/x'), who('u')), true);
  assert.equal(byUser(path('/debug'), who('u')), false);
  assert.equal(byUser(path('/healthz'), who('v')), false);
  const byGroup = flowMatcher([{ subjects: [{ kind: 'Group', group: { name: '*' } }], resourceRules: [{ ...rule, verbs: ['*'], clusterScope: true, namespaces: [] }] }]);
  assert.equal(byGroup(request('watch', '', 'deployments'), who('any')), true);
  assert.equal(byGroup(request('watch', 'a', 'deployments'), who('any')), false);
});
