/**
 * A thousand malformed manifests and requests: each gets a correct `Status`, none changes anything, and the process neither dies nor leaks.
 * What is wrong with each is drawn from a seed, which a failure names.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { load } from 'js-yaml';
import type { Kubeconfig } from '#cluster/pki.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForReady } from '../harness/conditions.ts';
import { open, readToEnd, send, type Endpoint, type Identity, type RawAnswer, type RawRequest } from '../harness/raw-requests.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const COUNT = 1000;
const SEED = Number(process.env['PODYARD_SEED'] ?? Date.now() % 1_000_000);
const PODS = '/api/v1/namespaces/default/pods';
const JSON_TYPE = { 'content-type': 'application/json' };

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

interface Case extends RawRequest {
  readonly what: string;
  readonly codes: readonly number[];
  /** Upstream answers in plain text, or with the list of its paths: the path belongs to no resource. */
  readonly plain?: boolean;
  /** The server need not read it to its end: the connection may close while the rest is still being sent, as with upstream. */
  readonly mayClose?: boolean;
}
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const goodPod = (): { [key: string]: Json } => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name: 'bad', labels: { a: 'b' }, annotations: { c: 'd' } },
  spec: { containers: [{ name: 'c', image: 'busybox:1.37', ports: [{ containerPort: 80 }], env: [{ name: 'A', value: 'b' }], resources: { limits: { cpu: '1', memory: '1Gi' } } }], restartPolicy: 'Always', nodeSelector: { x: 'y' }, tolerations: [{ key: 'k', operator: 'Exists' }] },
});
/** Every path to a value below. */
function pathsOf(value: Json, at: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[...at, key], ...pathsOf(child, [...at, key])]);
}
function replaced(value: Json, path: readonly (string | number)[], by: Json): Json {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  const copy = structuredClone(value) as { [key: string]: Json };
  copy[key] = replaced(copy[key]!, rest, by);
  return copy;
}

const post = (what: string, body: string | Uint8Array, codes: readonly number[], headers: Readonly<Record<string, string>> = JSON_TYPE): Case => ({ what, method: 'POST', path: PODS, headers, body, codes });
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const BAD_VALUES: readonly (readonly [name: string, value: string])[] = [
  ['metadata.name', 'Upper'], ['metadata.name', 'a'.repeat(300)], ['metadata.name', '../etc'], ['metadata.name', 'a b'], ['metadata.name', ''], ['metadata.namespace', 'other'],
  ['spec.restartPolicy', 'Sometimes'], ['spec.dnsPolicy', 'x'], ['spec.containers.0.name', 'C_1'], ['spec.containers.0.name', ''], ['spec.containers.0.imagePullPolicy', 'Now'], ['spec.containers.0.resources.limits.cpu', 'much'],
  ['spec.containers.0.resources.limits.memory', '-1Gi'], ['spec.containers.0.ports.0.protocol', 'ICMP'], ['spec.tolerations.0.operator', 'Like'],
];

