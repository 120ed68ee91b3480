import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { sleep, systemClock } from '#base/clock.ts';
import type { Store } from '#store/contract.ts';
import { openMemoryStore } from '#store/memory.ts';
import { startServer, type Fixture } from './fixture.ts';
import type { Flood, FloodAnswers } from './flood.ts';
import { Requests } from './requests.ts';

const CMS = '/api/v1/namespaces/default/configmaps';
const FLOW = '/apis/flowcontrol.apiserver.k8s.io/v1';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const SHARED_SEATS = 6;
const CONNECTIONS = 80;
/** On a busy machine. Who gets no turn waits for a quarter of a minute, and is refused. */
const MAX_WAIT_MS = 5_000;
const RING = 128;
/** What a write to an ordinary disk takes. */
const FLUSH_MS = 5;
/** The store with the time that a disk takes: writes hold their seats for as long. */
function slowed(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const run = value.bind(target) as (...args: unknown[]) => unknown;
      return name === 'create' || name === 'update' ? async (...args: unknown[]) => sleep(systemClock, FLUSH_MS).then(() => run(...args)) : run;
    },
  });
}
const clientOf = (name: string) => ({ 'impersonate-user': name, 'impersonate-group': 'clients' });
let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer({ store: slowed(openMemoryStore()), inFlight: { maxReadOnly: 4, maxMutating: 2 }, watchCacheCapacity: RING });
  http = new Requests(fixture);
  const make = async (path: string, body: object): Promise<void> => assert.equal((await http.post(path, body)).code, 201, path);
  await make(`${RBAC}/clusterroles`, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'clients' }, rules: [{ apiGroups: [''], resources: ['configmaps', 'secrets'], verbs: ['*'] }] });
  await make(`${RBAC}/clusterrolebindings`, {
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: 'clients' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'clients' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'clients' }],
  });
  await make(`${FLOW}/prioritylevelconfigurations`, {
    apiVersion: 'flowcontrol.apiserver.k8s.io/v1', kind: 'PriorityLevelConfiguration', metadata: { name: 'shared' },
    spec: { type: 'Limited', limited: { nominalConcurrencyShares: 1000, limitResponse: { type: 'Queue', queuing: { queues: 64, handSize: 4, queueLengthLimit: 8 } } } },
  });
  await make(`${FLOW}/flowschemas`, {
    apiVersion: 'flowcontrol.apiserver.k8s.io/v1', kind: 'FlowSchema', metadata: { name: 'clients' },
    spec: {
      priorityLevelConfiguration: { name: 'shared' }, matchingPrecedence: 500, distinguisherMethod: { type: 'ByUser' },
      rules: [{ subjects: [{ kind: 'Group', group: { name: 'clients' } }], resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] }] }],
    },
  });
  const names = ['victims', ...Array.from({ length: CONNECTIONS }, (_, i) => `flood-${i}`)];
  await Promise.all(names.map((name) => make(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })));
  for (let i = 0; i < 400 && (await http.get(`${CMS}/victims`, clientOf('victim'))).headers['x-kubernetes-pf-prioritylevel-uid'] === undefined; i++) await new Promise((resolve) => setImmediate(resolve));
});
after(async () => {
  http.close();
  await fixture.close();
});

/** Milliseconds of `count` reads and writes of the victim, one after the other; every one must be answered well. */
async function victim(count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    const answer = i % 4 === 3 ? await http.call('PATCH', `${CMS}/victims`, { body: { data: { n: String(i) } }, headers: { ...clientOf('victim'), 'content-type': 'application/merge-patch+json' } }) : await http.get(`${CMS}/victims`, clientOf('victim'));
    times.push(performance.now() - began);
    assert.equal(answer.code, 200, answer.text);
  }
  return times.toSorted((a, b) => a - b);
}
const at = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
const figures = (sorted: readonly number[]): string => `p50 ${at(sorted, 0.5).toFixed(1)} ms, p99 ${at(sorted, 0.99).toFixed(1)} ms`;

/** A watch whose answer is left in the socket. */
async function lazyWatch(path: string): Promise<TLSSocket> {
  const socket = connect({ port: fixture.server.port, host: '127.0.0.1', ...http.tls });
  await once(socket, 'secureConnect');
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await once(socket, 'readable');
  return socket;
}

