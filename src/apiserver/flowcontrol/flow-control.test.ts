import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FlowSchema, PriorityLevelConfiguration } from '#api/gen/flowcontrol-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { StatusError } from '#machinery/status-error.ts';
import { FakeReader } from '../authentication/testing/fakes.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';
import { Query } from '../query.ts';
import { danglingCondition } from './config-controller.ts';
import { FlowControl, type Flow } from './flow-control.ts';
import type { FlowRequest } from './queue-set.ts';

const API = 'flowcontrol.apiserver.k8s.io/v1';
type Limited = NonNullable<PriorityLevelConfiguration['spec']['limited']>;
const level = (name: string, limited: Limited): PriorityLevelConfiguration => ({ apiVersion: API, kind: 'PriorityLevelConfiguration', metadata: { name, uid: `uid-${name}` }, spec: { type: 'Limited', limited } });
const queued = (shares: number, queuing = { queues: 16, handSize: 4, queueLengthLimit: 10 }, more: Partial<Limited> = {}): Limited => ({ nominalConcurrencyShares: shares, limitResponse: { type: 'Queue', queuing }, ...more });
const schema = (name: string, to: string, precedence: number, subject: string, by?: string): FlowSchema => ({
  apiVersion: API, kind: 'FlowSchema', metadata: { name, uid: `uid-${name}` },
  spec: {
    priorityLevelConfiguration: { name: to }, matchingPrecedence: precedence, ...(by ? { distinguisherMethod: { type: by } } : {}),
    rules: [{ subjects: [{ kind: 'Group', group: { name: subject } }], resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] }] }],
  },
});
const info = (verb = 'get', more: Partial<RequestInfo> = {}): RequestInfo => ({ isResourceRequest: true, verb, path: '/api/v1/pods', apiGroup: '', apiVersion: 'v1', namespace: '', resource: 'pods', subresource: '', name: 'p', ...more });
const user = (name: string, ...groups: string[]): UserInfo => ({ name, groups: [...groups, 'system:authenticated'] });
const NEVER = new AbortController().signal;

/** Seats for the users of the group `clients`: all of the server's, as the mandatory catch-all has few shares. */
function world(seats: number, objects: readonly (FlowSchema | PriorityLevelConfiguration)[], counts = { objects: () => 0, bytes: () => 0, watchers: () => 0 }) {
  const clock = new FakeClock();
  const reader = new FakeReader(...objects);
  const flow = new FlowControl({ reader, clock, counts, totalSeats: seats, waitLimitMs: 15_000 });
  flow.start();
  const enter = (who: UserInfo, what = info(), query = Query.empty, signal = NEVER) => {
    const to = flow.classify(what, who);
    return { to, turn: (async () => flow.enter(to, what, query, who, () => signal))() };
  };
  return { clock, reader, flow, enter };
}
const CLIENTS = [level('shared', queued(1000)), schema('clients', 'shared', 500, 'clients', 'ByUser')];

test('a client that floods cannot starve another one', async () => {
  const { flow, clock, enter } = world(8, CLIENTS);
  const running: { to: Flow; request: FlowRequest }[] = [];
  let refused = 0;
  const done = { flood: 0, other: 0 };
  const go = (who: UserInfo, started: () => void): void => {
    const { to, turn } = enter(who);
    turn.then((request) => { running.push({ to, request }); started(); }, () => refused++);
  };
  for (let i = 0; i < 500; i++) go(user('mallory', 'clients'), () => done.flood++);
  await flushMicrotasks();
  assert.ok(refused > 400, `${refused} of the flood are refused`);
  for (let i = 0; i < 10; i++) go(user('alice', 'clients'), () => done.other++);
  await flushMicrotasks();
  const before = done.flood;
  // The flood goes on: whenever one of its requests ends, it sends two more.
  while (done.other < 10 && done.flood < 500) {
    await clock.advance(10);
    const { to, request } = running.shift()!;
    flow.leave(to, request);
    for (let i = 0; i < 2; i++) go(user('mallory', 'clients'), () => done.flood++);
    await flushMicrotasks();
  }
  assert.equal(done.other, 10);
  assert.ok(done.flood - before <= 12, `alice waits for ${done.flood - before} of mallory's`);
  flow.stop();
});

