import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import type { RequestInfo } from '../interfaces.ts';
import { Query } from '../query.ts';
import { warningHeader } from '../warnings.ts';
import { compareVersions, storageVersionHash } from './discovery.ts';
import { encodeList } from './encode.ts';
import type { Exchange, ResponseStream } from './exchange.ts';
import { answerHealth } from './health.ts';
import { ENTRIES_A_TURN, joinList, listFrame, listParts } from './join-list.ts';
import { Lifetime, Lifetimes } from './lifetime.ts';
import { ServerMetrics } from './metrics.ts';
import { aggregatedVersion } from './paths.ts';
import { durationMs, mediaTypeOf } from './request-handler.ts';
import { requestMetricsText, RequestSeries } from './request-metrics.ts';
import { writeResult } from './responder.ts';
import { WatchEncoder } from './watch-encoder.ts';
import { genericStrategy } from '../strategies/generic.ts';
import { resourceOf } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import type { ListIdentity } from '../registry/list-memo.ts';
import { structCodec } from '../registry/struct-codec.ts';
import type { ServedResource } from '../registry/resource-registry.ts';
import { Entry } from '#store/entry.ts';

const info = resourceOf('', 'v1', 'configmaps');
const served: ServedResource = { info, strategy: genericStrategy(info), codec: structCodec(structByKind('', 'v1', 'ConfigMap')!), storage: undefined, subresources: new Map() };
const JSON_FORMAT = { mediaType: 'application/json', transform: undefined, version: '', pretty: undefined, indent: false, include: 'Metadata', now: 0 } as const;
const entry = new Entry('/registry/configmaps/default/a', { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a', resourceVersion: '7' } }, 7);

test('compareVersions puts stable versions first, higher numbers before lower', () => {
  assert.deepEqual(['v1beta1', 'v1', 'v2alpha1', 'foo', 'v2', 'v1beta2'].toSorted(compareVersions), ['v2', 'v1', 'v1beta2', 'v1beta1', 'v2alpha1', 'foo']);
});
test('storageVersionHash is upstream\'s', () => assert.equal(storageVersionHash('', 'v1', 'Pod'), 'xPOwRZ+Yhw8='));

test('aggregatedVersion takes the clause that comes before plain JSON', () => {
  const clause = (v: string) => `application/json;g=apidiscovery.k8s.io;v=${v};as=APIGroupDiscoveryList`;
  assert.equal(aggregatedVersion(`${clause('v2')},${clause('v2beta1')},application/json`), 'v2');
  assert.equal(aggregatedVersion(`${clause('v3')},${clause('v2beta1')}`), 'v2beta1');
  assert.equal(aggregatedVersion(`application/json,${clause('v2')}`), undefined);
  assert.equal(aggregatedVersion(undefined), undefined);
});

test('answerHealth names what failed, not why', async () => {
  const checks = [{ name: 'ping', check: () => true }, { name: 'etcd', check: () => Promise.reject(new Error('secret')) }];
  assert.deepEqual(await answerHealth('readyz', '', Query.empty, checks), { code: 500, text: '[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n' });
  assert.deepEqual(await answerHealth('readyz', '', Query.parse('exclude=etcd&verbose'), checks), { code: 200, text: '[+]ping ok\n[+]etcd excluded: ok\nreadyz check passed\n' });
  assert.equal((await answerHealth('livez', 'ping', Query.empty, checks))?.text, 'ok');
  assert.equal(await answerHealth('livez', 'nothing', Query.empty, checks), undefined);
});

test('Lifetimes ends what is overdue and keeps no timer when nothing with a limit is left', async () => {
  const clock = new FakeClock();
  const lifetimes = new Lifetimes(clock, () => new Error('late'));
  const [short, long, unlimited] = [new Lifetime(), new Lifetime(), new Lifetime()];
  for (const lifetime of [short, long, unlimited]) lifetimes.add(lifetime);
  lifetimes.limit(short, 1_500);
  lifetimes.limit(long, 60_000);
  const { signal } = short;
  await clock.advance(2_000);
  assert.equal(signal.aborted, true);
  assert.equal(long.over, false);
  lifetimes.remove(long);
  await clock.advance(1_000);
  assert.equal(clock.timers, 0);
  assert.equal(unlimited.over, false);
  lifetimes.endAll('the end');
  assert.deepEqual([unlimited.signal.reason, long.over], ['the end', false]);
});
test('Lifetime gives an aborted signal to those who ask late', () => {
  const lifetime = new Lifetime();
  const heard: unknown[] = [];
  lifetime.onOver((reason) => heard.push(reason));
  lifetime.end('first');
  lifetime.end('second');
  assert.equal(lifetime.signal.reason, 'first');
  assert.deepEqual(heard, ['first']);
});

test('durationMs and mediaTypeOf read what clients send', () => {
  assert.equal(durationMs('1m30s'), 90_000);
  assert.equal(durationMs('250ms'), 250);
  assert.throws(() => durationMs('soon'), { message: 'invalid timeout specified in the request URL - time: invalid duration "soon"' });
  assert.equal(mediaTypeOf('Application/JSON; charset=utf-8'), 'application/json');
  assert.equal(mediaTypeOf(undefined), '');
});
test('warningHeader quotes, and keeps to one line', () => {
  assert.equal(warningHeader('unknown field "a\\b"\n'), '299 - "unknown field \\"a\\\\b\\""');
});
test('requestMetricsText adds up buckets and escapes labels', () => {
  const series = new RequestSeries({ verb: 'GET', resource: 'a"b' });
  series.observe(200, 0.003, 500);
  series.observe(200, 0.03, undefined);
  const text = requestMetricsText([series]);
  assert.match(text, /apiserver_request_total\{verb="GET",resource="a\\"b",dry_run="",code="200",system_client=""\} 2/);
  assert.match(text, /apiserver_request_duration_seconds_bucket\{[^}]*le="0\.025"\} 1\n[^\n]*le="0\.05"\} 2\n/);
  assert.match(text, /apiserver_response_sizes_count\{[^}]*\} 1/);
});

test('WatchEncoder writes the bytes that exist, and Tables with their head once', () => {
  const encoder = new WatchEncoder(served, JSON_FORMAT, () => 0);
  assert.equal(encoder.encode({ type: 'ADDED', entry }).toString(), `{"type":"ADDED","object":${entry.json.toString()}}\n`);
  assert.equal(encoder.encode({ type: 'ADDED', entry }), encoder.encode({ type: 'ADDED', entry }), 'one frame for all watchers');
  const table = new WatchEncoder(served, { ...JSON_FORMAT, transform: 'Table', version: 'v1' }, () => 0);
  const first = JSON.parse(table.encode({ type: 'ADDED', entry }).toString()) as { object: { columnDefinitions: unknown[] } };
  const second = JSON.parse(table.encode({ type: 'MODIFIED', entry }).toString()) as { object: { columnDefinitions: unknown[] | null } };
  assert.deepEqual([first.object.columnDefinitions.length, second.object.columnDefinitions], [2, null]);
});

test('writeResult cuts off a watcher that takes nothing for a minute', async () => {
  const clock = new FakeClock();
  let aborted = false;
  const stream: ResponseStream = { closed: false, write: () => false, drained: () => new Promise(() => {}), end: () => {}, abort: () => void (aborted = true) };
  const exchange = { stream: () => stream, header: () => undefined } as unknown as Exchange;
  let taken = 0;
  const events = (async function* () {
    for (;;) {
      taken++;
      yield [{ type: 'ADDED' as const, entry }];
    }
  })();
  const done = writeResult({ exchange, auditId: 'x', warnings: [], clock, signal: new AbortController().signal }, { kind: 'watch', served, events }, JSON_FORMAT, served);
  await clock.advance(59_000);
  assert.equal(aborted, false);
  await clock.advance(2_000);
  await done;
  assert.equal(aborted, true);
  assert.equal(taken, 1, 'nothing was taken while the client did not read');
});

test('writeResult sends a long list as fast as it is read; who takes nothing is idle after a second, and cut off after a minute', async () => {
  const many = Array.from({ length: 5_001 }, (_, i) => new Entry(`/registry/configmaps/default/c-${i}`, { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: `c-${i}`, resourceVersion: String(i + 1) } }, i + 1));
  const list = { kind: 'list' as const, served, entries: many, resourceVersion: '9' };
  const clock = new FakeClock();
  const written: Uint8Array[] = [];
  let ended: 'whole' | 'cut off' | undefined;
  let idle = 0;
  let open = true;
  const stream: ResponseStream = {
    closed: false, write: (chunk) => written.push(chunk) > 0 && open, drained: () => new Promise(() => {}), end: () => void (ended = 'whole'), abort: () => void (ended = 'cut off'),
  };
  const exchange = { stream: () => stream, header: () => undefined, answered: false } as unknown as Exchange;
  const ctx = { exchange, auditId: 'x', warnings: [], clock, signal: new AbortController().signal, onIdle: () => void idle++ };
  const { bytes } = await writeResult(ctx, list, JSON_FORMAT, served);
  const body = Buffer.concat(written);
  assert.deepEqual([ended, bytes, idle], ['whole', body.length, 0]);
  assert.equal((JSON.parse(body.toString()) as { items: unknown[] }).items.length, many.length);

  written.length = 0;
  const packs = { ...exchange, header: (name: string) => (name === 'accept-encoding' ? 'gzip' : undefined) } as Exchange;
  await writeResult({ ...ctx, exchange: packs }, list, JSON_FORMAT, served);
  assert.ok(gunzipSync(Buffer.concat(written)).equals(body));

  written.length = 0;
  open = false;
  const blocked = writeResult(ctx, list, JSON_FORMAT, served);
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(1_000);
  assert.deepEqual([idle, written.length], [1, 1]);
  while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(59_000);
  await blocked;
  assert.equal(ended, 'cut off');
});

