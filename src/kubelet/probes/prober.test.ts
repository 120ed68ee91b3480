import assert from 'node:assert/strict';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer as createTcp } from 'node:net';
import { test } from 'node:test';
import type { Probe } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import type { EventRecorder } from '#client/events.ts';
import { CriError } from '#cri/error.ts';
import { fakeRuntime } from '#cri/fake-runtime.ts';
import { LABELS } from '../interfaces.ts';
import { RuntimeCache } from '../runtime/runtime-cache.ts';
import { makePod } from '../testing/make-pod.ts';
import { probeHttp } from './http-probe.ts';
import { resolvePort } from './port.ts';
import { newProber } from './prober.ts';
import { probeTcp } from './tcp-probe.ts';

const exec = { exec: { command: ['check'] } };

/** A container that runs, probed by exec; `answers` says what each probe finds: true, false, or an error. */
async function probed(probes: { startup?: Probe; readiness?: Probe; liveness?: Probe }, answers: () => boolean | Error) {
  const clock = new FakeClock();
  let count = 0;
  const runtime = fakeRuntime({ clock, anyImage: true, container: () => ({ execSync: () => {
    count++;
    const answer = answers();
    if (answer instanceof Error) throw answer;
    return { exitCode: answer ? 0 : 1, stdout: Buffer.from(answer ? 'fine' : 'bad') };
  } }) });
  const cache = new RuntimeCache(runtime);
  const events: string[] = [];
  const told: string[] = [];
  const prober = newProber({ runtime, cache, clock, nodeIPs: [], recorder: { eventFor: (_r: unknown, _t: string, reason: string, message: string) => void events.push(`${reason}: ${message}`) } as unknown as EventRecorder });
  prober.onChange((uid) => told.push(uid));
  const { startup, readiness, liveness } = probes;
  const pod = makePod().container('c', { ...(startup ? { startupProbe: startup } : {}), ...(readiness ? { readinessProbe: readiness } : {}), ...(liveness ? { livenessProbe: liveness } : {}) }).build();
  const labels = { [LABELS.podUid]: 'uid-web', [LABELS.podName]: 'web', [LABELS.podNamespace]: 'default' };
  const { podSandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'web', namespace: 'default', uid: 'uid-web', attempt: 0 }, labels } });
  let attempt = 0;
  const run = async (): Promise<string> => {
    const { containerId } = await runtime.createContainer({ podSandboxId, config: { metadata: { name: 'c', attempt: attempt++ }, image: { image: 'x' }, labels: { ...labels, [LABELS.containerName]: 'c' } }, sandboxConfig: {} });
    await runtime.startContainer({ containerId });
    await cache.relist();
    prober.addPod(pod);
    await flushMicrotasks();
    return containerId;
  };
  const id = await run();
  return { clock, runtime, prober, events, told, id, run, pod, count: () => count, ready: (of = id) => prober.isReady('uid-web', 'c', of), started: () => prober.isStarted('uid-web', 'c', id), mustKill: () => prober.mustKill('uid-web', 'c', id) };
}