test('a client that long used less than its share has no credit by that over one that comes new', async () => {
  const { flow, clock, enter } = world(10, [level('shared', queued(1000, { queues: 64, handSize: 1, queueLengthLimit: 10 })), CLIENTS[1]!]);
  const seats = [...flow.levels].find((l) => l.name === 'shared')!.current;
  const running: { to: Flow; request: FlowRequest }[] = [];
  const order: string[] = [];
  const go = (name: string): void => {
    const { to, turn } = enter(user(name, 'clients'));
    void turn.then((request) => { running.push({ to, request }); order.push(name); });
  };
  // One seat for bob, all others for alice, for a long time.
  go('bob');
  for (let i = 1; i < seats; i++) go('alice');
  await flushMicrotasks();
  await clock.advance(10_000);
  order.length = 0;
  for (let i = 0; i < 8; i++) go('bob');
  go('carol');
  await flushMicrotasks();
  const alices = running.filter(({ request }) => request.user.name === 'alice');
  for (const { to, request } of alices) {
    flow.leave(to, request);
    await flushMicrotasks();
  }
  assert.ok(order.indexOf('carol') <= 2, `carol waits for ${order.indexOf('carol')} of bob's: ${order.join(' ')}`);
  assert.ok(order.includes('carol'));
  flow.stop();
});

test('requests beyond seats and queues are refused with 429, the reason and when to come back', async () => {
  const { flow, enter, clock } = world(2, [level('shared', queued(1000, { queues: 1, handSize: 1, queueLengthLimit: 1 })), schema('clients', 'shared', 500, 'clients')]);
  const limit = [...flow.levels].find((l) => l.name === 'shared')!.current;
  const held = await Promise.all(Array.from({ length: limit }, () => enter(user('a', 'clients')).turn));
  const waits = enter(user('a', 'clients')).turn;
  const over = enter(user('a', 'clients')).turn;
  await assert.rejects(over, (err) => err instanceof StatusError && err.code === 429 && err.status.details?.retryAfterSeconds === 1 && err.message === 'Too many requests, please try again later.');
  const late = assert.rejects(waits, { message: 'Too many requests, please try again later.' });
  await clock.advance(15_000);
  await late;
  const gone = new AbortController();
  const cancelled = assert.rejects(enter(user('a', 'clients'), info(), Query.empty, gone.signal).turn);
  await flushMicrotasks();
  gone.abort();
  await cancelled;
  const text = flow.metricsText();
  for (const reason of ['queue-full', 'time-out', 'cancelled']) {
    assert.match(text, new RegExp(`apiserver_flowcontrol_rejected_requests_total\\{flow_schema="clients",priority_level="shared",reason="${reason}"\\} 1\n`));
  }
  assert.match(text, new RegExp(`apiserver_flowcontrol_current_executing_requests\\{flow_schema="clients",priority_level="shared"\\} ${held.length}\n`));
  flow.stop();
});

test('a level that rejects has no queue', async () => {
  const { flow, enter } = world(1, [level('strict', { nominalConcurrencyShares: 1000, limitResponse: { type: 'Reject' } }), schema('clients', 'strict', 500, 'clients')]);
  const limit = [...flow.levels].find((l) => l.name === 'strict')!.current;
  for (let i = 0; i < limit; i++) await enter(user('a', 'clients')).turn;
  await assert.rejects(enter(user('a', 'clients')).turn);
  assert.match(flow.metricsText(), /reason="concurrency-limit"\} 1\n/);
  flow.stop();
});

test('the exempt level never waits, and serves system:masters without any object', async () => {
  const { flow, enter } = world(1, []);
  const all = await Promise.all(Array.from({ length: 50 }, () => enter(user('root', 'system:masters')).turn));
  assert.equal(all.length, 50);
  assert.equal(enter(user('someone')).to.name, 'catch-all');
  flow.stop();
});

test('the lowest precedence that matches wins, and schemas without a level do not count', async () => {
  const { flow, reader, enter } = world(10, [...CLIENTS, schema('first', 'missing', 100, 'clients'), schema('third', 'shared', 500, 'clients')]);
  assert.equal(enter(user('a', 'clients')).to.name, 'clients');
  reader.put(level('missing', queued(1)));
  await flushMicrotasks();
  assert.equal(enter(user('a', 'clients')).to.name, 'first');
  assert.equal(enter(user('a', 'clients'), info('get', { isResourceRequest: false, path: '/version' })).to.name, 'catch-all');
  flow.stop();
});

