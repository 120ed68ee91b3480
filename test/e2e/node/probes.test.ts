/** Probes of every kind on real containers: what they ask, what their failures say, and what follows. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before } from 'node:test';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import type { Pod } from '#api/gen/core-v1.ts';
import { waitForEvent, waitForPod, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const sh = (command: string): string[] => ['sh', '-c', command];
const container = (command: string, more: object = {}): object => ({ name: 'c', image: 'busybox:1.37', command: sh(command), ...more });
const pod = (name: string, containers: object[], more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 1, containers, ...more } });
const web = 'mkdir /www; echo page > /www/index.html; exec httpd -f -p 8080 -h /www';
const status = (p: Pod) => p.status?.containerStatuses?.[0];

/** Servers that Pods in the host's network are probed at: they take TLS and gRPC, which busybox does not. */
const SERVING = 1;
const NOT_SERVING = 2;
let health = SERVING;
const asked: string[] = [];
const grpcServer = new grpc.Server();
let https: ReturnType<typeof createServer>;
let ports: { https: number; grpc: number };
before(async () => {
  const { stdout } = await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=probe', '-days', '1', '-keyout', '-', '-out', '-']);
  https = createServer({ key: stdout, cert: stdout }, (req, res) => {
    asked.push(`${req.url} ${req.headers['user-agent']} ${req.headers['x-word']}`);
    res.writeHead(req.headers['x-word'] === 'open' ? 200 : 500).end();
  });
  await new Promise<void>((resolve) => https.listen(0, resolve));
  // grpc.health.v1: the request's field 1 is the service, the answer's field 1 the status.
  const bytes = (value: Buffer): Buffer => value;
  grpcServer.addService({ Check: { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } }, {
    Check: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) => {
      asked.push(`grpc ${call.request.subarray(2).toString()}`);
      answer(null, Buffer.from([0x08, health]));
    },
  });
  const grpcPort = await new Promise<number>((resolve, reject) => grpcServer.bindAsync('0.0.0.0:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))));
  ports = { https: (https.address() as AddressInfo).port, grpc: grpcPort };
});
after(() => {
  https.close();
  grpcServer.forceShutdown();
});

test('readiness by HTTP with headers, HTTPS, TCP, exec and gRPC: ready when they pass, not ready when they fail, with the event that says why', async (c) => {
  const readiness = (probe: object, more: object = {}): object => ({ readinessProbe: { periodSeconds: 1, failureThreshold: 1, ...probe }, ...more });
  await c.apply({ apiVersion: 'v1', kind: 'List', items: [
    pod('http', [container(web, readiness({ httpGet: { path: '/index.html', port: 'web' } }, { ports: [{ name: 'web', containerPort: 8080 }] }))]),
    pod('http-refused', [container(web, readiness({ httpGet: { path: '/missing', port: 8080 } }))]),
    pod('tcp', [container(web, readiness({ tcpSocket: { port: 8080 } }))]),
    pod('exec', [container('touch /ok; sleep 3600', readiness({ exec: { command: ['cat', '/ok'] } }))]),
    pod('slow', [container('sleep 3600', readiness({ exec: { command: sh('sleep 60') } }))]),
    pod('tls', [container('sleep 3600', readiness({ httpGet: { path: '/healthy?deep=1', port: ports.https, scheme: 'HTTPS', httpHeaders: [{ name: 'X-Word', value: 'open' }, { name: 'User-Agent', value: 'own/1' }] } }))], { hostNetwork: true }),
    pod('grpc', [container('sleep 3600', readiness({ grpc: { port: ports.grpc, service: 'deep' } }))], { hostNetwork: true }),
  ] });
  await Promise.all(['http', 'tcp', 'exec', 'tls', 'grpc'].map((name) => waitForReady(c, name)));
  assert.ok(asked.includes('/healthy?deep=1 own/1 open'), asked.join('; '));
  assert.ok(asked.includes('grpc deep'), asked.join('; '));
  await waitForEvent(c, 'http-refused', 'Unhealthy', /^Readiness probe failed: HTTP probe failed with statuscode: 404$/);
  await waitForEvent(c, 'slow', 'Unhealthy', /^Readiness probe failed: command timed out: "sh -c sleep 60" timed out after 1s$/);
  health = NOT_SERVING;
  await c.kubectl('exec exec -- rm /ok');
  const unready = (p: Pod): boolean => status(p)?.ready === false;
  const away = await Promise.all(['exec', 'grpc'].map((name) => waitForPod(c, name, 'not ready', unready)));
  assert.deepEqual(away.map((p) => p.status?.conditions?.find((x) => x.type === 'Ready')?.message), ['containers with unready status: [c]', 'containers with unready status: [c]']);
  assert.deepEqual(away.map((p) => status(p)?.restartCount), [0, 0]);
  await waitForEvent(c, 'exec', 'Unhealthy', /^Readiness probe failed: cat: can't open '\/ok': No such file or directory\n$/);
  await waitForEvent(c, 'grpc', 'Unhealthy', /^Readiness probe failed: service unhealthy \(responded with "NOT_SERVING"\)$/);
  await c.kubectl('exec exec -- touch /ok');
  await waitForReady(c, 'exec');
  await c.kubectl('delete pod http http-refused tcp exec slow tls grpc --now --wait=false');
});

test('liveness restarts, with the grace of the probe; startup holds the others off, and restarts when it takes too long', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'List', items: [
    // Deaf to SIGTERM, in a Pod that waits for ten minutes: the probe's own grace counts.
    pod('dies', [container('trap "" TERM; rm -f /ok; while true; do sleep 0.1; done', { livenessProbe: { exec: { command: ['cat', '/ok'] }, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1 } })], { terminationGracePeriodSeconds: 600 }),
    pod('starts', [container('sleep 2; touch /up; sleep 3600', { startupProbe: { exec: { command: ['cat', '/up'] }, periodSeconds: 1, failureThreshold: 60 }, livenessProbe: { exec: { command: ['cat', '/up'] }, periodSeconds: 1, failureThreshold: 1 } })]),
    pod('never-starts', [container('sleep 3600', { startupProbe: { tcpSocket: { port: 81 }, periodSeconds: 1, failureThreshold: 2 } })]),
    pod('later', [container('sleep 3600', { readinessProbe: { exec: { command: ['true'] }, initialDelaySeconds: 3, periodSeconds: 1 } })]),
  ] });
  await waitForEvent(c, 'dies', 'Killing', /^Container c failed liveness probe, will be restarted$/);
  const died = await waitForPod(c, 'dies', 'restarted', (p) => status(p)?.restartCount === 1);
  assert.equal(status(died)?.lastState?.terminated?.exitCode, 137);
  await waitForEvent(c, 'never-starts', 'Unhealthy', /^Startup probe failed: dial tcp 10\.\d+\.\d+\.\d+:81: connect: connection refused$/);
  await waitForEvent(c, 'never-starts', 'Killing', /^Container c failed startup probe, will be restarted$/);
  const started = await waitForReady(c, 'starts');
  assert.deepEqual([status(started)?.restartCount, status(started)?.started], [0, true]);
  const later = await waitForReady(c, 'later');
  const waited = Date.parse(later.status!.conditions!.find((x) => x.type === 'Ready')!.lastTransitionTime!) - Date.parse(status(later)!.state!.running!.startedAt!);
  assert.ok(waited >= 2000 && waited <= 8000, `ready ${waited} ms after its start, to the second`);
  await c.kubectl('delete pod dies starts never-starts later --grace-period=1 --wait=false');
});