test('Prober: without probes a container is started and ready', async () => {
  const p = await probed({}, () => true);
  assert.deepEqual([p.started(), p.ready(), p.mustKill()], [true, true, undefined]);
  assert.equal(p.clock.timers, 0);
});
test('Prober, readiness: false until it succeeds, then by thresholds', async () => {
  let good = false;
  const p = await probed({ readiness: { ...exec, initialDelaySeconds: 2, periodSeconds: 1, successThreshold: 2, failureThreshold: 3 } }, () => good);
  assert.equal(p.ready(), false);
  await p.clock.advance(1900);
  assert.equal(p.count(), 0);
  await p.clock.advance(200);
  assert.equal(p.count(), 1);
  good = true;
  await p.clock.advance(1000);
  assert.equal(p.ready(), false);
  await p.clock.advance(1000);
  assert.equal(p.ready(), true);
  assert.deepEqual(p.told, ['uid-web']);
  good = false;
  await p.clock.advance(2000);
  assert.equal(p.ready(), true);
  await p.clock.advance(1000);
  assert.equal(p.ready(), false);
  assert.equal(p.events[0], 'Unhealthy: Readiness probe failed: bad');
  assert.equal(p.mustKill(), undefined);
  p.prober.stop();
});
test('Prober, liveness: kills after the threshold, is not asked again until the next run', async () => {
  const p = await probed({ liveness: { ...exec, periodSeconds: 1, failureThreshold: 2 } }, () => false);
  await p.clock.advance(500);
  assert.equal(p.mustKill(), undefined);
  await p.clock.advance(1000);
  assert.equal(p.mustKill(), 'liveness');
  assert.deepEqual(p.told, ['uid-web']);
  const { length } = p.events;
  await p.clock.advance(10_000);
  assert.equal(p.events.length, length);
  assert.equal(p.clock.timers, 0);
});
test('Prober, liveness: a first success changes nothing, so nobody is woken', async () => {
  const p = await probed({ liveness: { ...exec, periodSeconds: 1 } }, () => true);
  await p.clock.advance(3000);
  assert.deepEqual(p.told, []);
  p.prober.stop();
});
test('Prober: the initial delay is kept, and no more, when the clock is set back', async () => {
  const p = await probed({ readiness: { ...exec, initialDelaySeconds: 2, periodSeconds: 1 } }, () => true);
  p.clock.jump(-3_600_000);
  p.runtime.kill(p.id);
  const next = await p.run();
  await p.clock.advance(2100);
  assert.equal(p.ready(next), true);
  p.clock.jump(3_600_000);
  await p.clock.advance(1000);
  assert.equal(p.count(), 2, 'one probe a period, whatever the time of day');
});
test('Prober, startup: holds back the others, then ends', async () => {
  let good = false;
  const p = await probed({ startup: { ...exec, periodSeconds: 1, failureThreshold: 10 }, readiness: { ...exec, periodSeconds: 60 } }, () => good);
  await p.clock.advance(2500);
  assert.deepEqual([p.started(), p.ready()], [false, false]);
  good = true;
  await p.clock.advance(1000);
  // The readiness probe need not wait for its own period.
  await p.clock.advance(10);
  assert.deepEqual([p.started(), p.ready()], [true, true]);
  const before = p.count();
  await p.clock.advance(59_000);
  assert.equal(p.count(), before);
  p.prober.stop();
});
test('Prober, startup: too many failures kill', async () => {
  const p = await probed({ startup: { ...exec, periodSeconds: 1, failureThreshold: 3 } }, () => false);
  await p.clock.advance(2100);
  assert.equal(p.mustKill(), 'startup');
  assert.deepEqual(p.told, ['uid-web'], 'whoever kills is told');
});
test('Prober: a probe that errs is neither a success nor a failure', async () => {
  const p = await probed({ liveness: { ...exec, periodSeconds: 1, failureThreshold: 1 } }, () => new CriError('Unknown', 'no such container'));
  await p.clock.advance(3000);
  assert.equal(p.mustKill(), undefined);
  assert.match(p.events[0]!, /^Unhealthy: Liveness probe errored and resulted in unknown state: /);
  p.prober.stop();
});
test('Prober: a command that takes too long has failed', async () => {
  const p = await probed({ liveness: { ...exec, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 2 } }, () => new CriError('DeadlineExceeded', 'failed to exec in container: timeout 2s exceeded: context deadline exceeded'));
  await p.clock.advance(100);
  assert.equal(p.mustKill(), 'liveness');
  assert.equal(p.events[0], 'Unhealthy: Liveness probe failed: command timed out: "check" timed out after 2s');
});
test('Prober: a new run is probed from the beginning; results of the old one do not count', async () => {
  const p = await probed({ readiness: { ...exec, periodSeconds: 1 } }, () => true);
  await p.clock.advance(100);
  assert.equal(p.ready(), true);
  p.runtime.kill(p.id);
  const second = await p.run();
  assert.equal(p.ready(second), false);
  await p.clock.advance(100);
  assert.equal(p.ready(second), true);
  p.prober.stop();
});
test('Prober: a Pod that terminates is not killed by probes; its readiness is still looked at', async () => {
  let good = true;
  const p = await probed({ readiness: { ...exec, periodSeconds: 1, failureThreshold: 1 }, liveness: { ...exec, periodSeconds: 1, failureThreshold: 1 } }, () => good);
  await p.clock.advance(100);
  p.prober.stopLivenessAndStartup('uid-web');
  good = false;
  await p.clock.advance(2000);
  assert.deepEqual([p.mustKill(), p.ready()], [undefined, false]);
  p.prober.removePod('uid-web');
  assert.equal(p.clock.timers, 0);
});

