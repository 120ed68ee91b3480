/** Who is nobody, pretends to be somebody, or may nothing, is refused on every path, streaming ones included. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { systemClock } from '#base/clock.ts';
import { createAuthority, issueLeaf, type KeyPair } from '#cluster/pki.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForReady } from '../harness/conditions.ts';
import { send, type Endpoint, type Identity, type RawRequest } from '../harness/raw-requests.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const UPGRADES: readonly Readonly<Record<string, string>>[] = [
  { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64'), 'sec-websocket-protocol': 'v5.channel.k8s.io' },
  { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v4.channel.k8s.io' },
];
/** Anybody who is known may ask what they may do. */
const FOR_ALL = /^selfsubject/;

function pathOf(r: ResourceInfo, name?: string, subresource?: string): string {
  const group = r.group === '' ? `/api/${r.version}` : `/apis/${r.group}/${r.version}`;
  return [group, ...(r.namespaced ? ['namespaces/default'] : []), r.plural, ...(name === undefined ? [] : [name]), ...(subresource === undefined ? [] : [subresource])].join('/');
}
/** Every verb on every resource and subresource, and the streams in both protocols. */
function everyRequest(): RawRequest[] {
  const json = (body: object): Pick<RawRequest, 'headers' | 'body'> => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const out: RawRequest[] = [];
  for (const r of RESOURCES) {
    if (FOR_ALL.test(r.plural)) continue;
    const object = json({ apiVersion: r.group === '' ? r.version : `${r.group}/${r.version}`, kind: r.kind, metadata: { name: 'x' } });
    const patch = { headers: { 'content-type': 'application/merge-patch+json' }, body: '{}' };
    const by: Readonly<Record<string, RawRequest[]>> = {
      list: [{ path: pathOf(r) }, ...(r.namespaced ? [{ path: pathOf({ ...r, namespaced: false }) }] : [])],
      watch: [{ path: `${pathOf(r)}?watch=true` }, { path: pathOf(r).replace(/^(\/api\/v1|\/apis\/[^/]+\/[^/]+)/, '$1/watch') }],
      get: [{ path: pathOf(r, 'x') }], create: [{ method: 'POST', path: pathOf(r), ...object }], update: [{ method: 'PUT', path: pathOf(r, 'x'), ...object }],
      patch: [{ method: 'PATCH', path: pathOf(r, 'x'), ...patch }], delete: [{ method: 'DELETE', path: pathOf(r, 'x') }], deletecollection: [{ method: 'DELETE', path: pathOf(r) }],
    };
    out.push(...r.verbs.flatMap((verb) => by[verb] ?? []));
    for (const s of r.subresources) for (const method of ['GET', 'POST', 'PUT', 'PATCH']) out.push({ method, path: pathOf(r, 'target', s.name), ...(method === 'GET' ? {} : method === 'PATCH' ? patch : object) });
  }
  const target = '/api/v1/namespaces/default/pods/target';
  for (const path of [`${target}/exec?command=id&stdout=1`, `${target}/attach?stdout=1`, `${target}/portforward?ports=80`]) for (const headers of UPGRADES) for (const method of ['GET', 'POST']) out.push({ method, path, headers });
  for (const path of [`${target}/log?follow=true`, `${target}/proxy/`, `${target}/proxy/any/path`, '/api/v1/nodes/node01/proxy/pods', '/api/v1/nodes/node01/proxy/exec/default/target/c?command=id', '/api/v1/namespaces/default/services/http:x:80/proxy/']) out.push({ path });
  for (const path of ['/metrics', '/metrics/cadvisor', '/logs', '/debug/pprof/', '/configz']) out.push({ path });
  return out;
}

async function expired(token: string, key: KeyObject): Promise<string> {
  const { alg, kid } = decodeProtectedHeader(token);
  const past = Math.floor(Date.now() / 1000) - 7200;
  return await new SignJWT({ ...decodeJwt(token), iat: past, nbf: past, exp: past + 3600 }).setProtectedHeader({ alg: alg!, ...(kid !== undefined && { kid }) }).sign(key);
}
async function realAuthority(c: TestCluster): Promise<KeyPair> {
  const read = (name: string): Promise<string> => readFile(`${c.dataDir}/pki/${name}`, 'utf8');
  return { cert: await read('ca.crt'), key: await read('ca.key') };
}
async function apiOf(c: TestCluster): Promise<Endpoint> {
  return { port: (await c.config()).apiPort, ca: (await realAuthority(c)).cert };
}