test('a level whose object goes keeps its requests until they are done', async () => {
  const { flow, reader, enter } = world(10, CLIENTS);
  const { to, turn } = enter(user('a', 'clients'));
  const request = await turn;
  reader.remove(CLIENTS[0]!);
  await flushMicrotasks();
  assert.equal(enter(user('a', 'clients')).to.name, 'catch-all');
  assert.ok([...flow.levels].some((l) => l.name === 'shared' && l.quiescing));
  flow.leave(to, request);
  assert.ok(![...flow.levels].some((l) => l.name === 'shared'));
  flow.stop();
});

test('wide lists take more seats, writes keep some while watchers are told', async () => {
  let average = 1000;
  const counts = { objects: () => 950, bytes: () => 950 * average, watchers: () => 45 };
  const { flow, enter, clock } = world(100, CLIENTS, counts);
  const queues = [...flow.levels].find((l) => l.name === 'shared')!.queues;
  const list = enter(user('a', 'clients'), info('list', { name: '' }));
  flow.leave(list.to, await list.turn);
  assert.equal((await list.turn).seats, 10);
  const page = await enter(user('a', 'clients'), info('list', { name: '' }), Query.parse('limit=250')).turn;
  assert.equal(page.seats, 3);
  flow.leave(list.to, page);
  average = 100;
  const light = await enter(user('a', 'clients'), info('list', { name: '' })).turn;
  assert.equal(light.seats, 1);
  flow.leave(list.to, light);
  // A list of one object by its name is cheap unless the object is large.
  average = 150_000;
  const single = await enter(user('a', 'clients'), info('list', { name: 'x' })).turn;
  assert.equal(single.seats, 2);
  flow.leave(list.to, single);
  const write = enter(user('a', 'clients'), info('create', { name: '' }));
  flow.leave(write.to, await write.turn);
  assert.equal(queues.seatsInUse, 5);
  await clock.advance(5);
  assert.equal(queues.seatsInUse, 0);
  flow.stop();
});

test('seats that nobody uses are lent to a level that needs them, within its limits', async () => {
  const [idle, busy, capped] = [level('idle', queued(50, undefined, { lendablePercent: 80 })), level('busy', queued(25)), level('capped', queued(25, undefined, { borrowingLimitPercent: 20 }))];
  const { flow, enter, clock } = world(100, [idle, busy, capped, schema('b', 'busy', 10, 'busy', 'ByUser'), schema('c', 'capped', 10, 'capped', 'ByUser')]);
  const seatsOf = (name: string) => [...flow.levels].find((l) => l.name === name)!.current;
  const nominal = seatsOf('busy');
  for (let i = 0; i < 60; i++) {
    enter(user(`u${i}`, 'busy')).turn.catch(() => {});
    enter(user(`u${i}`, 'capped')).turn.catch(() => {});
  }
  await clock.advance(20_000);
  assert.ok(seatsOf('busy') > nominal, `busy has ${seatsOf('busy')} of nominally ${nominal}`);
  assert.equal(seatsOf('capped'), nominal + Math.round(nominal * 0.2));
  assert.ok(seatsOf('idle') >= 9 && seatsOf('idle') < 20, `idle keeps ${seatsOf('idle')}`);
  flow.stop();
});

test('danglingCondition says whether the level exists, and nothing when that is said already', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');
  const made = danglingCondition(CLIENTS[1] as FlowSchema, false, now)!;
  assert.deepEqual(made, {
    type: 'Dangling', status: 'True', reason: 'NotFound', lastTransitionTime: '2026-01-02T03:04:05Z',
    message: 'This FlowSchema references the PriorityLevelConfiguration object named "shared" but there is no such object',
  });
  const said = { ...(CLIENTS[1] as FlowSchema), status: { conditions: [made] } };
  assert.equal(danglingCondition(said, false, now + 5000), undefined);
  assert.equal(danglingCondition(said, true, now + 5000)?.lastTransitionTime, '2026-01-02T03:04:10Z');
});