/** What each kind of wrong input is, and the codes that it may be answered with. */
const KINDS: readonly ((random: (below: number) => number) => Case)[] = [
  // A value of another type somewhere in a good Pod.
  (random) => {
    const pod = goodPod();
    const paths = pathsOf(pod).filter((p) => p.length > 1);
    const path = paths[random(paths.length)]!;
    const before = path.reduce<Json>((v, k) => (v as { [key: string]: Json })[k]!, pod);
    const wrong: Json[] = [{ x: [] }, [[1]], 1.5, true, 'text'].filter((v) => typeof v !== typeof before || Array.isArray(v) !== Array.isArray(before) || (typeof v === 'object' && typeof before === 'object'));
    // A list of maps in place of a map, or a map with a nested list: no field of a Pod is of such a type.
    const by = typeof before === 'object' ? 'text' : wrong[random(2)]!;
    return post(`type at ${path.join('.')}: ${JSON.stringify(by)}`, JSON.stringify(replaced(pod, path, by)), [400]);
  },
  (random) => {
    const [path, value] = BAD_VALUES[random(BAD_VALUES.length)]!;
    const pod = goodPod();
    const parts = path.split('.');
    if (parts.at(-1) === 'namespace') (pod['metadata'] as { [key: string]: Json })['namespace'] = '';
    return post(`${path} = ${JSON.stringify(value)}`, JSON.stringify(replaced(pod, parts, value)), [422, 400]);
  },
  (random) => {
    const text = JSON.stringify(goodPod());
    const end = 1 + random(text.length - 2);
    return post(`JSON that ends after ${end} bytes`, text.slice(0, end), [400]);
  },
  (random) => post('bytes that are no text', Uint8Array.from({ length: 1 + random(500) }, () => random(256)), [400]),
  (random) => {
    const bytes = Buffer.from(JSON.stringify(goodPod()));
    bytes.write('metadata', bytes.indexOf('labels'));
    bytes[bytes.indexOf('busybox') + random(5)] = 0xff;
    return { ...post('a string that is not UTF-8, and a bad name', Buffer.from(bytes.toString('latin1').replace('"bad"', '"Bad\u00ff"'), 'latin1'), [400, 422]) };
  },
  (random) => post('deep nesting', nested(1000 + random(20_000)), [400]),
  (random) => post('deep lists in YAML', `${'['.repeat(2000 + random(5000))}`, [400], { 'content-type': 'application/yaml' }),
  (random) => ({ ...post('a body over the limit', `{"metadata":{"annotations":{"a":"${'x'.repeat(3_200_000 + random(1_000_000))}"}}}`, [413]), mayClose: true }),
  (random) => post('annotations over the limit', JSON.stringify(replaced(goodPod(), ['metadata', 'annotations', 'c'], 'x'.repeat(300_000 + random(1000)))), [422]),
  (random) => post('a content type that is none', JSON.stringify(goodPod()), [415], { 'content-type': ['text/plain', 'application/xml', 'image/png', 'application/x-www-form-urlencoded', 'x/y;z'][random(5)]! }),
  (random) => post('protobuf that is none', Buffer.concat([Buffer.from('k8s\0'), Uint8Array.from({ length: random(300) }, () => random(256))]), [400, 422], { 'content-type': 'application/vnd.kubernetes.protobuf' }),
  (random) => ({ what: 'a verb that is none', method: ['PROPFIND', 'MKCOL', 'LOCK', 'REPORT', 'PURGE', 'SEARCH'][random(6)]!, path: PODS, codes: [405] }),
  (random) => ({ what: 'a path that is none', path: [`/api/v${random(90) + 2}/pods`, '/apis/nothing.example/v1', '/api/v1/namespaces/default/nothings', '/apis/apps/v1/pods', '/%2e%2e/%2e%2e/etc/passwd', '/api/v1/namespaces/default/pods/x/nothing', `/${'a'.repeat(5000)}`][random(7)]!, codes: [404], plain: true }),
  (random) => ({ what: 'a query that is none', path: `${PODS}?${['limit=x', 'labelSelector=%3D%3D', 'fieldSelector=spec.nothing%3Dx', 'resourceVersion=x', 'continue=nonsense', 'labelSelector=a+in+(', 'resourceVersionMatch=Sometimes', 'watch=1&resourceVersion=abc', 'timeoutSeconds=x&limit=-y'][random(9)]!}`, codes: [400, 422] }),
  (random) => {
    const objects: readonly Json[] = [{ ...goodPod(), kind: 'Secret' }, { ...goodPod(), apiVersion: 'v2' }, { ...goodPod(), apiVersion: 'apps/v1', kind: 'Deployment' }, [], 1, 'x', null];
    const object = objects[random(objects.length)]!;
    // null is an object without fields: it is read, and found invalid.
    return post(`an object of another kind: ${JSON.stringify(object).slice(0, 60)}`, JSON.stringify(object), object === null ? [422] : [400]);
  },
  (random) => {
    const patches: readonly (readonly [type: string, body: string])[] = [
      ['application/json-patch+json', '{}'], ['application/json-patch+json', '[{"op":"fly"}]'], ['application/json-patch+json', '[{"op":"replace","path":"/spec/nothing/here","value":1}]'], ['application/merge-patch+json', '[]'], ['application/merge-patch+json', '{"spec":{"containers":7}}'],
      ['application/strategic-merge-patch+json', '{"spec":{"containers":[{"$patch":"fly","name":"c"}]}}'], ['application/json', '{}'], ['application/merge-patch+json', '{"spec":{"hostNetwork":true}}'], ['application/apply-patch+yaml', 'a: ['],
    ];
    const [type, body] = patches[random(patches.length)]!;
    return { what: `patch ${type} ${body}`, method: 'PATCH', path: `${PODS}/steady?fieldManager=x`, headers: { 'content-type': type }, body, codes: body.includes('$patch') ? [400] : [400, 415, 422] };
  },
  (random) => ({ what: 'unknown fields under strict validation', method: 'POST', path: `${PODS}?fieldValidation=Strict`, headers: JSON_TYPE, body: JSON.stringify({ ...goodPod(), ['field' + random(1000)]: 1 }), codes: [400] }),
  (random) => ({ what: 'an exec without an upgrade, or of nothing', method: 'POST', path: `${PODS}/steady/exec${['', '?command=id', '?command=id&container=nothing', '?stdin=x'][random(4)]}`, codes: [400, 404] }),
  (random) => ({ what: 'an update that does not fit its path', method: 'PUT', path: `${PODS}/steady`, headers: JSON_TYPE, body: JSON.stringify(replaced(goodPod(), ['metadata', 'name'], `other-${random(100)}`)), codes: [400] }),
  (random) => ({ what: 'delete options that are none', method: 'DELETE', path: `${PODS}/steady`, headers: JSON_TYPE, body: ['{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Sometimes"}', '{"gracePeriodSeconds":"x"}', '{"preconditions":{"uid":"other"}}', '{"kind":"Pod","apiVersion":"v1"}', '{'][random(5)]!, codes: [400, 409, 422] }),
];