/** By what each is; with the answer that it gets everywhere. */
async function identities(c: TestCluster): Promise<Record<string, { readonly who: Identity; readonly code: 401 | 403; readonly user?: string }>> {
  const ca = await realAuthority(c);
  const wrongCa = await createAuthority('kubernetes', systemClock);
  const admin = { commonName: 'kubernetes-admin', organizations: ['system:masters'], usages: ['client auth'] } as const;
  const token = (await c.kubectl('create token default')).stdout.trim();
  const signingKey = createPrivateKey(await readFile(`${c.dataDir}/pki/sa.key`, 'utf8'));
  await c.kubectl('create serviceaccount gone');
  const orphan = (await c.kubectl('create token gone')).stdout.trim();
  await c.kubectl('delete serviceaccount gone');
  return {
    'an anonymous client': { who: {}, code: 403, user: 'system:anonymous' },
    'an administrator by a certificate of another authority of the same name': { who: await issueLeaf(wrongCa, admin, systemClock), code: 401 },
    'an administrator whose certificate has expired': { who: await issueLeaf(ca, { ...admin, lifetimeMs: -1000 }, systemClock), code: 401 },
    'a user without roles': { who: await issueLeaf(ca, { commonName: 'nobody', usages: ['client auth'] }, systemClock), code: 403, user: 'nobody' },
    'a serving certificate used as a client\'s': { who: await issueLeaf(ca, { ...admin, usages: ['server auth'] }, systemClock), code: 401 },
    'a service account without roles': { who: { token }, code: 403, user: 'system:serviceaccount:default:default' },
    'a service account whose token has expired': { who: { token: await expired(token, signingKey) }, code: 401 },
    'a service account\'s token signed with another key': { who: { token: await expired(token, generateKeyPairSync(decodeProtectedHeader(token).alg === 'ES256' ? 'ec' as 'rsa' : 'rsa', { modulusLength: 2048, namedCurve: 'P-256' } as { modulusLength: number }).privateKey) }, code: 401 },
    'a service account that was deleted': { who: { token: orphan }, code: 401 },
    'a bearer of nonsense': { who: { token: 'x.y.z' }, code: 401 },
  };
}

test('every verb on every resource and every stream refuses everybody who may not, in the right words, and changes nothing', { timeout: 300_000 }, async (c, t) => {
  await c.kubectl('run target --image=busybox:1.37 -- sleep 3600');
  await waitForReady(c, 'target');
  const api = await apiOf(c);
  const requests = everyRequest();
  const before = (await c.kubectl('get pods,serviceaccounts,namespaces,nodes,clusterroles,secrets -A -o name')).stdout;
  for (const [name, { who, code, user }] of Object.entries(await identities(c))) {
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    for (let at = 0; at < requests.length; at += 16) {
      await Promise.all(requests.slice(at, at + 16).map(async (what) => {
        const said = `${name}: ${what.method ?? 'GET'} ${what.path}`;
        const answer = await send(api, { ...who, agent }, what);
        assert.equal(answer.code, code, `${said}: ${answer.text.slice(0, 300)}`);
        assert.equal(answer.body?.kind, 'Status', said);
        assert.equal(answer.body?.reason, code === 401 ? 'Unauthorized' : 'Forbidden', said);
        assert.equal(answer.body?.code, code, said);
        if (code === 401) assert.equal(answer.body?.message, 'Unauthorized', said);
        else assert.match(answer.body?.message ?? '', new RegExp(`User "${user}" cannot \\w+ (resource|path) "`), said);
      }));
    }
    agent.destroy();
  }
  t.diagnostic(`${requests.length} requests by each of 10 identities`);
  assert.ok(requests.length > 500);
  assert.equal((await c.kubectl('get pods,serviceaccounts,namespaces,nodes,clusterroles,secrets -A -o name')).stdout, before);
});