test('a user who floods waits and is refused; another user of the same level is answered', { timeout: 60_000 }, async (t) => {
  const quiet = await victim(50);
  const flood: Flood = { url: `${fixture.url}${CMS}/flood`, ...http.tls, headers: clientOf('flood'), connections: CONNECTIONS };
  const worker = new Worker(new URL('flood.ts', import.meta.url), { workerData: flood });
  let pressed: number[];
  let answers: FloodAnswers;
  try {
    await once(worker, 'message');
    pressed = await victim(100);
    worker.postMessage('stop', []);
    [answers] = (await once(worker, 'message')) as [FloodAnswers];
  } finally {
    await worker.terminate();
  }
  t.diagnostic(`victim alone: ${figures(quiet)}; beside a flood of ${CONNECTIONS} connections: ${figures(pressed)}; the flood was answered ${JSON.stringify(answers)}`);
  // 80 at a time for six seats and four queues of eight: most are told to come back.
  assert.ok(answers['429']! > 0 && answers['200']! > 0, JSON.stringify(answers));
  const metrics = (await http.get('/metrics')).text;
  // What a request waits in a queue is no time of the server's own.
  const patched = (name: string) => Number(new RegExp(`^${name}_sum\\{verb="PATCH",[^}]*resource="configmaps",[^}]*\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
  const [whole, own] = [patched('apiserver_request_duration_seconds'), patched('apiserver_request_sli_duration_seconds')];
  assert.ok(own > 0 && whole - own > FLUSH_MS / 1000, `${own} of ${whole} seconds`);
  assert.match(metrics, new RegExp(`apiserver_flowcontrol_nominal_limit_seats\\{priority_level="shared"\\} ${SHARED_SEATS}\n`));
  assert.match(metrics, /apiserver_flowcontrol_rejected_requests_total\{flow_schema="clients",priority_level="shared",reason="queue-full"\} [1-9]/);
  assert.ok(at(pressed, 0.99) < MAX_WAIT_MS, `the victim waits too long: ${figures(pressed)}`);
});

test('a client that does not read its watch is cut off; it holds up no writer and no other watcher', { timeout: 60_000 }, async (t) => {
  const lazy = await Promise.all(Array.from({ length: 20 }, () => lazyWatch(`${CMS}?watch=1`)));
  const reader = await http.open('GET', `${CMS}?watch=1&fieldSelector=metadata.name%3Dbig`, { headers: clientOf('reader') });
  const watched = { events: 0 };
  reader.on('data', (chunk: Buffer) => (watched.events += chunk.toString('latin1').split('\n').length - 1));
  const before = process.memoryUsage().arrayBuffers;
  assert.equal((await http.post(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'big' } }, clientOf('writer'))).code, 201);
  const began = performance.now();
  const writes = RING * 2;
  for (let i = 0; i < writes; i++) {
    const answer = await http.call('PATCH', `${CMS}/big`, { body: { data: { text: `${i} ${'y'.repeat(40_000)}` } }, headers: { ...clientOf('writer'), 'content-type': 'application/merge-patch+json' } });
    assert.equal(answer.code, 200, answer.text);
  }
  const took = performance.now() - began;
  const times = await victim(100);
  for (let i = 0; i < 400 && watched.events < writes + 1; i++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.equal(watched.events, writes + 1);
  const held = (process.memoryUsage().arrayBuffers - before) / 1024 / 1024;
  t.diagnostic(`${writes} writes of 40 KB past 20 watches that nobody reads: ${(took / writes).toFixed(1)} ms each, ${held.toFixed(0)} MB held; victim: ${figures(times)}`);
  // All of the events for each of the twenty would be 400 MB; the ring shares 256 of them.
  assert.ok(held < 150, `${held} MB are held`);
  for (const socket of lazy) {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text = `${text}${chunk.toString('latin1')}`.slice(-4096)));
    socket.resume();
    for (let i = 0; i < 400 && !text.includes('"code":410'); i++) await new Promise((resolve) => setTimeout(resolve, 25));
    assert.match(text, /"type":"ERROR".*"reason":"Expired".*"code":410/);
    socket.destroy();
  }
  reader.destroy();
  assert.ok(at(times, 0.99) < MAX_WAIT_MS, figures(times));
});

test('clients that do not read their lists give their seats back', { timeout: 60_000 }, async (t) => {
  for (let i = 0; i < 4; i++) {
    const answer = await http.post(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `large-${i}` }, data: { text: 'z'.repeat(900_000) } }, clientOf('writer'));
    assert.equal(answer.code, 201, answer.text.slice(0, 500));
  }
  // More than there are seats, each with more than the window of its connection.
  const lazy = new Requests(fixture);
  const began = performance.now();
  const lists = await Promise.all(Array.from({ length: 2 * SHARED_SEATS }, (_, i) => lazy.open('GET', CMS, { headers: clientOf(`lazy-${i}`) })));
  const took = performance.now() - began;
  const times = await victim(20);
  t.diagnostic(`${lists.length} lists that nobody reads begin within ${took.toFixed(0)} ms; victim: ${figures(times)}`);
  lazy.close();
  assert.ok(at(times, 0.99) < MAX_WAIT_MS, figures(times));
});