async function adminOf(c: TestCluster): Promise<{ api: Endpoint; who: Identity }> {
  const { clusters, users } = load(await readFile(c.kubeconfig, 'utf8')) as Kubeconfig;
  const text = (value: string | undefined): string => Buffer.from(value ?? '', 'base64').toString();
  const user = users[0]!.user;
  return { api: { port: (await c.config()).apiPort, ca: text(clusters[0]!.cluster['certificate-authority-data']) }, who: { cert: text(user['client-certificate-data']), key: text(user['client-key-data']) } };
}
async function residentMegabytes(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}
/** All objects but those that change by themselves. */
async function everything(c: TestCluster): Promise<string> {
  return (await c.kubectl(['get', 'pods,configmaps,secrets,serviceaccounts,namespaces,services,roles,rolebindings,clusterroles,clusterrolebindings', '-A', '-o', 'jsonpath={range .items[*]}{.kind}{" "}{.metadata.namespace}/{.metadata.name}{" "}{.metadata.resourceVersion}{"\\n"}{end}'])).stdout;
}
function checkStatus(answer: RawAnswer, said: string): void {
  const { body } = answer;
  assert.equal(body?.kind, 'Status', said);
  assert.equal(body.status, 'Failure', said);
  assert.equal(body.code, answer.code, said);
  assert.ok((body.message ?? '') !== '' && (body.reason ?? '') !== '', said);
}

test('a Pod that runs meanwhile', async (c) => {
  await c.kubectl('run steady --image=busybox:1.37 -- sleep 3600');
  await waitForReady(c, 'steady');
});

test(`${COUNT} malformed requests get a correct Status and change nothing (seed ${SEED})`, { timeout: 300_000 }, async (c, t) => {
  const { api, who } = await adminOf(c);
  const pid = (await c.process())!.pid;
  const before = await everything(c);
  const random = randomOf(SEED);
  const cases = Array.from({ length: COUNT }, (_, i) => KINDS[i % KINDS.length]!(random));
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const memory: number[] = [];
  const wrong: string[] = [];
  for (let at = 0; at < cases.length; at += 8) {
    await Promise.all(cases.slice(at, at + 8).map(async (request) => {
      const said = `seed ${SEED}: ${request.what} (${request.method ?? 'GET'} ${request.path.slice(0, 120)})`;
      const answer = await send(api, { ...who, agent }, request).catch((error: NodeJS.ErrnoException) => {
        if (request.mayClose && ['EPIPE', 'ECONNRESET'].includes(error.code ?? '')) return undefined;
        return assert.fail(`${said}: ${error.message}`);
      });
      if (!answer) return;
      if (!request.codes.includes(answer.code)) wrong.push(`${said}: ${answer.code} ${answer.text.slice(0, 300)}`);
      else if (!request.plain) checkStatus(answer, `${said}: ${answer.text.slice(0, 400)}`);
    }));
    if (at % 200 === 0) memory.push(await residentMegabytes(pid));
  }
  agent.destroy();
  assert.equal(wrong.length, 0, `${wrong.length} answers are of another code, the first:\n${wrong.slice(0, 8).join('\n')}`);
  assert.equal((await c.process())!.pid, pid, 'the process lives');
  assert.equal(await everything(c), before);
  t.diagnostic(`resident memory on the way: ${memory.map((m) => Math.round(m)).join(', ')} MB`);
  assert.ok((await residentMegabytes(pid)) < Math.max(...memory.slice(0, 2)) + 150, `memory stays in bounds: ${memory.join(', ')}`);
  assert.equal((await c.kubectl('exec steady -- echo well')).stdout, 'well\n');
});