test('encodeList keeps the body and the lines of a list that comes again, and nothing of a page', async () => {
  const read: string[] = [];
  class Watched extends Entry {
    override get line(): Buffer {
      read.push(this.key);
      return super.line;
    }
  }
  const entries = Array.from({ length: 600 }, (_, i) => new Watched(`/registry/configmaps/default/c-${i}`, { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: `c-${i}` } }, i + 1));
  const { signal } = new AbortController();
  const bodyOf = async (remembered?: ListIdentity): Promise<Buffer> => {
    const encoded = await encodeList({ kind: 'list', served, entries, remembered, resourceVersion: '600' }, JSON_FORMAT, signal);
    assert.ok('body' in encoded);
    return encoded.body;
  };
  const list = {};
  const page = await bodyOf();
  assert.notEqual(await bodyOf(), page);
  assert.deepEqual(read, []);
  const whole = await bodyOf(list);
  assert.ok(whole.equals(page));
  assert.equal(read.length, 600);
  assert.equal(await bodyOf(list), whole);
  assert.equal(read.length, 600);
});

test('listParts makes what joinList makes, in turns, and ends when its client is gone', async () => {
  const many = Array.from({ length: 2_345 }, (_, i) => new Entry(`/registry/configmaps/default/c-${i}`, { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: `c-${i}`, resourceVersion: String(i + 1) } }, i + 1));
  const head = { kind: 'ConfigMapList', apiVersion: 'v1', metadata: { resourceVersion: '9' } };
  const frame = listFrame(head, false);
  const prefix = Buffer.from('{"kind":"ConfigMap","apiVersion":"v1",');
  for (const entries of [[], many.slice(0, 1), many.slice(0, ENTRIES_A_TURN), many.slice(0, ENTRIES_A_TURN + 1), many]) {
    const { signal } = new AbortController();
    const parts = await Array.fromAsync(listParts(frame, entries, prefix, signal));
    assert.equal(parts.length, Math.max(1, Math.ceil(entries.length / ENTRIES_A_TURN)));
    const long = Buffer.concat(parts);
    assert.equal(long.toString(), joinList(frame, entries, prefix).toString());
    assert.deepEqual(JSON.parse(long.toString()), { ...head, items: entries.map((e) => ({ metadata: e.object.metadata })) });
  }
  const gone = new AbortController();
  await assert.rejects(async () => {
    for await (const part of listParts(frame, many, prefix, gone.signal)) if (part.length > 0) gone.abort(new Error('gone'));
  }, /gone/);
});