/* ------------------------------------------------------------ handlers */

function listen(server: Server | ReturnType<typeof createTcp>): Promise<number> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)));
}
const options = { timeoutMs: 300, userAgent: 'kube-probe/1.36', signal: new AbortController().signal };
for (const [status, outcome, output] of [[200, 'success', 'body'], [302, 'warning', 'Probe terminated redirects, Response body: body'], [304, 'warning', 'Probe terminated redirects, Response body: '], [404, 'failure', 'HTTP probe failed with statuscode: 404'], [500, 'failure', 'HTTP probe failed with statuscode: 500']] as const) {
  test(`probeHttp: ${status} is a ${outcome}`, async () => {
    const server = createHttp((_req, res) => res.writeHead(status).end('body'));
    const port = await listen(server);
    assert.deepEqual(await probeHttp({ host: '127.0.0.1', port, path: '/x' }, options), { outcome, output });
    server.close();
  });
}
test('probeHttp sends headers, follows redirects to its own host, warns of others', async () => {
  const seen: unknown[] = [];
  const server = createHttp((req, res) => {
    seen.push([req.url, req.headers['x-a'], req.headers['user-agent'], req.headers.host]);
    if (req.url === '/own') res.writeHead(301, { location: '/end' }).end();
    else if (req.url === '/other') res.writeHead(301, { location: 'http://example.invalid/' }).end('moved');
    else res.end('ok');
  });
  const port = await listen(server);
  const target = { host: '127.0.0.1', port, httpHeaders: [{ name: 'X-A', value: '1' }, { name: 'Host', value: 'my.host' }] };
  assert.equal((await probeHttp({ ...target, path: '/own' }, options)).outcome, 'success');
  assert.deepEqual(seen.map((s) => (s as string[])[0]), ['/own', '/end']);
  assert.deepEqual(seen[0], ['/own', '1', 'kube-probe/1.36', 'my.host']);
  assert.deepEqual(await probeHttp({ ...target, path: '/other' }, options), { outcome: 'warning', output: 'Probe terminated redirects, Response body: moved' });
  server.close();
});
test('probeHttp: nobody there, nobody answering', async () => {
  const silent = createHttp(() => {});
  const port = await listen(silent);
  assert.deepEqual(await probeHttp({ host: '127.0.0.1', port, path: '/' }, { ...options, timeoutMs: 50 }), { outcome: 'failure', output: `Get "http://127.0.0.1:${port}/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)` });
  silent.closeAllConnections();
  silent.close();
  assert.deepEqual(await probeHttp({ host: '127.0.0.1', port, path: '/' }, options), { outcome: 'failure', output: `Get "http://127.0.0.1:${port}/": dial tcp 127.0.0.1:${port}: connect: connection refused` });
});
test('probeTcp: a port that opens, one that does not', async () => {
  const server = createTcp((s) => s.end());
  const port = await listen(server);
  assert.equal((await probeTcp('127.0.0.1', port, 300, options.signal)).outcome, 'success');
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await probeTcp('127.0.0.1', port, 300, options.signal), { outcome: 'failure', output: `dial tcp 127.0.0.1:${port}: connect: connection refused` });
});
test('resolvePort: numbers, names, what is neither', () => {
  const container = { name: 'c', ports: [{ name: 'http', containerPort: 8080 }] };
  assert.deepEqual([resolvePort(container, 80), resolvePort(container, 'http'), resolvePort(container, '81')], [80, 8080, 81]);
  assert.throws(() => resolvePort(container, 'no'), /couldn't find port: "no" in container c/);
  assert.throws(() => resolvePort(container, 70_000), /invalid port number: 70000/);
});