test('what everybody may see, and no more: health and version for anonymous clients, discovery for known ones', async (c) => {
  const api = await apiOf(c);
  const { 'an anonymous client': anonymous, 'a user without roles': nobody } = await identities(c);
  for (const path of ['/healthz', '/livez', '/readyz', '/version']) assert.equal((await send(api, anonymous!.who, { path })).code, 200, path);
  for (const path of ['/api', '/apis', '/apis/apps/v1', '/openapi/v2', '/openapi/v3']) {
    assert.equal((await send(api, anonymous!.who, { path })).code, 403, path);
    assert.equal((await send(api, nobody!.who, { path })).code, 200, path);
  }
  const ask = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } };
  const review = await send(api, nobody!.who, { method: 'POST', path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ask) });
  assert.equal((JSON.parse(review.text) as { status: { allowed: boolean } }).status.allowed, false);
});

test('nobody may act as somebody else without the right to', async (c) => {
  const api = await apiOf(c);
  const { 'a user without roles': nobody, 'a service account without roles': account } = await identities(c);
  for (const headers of [{ 'impersonate-user': 'kubernetes-admin' }, { 'impersonate-user': 'x', 'impersonate-group': 'system:masters' }, { 'x-remote-user': 'kubernetes-admin', 'x-remote-group': 'system:masters' }]) {
    for (const { who } of [nobody!, account!]) assert.equal((await send(api, who, { path: '/api/v1/secrets', headers })).code, 403, JSON.stringify(headers));
  }
});

test('the kubelet\'s own port refuses the same people on every path', async (c) => {
  const kubelet: Endpoint = { port: (await c.config()).kubeletPort, ca: (await realAuthority(c)).cert };
  const paths = ['/pods', '/runningpods/', '/stats/summary', '/metrics', '/metrics/cadvisor', '/configz', '/containerLogs/default/target/target', '/exec/default/target/target?command=id&output=1', '/attach/default/target/target?output=1', '/portForward/default/target', '/run/default/target/target?cmd=id', '/logs/'];
  for (const [name, { who, code }] of Object.entries(await identities(c))) {
    for (const path of paths) for (const headers of [{}, ...(/exec|attach|portForward/.test(path) ? UPGRADES : [])]) {
      for (const method of ['GET', 'POST']) {
        const answer = await send(kubelet, who, { method, path, headers });
        // The kubelet knows no anonymous users at all.
        assert.equal(answer.code, who.cert === undefined && who.token === undefined ? 401 : code, `${name}: ${method} ${path}: ${answer.text.slice(0, 200)}`);
      }
    }
  }
});

test('kubectl tells an unprivileged user in upstream\'s words', async (c) => {
  const token = (await c.kubectl('create token default')).stdout.trim();
  const { apiPort } = await c.config();
  const as = (args: string): string[] => [`--kubeconfig=/dev/null`, `--server=https://127.0.0.1:${apiPort}`, `--certificate-authority=${c.dataDir}/pki/ca.crt`, `--token=${token}`, ...args.split(' ')];
  const refused = await c.kubectl(as('get pods'), { expect: 1 });
  assert.equal(refused.stderr, 'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" in the namespace "default"\n');
  const exec = await c.kubectl(as('exec target -- id'), { expect: 1 });
  assert.equal(exec.stderr, 'Error from server (Forbidden): pods "target" is forbidden: User "system:serviceaccount:default:default" cannot get resource "pods" in API group "" in the namespace "default"\n');
  await c.kubectl('create role reader --verb=get,list --resource=pods');
  await c.kubectl('create rolebinding reader --role=reader --serviceaccount=default:default');
  assert.match((await c.kubectl(as('get pods'))).stdout, /^target +1\/1 +Running /m);
  const stream = await c.kubectl(as('exec target -- id'), { expect: 1 });
  assert.equal(stream.stderr, 'error: unable to upgrade connection: pods "target" is forbidden: User "system:serviceaccount:default:default" cannot create resource "pods/exec" in API group "" in the namespace "default"\n');
});