test('ServerMetrics counts what watchers are sent, and how long a streamed list took', async () => {
  const metrics = new ServerMetrics();
  const info = { isResourceRequest: true, verb: 'watch', apiGroup: 'apps', apiVersion: 'v1', resource: 'deployments', subresource: '', namespace: '', name: '' } as RequestInfo;
  assert.doesNotMatch(await metrics.text(), /apiserver_watch_events/);
  metrics.watches(info).sent([Buffer.alloc(1_000), Buffer.alloc(5_000)]);
  metrics.watches(info).listed('cluster', 0.3);
  const text = await metrics.text();
  assert.match(text, /^apiserver_watch_events_total\{group="apps",version="v1",resource="deployments"\} 2$/m);
  assert.match(text, /^apiserver_watch_events_sizes_bucket\{[^}]*le="4096"\} 1\n[^\n]*le="8192"\} 2$/m);
  assert.match(text, /^apiserver_watch_list_duration_seconds_bucket\{[^}]*scope="cluster",le="0.2"\} 0\n[^\n]*le="0.4"\} 1$/m);
});
test('ServerMetrics counts trials and system clients apart, and remembers which deprecated kinds were asked for', async () => {
  const metrics = new ServerMetrics();
  const info = { isResourceRequest: true, verb: 'get', apiGroup: '', apiVersion: 'v1', resource: 'endpoints', subresource: '', namespace: 'default', name: 'a' } as RequestInfo;
  const common = { info, code: 200, seconds: 0.3, waitedSeconds: 0.27, bytes: undefined };
  metrics.observe({ ...common, served: { warnings: ['deprecated'] }, dryRun: [], userAgent: 'kube-scheduler/v1.36.0' });
  metrics.observe({ ...common, served: {}, dryRun: [], userAgent: 'kube-scheduler' });
  metrics.observe({ ...common, served: {}, dryRun: ['All', 'All'], userAgent: undefined });
  metrics.observe({ ...common, served: {}, dryRun: ['Some'], userAgent: 'curl/8' });
  const text = await metrics.text();
  const counted = text.split('\n').filter((line) => line.startsWith('apiserver_request_total')).map((line) => /dry_run="(\w*)",code="200",system_client="([\w-]*)"\} (\d)/.exec(line)!.slice(1));
  assert.deepEqual(counted, [['', 'kube-scheduler', '1'], ['', '', '1'], ['All', '', '1'], ['invalid', '', '1']]);
  assert.match(text, /^apiserver_request_sli_duration_seconds_bucket\{[^}]*le="0.05"\} 2$/m, 'trials are no part of it, nor is what they waited for');
  assert.match(text, /^apiserver_requested_deprecated_apis\{group="",version="v1",resource="endpoints",subresource="",removed_release=""\} 1$/m);
});