test('requests that end in the middle, or never: the connection is closed in the end, others are served, nothing is left of them', async (c) => {
  const { api, who } = await adminOf(c);
  const pid = (await c.process())!.pid;
  const sockets = async (): Promise<number> => Number((await c.shell(`ls -l /proc/${pid}/fd | grep -c socket`)).stdout);
  const before = await sockets();
  const before2 = await everything(c);
  const head = `POST ${PODS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"kind":`;
  const cut = await Promise.all(Array.from({ length: 20 }, () => open(api, who)));
  for (const socket of cut) socket.end(head);
  const slow = await Promise.all(Array.from({ length: 20 }, () => open(api, who)));
  for (const socket of slow) socket.write('GET /api/v1/pods HTTP/1.1\r\nHost');
  const garbage = await open(api, who);
  garbage.write('\x00\x01 nonsense\r\n\r\n');
  assert.match(await readToEnd(garbage), /^HTTP\/1\.1 400 Bad Request|^$/);
  for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', `GET /api HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(2_000_000)}\r\n\r\n`, `GET /${'z'.repeat(2_000_000)} HTTP/1.1\r\n\r\n`]) {
    const socket = await open(api, who);
    socket.write(bytes);
    assert.match(await readToEnd(socket), /^HTTP\/1\.1 4\d\d |^$/, bytes.slice(0, 60));
  }
  assert.equal((await c.kubectl('get --raw /readyz')).stdout, 'ok', 'others are served meanwhile');
  for (const socket of [...cut, ...slow]) socket.destroy();
  await c.shell(`for i in $(seq 100); do [ "$(ls -l /proc/${pid}/fd | grep -c socket)" -le ${before + 5} ] && exit 0; sleep 0.1; done; exit 1`);
  assert.equal(await everything(c), before2);
});

test('manifests that kubectl itself passes on are refused by the server, in kubectl\'s form', async (c) => {
  const cases: readonly (readonly [manifest: string, message: RegExp])[] = [
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c, image: x, imagePullPolcy: Never}]}\n', /strict decoding error: unknown field "spec\.containers\[0\]\.imagePullPolcy"/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: x}]}\n', /spec\.containers\[0\]\.name: Required value/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c, image: x}, {name: c, image: z}]}\n', /spec\.containers\[1\]\.name: Duplicate value: "c"/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c}]}\n', /spec\.containers\[0\]\.image: Required value/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: {name: c}}\n', /cannot unmarshal object into Go struct field PodSpec\.spec\.containers of type \[\]v1\.Container/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: X_y}\nspec: {containers: [{name: c, image: x}]}\n', /The Pod "X_y" is invalid: metadata\.name: Invalid value: "X_y": a lowercase RFC 1123 subdomain must consist of/],
    ['apiVersion: v9\nkind: Pod\nmetadata: {name: x}\n', /no matches for kind "Pod" in version "v9"/],
    ['apiVersion: v1\nkind: Pot\nmetadata: {name: x}\n', /no matches for kind "Pot" in version "v1"/],
  ];
  for (const [manifest, message] of cases) assert.match((await c.apply(manifest, { expect: 1 })).stderr, message, manifest);
  assert.equal((await c.kubectl('get pods -o name')).stdout, 'pod/steady\n');
});
