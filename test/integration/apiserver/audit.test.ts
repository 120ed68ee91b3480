import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { resourceOf } from '#api/resources.ts';
import { AuditLog } from '#apiserver/audit/audit-log.ts';
import { Auditor } from '#apiserver/audit/auditor.ts';
import { parseAuditPolicy } from '#apiserver/audit/policy.ts';
import { AuditWebhook } from '#apiserver/audit/webhook.ts';
import { openKubeconfigWebhook } from '#apiserver/webhook/kubeconfig.ts';
import { systemClock } from '#base/clock.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests, type CallOptions } from './requests.ts';

interface Event {
  readonly [field: string]: unknown;
  readonly stage: string;
  readonly verb: string;
  readonly auditID: string;
  readonly objectRef?: { readonly resource: string; readonly name?: string };
  readonly responseStatus?: { readonly code: number; readonly message?: string };
  readonly requestObject?: { readonly data?: unknown; readonly metadata?: object };
  readonly responseObject?: { readonly kind: string; readonly metadata: object; readonly items?: readonly { readonly metadata: object }[] };
  readonly annotations?: Readonly<Record<string, string>>;
}
const POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
- level: None
  nonResourceURLs: ['/metrics']
- level: RequestResponse
  resources: [{group: '', resources: [configmaps]}]
- level: Request
  resources: [{group: '', resources: [services]}]
  omitStages: [RequestReceived]
- level: Metadata
`;
let dir: string;
let log: AuditLog;
let fixture: Fixture;
let http: Requests;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'podyard-audit-'));
  await writeFile(join(dir, 'audit-policy.yaml'), POLICY);
  log = (await AuditLog.open({ policyPath: join(dir, 'audit-policy.yaml'), logPath: join(dir, 'audit.log'), clock: systemClock }))!;
  fixture = await startServer({ audit: log.auditor, pluginsWithout: [] });
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
  await log.close();
  await rm(dir, { recursive: true, force: true });
});
const CMS = '/api/v1/namespaces/default/configmaps';

/** The events of one request, found by the audit ID it asks for. */
async function eventsOf(id: string): Promise<Event[]> {
  await log.flush();
  const lines = (await readFile(join(dir, 'audit.log'), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Event).filter((e) => e.auditID === id);
}
/** A request is written down when its answer is out, which the client may see first. */
async function complete(id: string, stage = 'ResponseComplete'): Promise<Event[]> {
  for (let i = 0; ; i++) {
    const events = await eventsOf(id);
    if (i === 200 || events.some((e) => e.stage === stage)) return events;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const audited = async (id: string, method: string, path: string, options: CallOptions = {}): Promise<Event[]> => {
  await http.call(method, path, { ...options, headers: { 'audit-id': id, 'user-agent': 'tester/1', ...options.headers } });
  return complete(id);
};

test('a create is written down with what was sent and what came of it', async () => {
  assert.equal((await http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })).code, 201);
  const [received, done, ...more] = await audited('create-1', 'POST', `${CMS}?fieldManager=me`, { body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } } });
  assert.equal(more.length, 0);
  assert.equal(received!.stage, 'RequestReceived');
  assert.equal(received!.requestObject, undefined);
  const { requestReceivedTimestamp, stageTimestamp, responseObject, annotations, ...rest } = done!;
  for (const time of [requestReceivedTimestamp, stageTimestamp]) assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.deepEqual(rest, {
    kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'RequestResponse', auditID: 'create-1', stage: 'ResponseComplete', requestURI: `${CMS}?fieldManager=me`, verb: 'create',
    user: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'], extra: (rest['user'] as { extra?: object }).extra },
    sourceIPs: ['127.0.0.1'], userAgent: 'tester/1',
    objectRef: { resource: 'configmaps', namespace: 'default', name: 'a', apiVersion: 'v1' },
    responseStatus: { metadata: {}, code: 201 },
    requestObject: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } },
  });
  assert.equal(responseObject!.kind, 'ConfigMap');
  assert.ok(!('managedFields' in responseObject!.metadata));
  assert.equal(annotations!['authorization.k8s.io/decision'], 'allow');
  assert.equal((await stat(join(dir, 'audit.log'))).mode & 0o777, 0o600);
});

test('of a token that is made its id is written down, and of a kind that goes out of use that it does', async () => {
  const path = '/api/v1/namespaces/default/serviceaccounts';
  await http.post(path, { metadata: { name: 'robot' } });
  const made = (await audited('token-1', 'POST', `${path}/robot/token`, { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' } })).at(-1)!;
  assert.match(made.annotations!['authentication.kubernetes.io/issued-credential-id']!, /^JTI=[0-9a-f-]{36}$/);
  assert.equal((await audited('endpoints-1', 'GET', '/api/v1/namespaces/default/endpoints')).at(-1)!.annotations!['k8s.io/deprecated'], 'true');
});

test('lists, patches and refusals show as they were answered', async () => {
  const list = (await audited('list-1', 'GET', CMS)).at(-1)!;
  assert.equal(list.responseObject?.kind, 'ConfigMapList');
  assert.ok(list.responseObject.items!.every((item) => !('managedFields' in item.metadata)));
  const patch = (await audited('patch-1', 'PATCH', `${CMS}/a`, { body: { data: { k: 'w' } }, headers: { 'content-type': 'application/merge-patch+json' } })).at(-1)!;
  assert.deepEqual(patch.requestObject, { data: { k: 'w' } });
  const missing = (await audited('get-1', 'GET', `${CMS}/b`)).at(-1)!;
  assert.deepEqual(missing.responseStatus, { metadata: {}, status: 'Failure', message: 'configmaps "b" not found', reason: 'NotFound', details: { name: 'b', kind: 'configmaps' }, code: 404 });
  const invalid = await audited('create-2', 'POST', '/api/v1/namespaces/default/services', { body: { apiVersion: 'v1', kind: 'Service', metadata: { name: 'A' } } });
  assert.deepEqual(invalid.map((e) => [e.stage, e.responseStatus?.code]), [['ResponseComplete', 422]]);
  assert.deepEqual(invalid[0]!.requestObject?.metadata, { name: 'A' });
  assert.equal(invalid[0]!.responseObject, undefined);
});

test('requestObject has the defaults of its kind, and nothing that admission or the registry adds', async () => {
  const sent = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'defaults' }, spec: { ports: [{ port: 80 }] } };
  const done = (await audited('defaults-1', 'POST', '/api/v1/namespaces/default/services?dryRun=All', { body: sent })).at(-1)!;
  assert.deepEqual(done.requestObject, {
    ...sent, spec: { ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }], sessionAffinity: 'None', type: 'ClusterIP', internalTrafficPolicy: 'Cluster' }, status: { loadBalancer: {} },
  });
  assert.equal((await audited('garbage-1', 'POST', CMS, { body: '{"kind": 5}' })).at(-1)!.requestObject, undefined);
});

test('a webhook gets the same events, in batches, as the user of its kubeconfig file', async () => {
  const batches: { readonly kind: string; readonly items: readonly Event[] }[] = [];
  const authorizations = new Set<string | undefined>();
  let down = true;
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      authorizations.add(request.headers.authorization);
      if (!down) batches.push(JSON.parse(Buffer.concat(chunks).toString()) as (typeof batches)[number]);
      response.writeHead(down ? 503 : 200).end();
      down = false;
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const path = join(dir, 'audit-webhook.yaml');
  await writeFile(path, JSON.stringify({
    'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'collector', user: 'apiserver' } }], users: [{ name: 'apiserver', user: { token: 'abc' } }],
    clusters: [{ name: 'collector', cluster: { server: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/audit` } }],
  }));
  const webhook = new AuditWebhook({ clock: systemClock, maxWaitMs: 50, webhook: await openKubeconfigWebhook({ path, clock: systemClock, random: Math.random, initialBackoffMs: 10, mayRetry: () => true, anyAnswer: true }) });
  const other = await startServer({ audit: new Auditor(parseAuditPolicy(POLICY), [webhook], systemClock) });
  const requests = new Requests(other);
  try {
    for (let i = 0; i < 3; i++) await requests.get(CMS, { 'audit-id': `hook-${i}` });
    const metrics = (await requests.get('/metrics')).text;
    assert.match(metrics, /apiserver_audit_error_total\{plugin="webhook"\} 0\n/);
  } finally {
    requests.close();
    await other.close();
    await webhook.close();
    await new Promise((resolve) => collector.close(resolve));
  }
  assert.deepEqual([...authorizations], ['Bearer abc']);
  assert.ok(batches.every((b) => b.kind === 'EventList'));
  const seen = batches.flatMap((b) => b.items).filter((e) => e.auditID.startsWith('hook-'));
  assert.deepEqual(seen.map((e) => `${e.auditID} ${e.stage}`).toSorted(), ['hook-0', 'hook-1', 'hook-2'].flatMap((id) => [`${id} RequestReceived`, `${id} ResponseComplete`]).toSorted());
});

test('who acts as somebody else is written down with both', async () => {
  const [received, done] = await audited('as-1', 'GET', '/api/v1/namespaces/default/secrets', { headers: { 'impersonate-user': 'jane' } });
  assert.equal(received!['impersonatedUser'], undefined);
  assert.deepEqual(done!['impersonatedUser'], { username: 'jane', groups: ['system:authenticated'] });
  assert.equal((done!['user'] as { username: string }).username, 'kubernetes-admin');
  assert.equal(done!.responseStatus?.code, 403);
  assert.equal(done!.annotations!['authorization.k8s.io/decision'], 'forbid');
});

test('refused credentials are written down without a user', async () => {
  await http.call('GET', CMS, { anonymous: true, headers: { 'audit-id': 'who-1', authorization: 'Bearer nonsense' } });
  const [event] = await complete('who-1', 'ResponseStarted');
  assert.deepEqual(event!['user'], {});
  assert.equal(event!.responseStatus?.code, 401);
});

test('a watch is written down when it starts and when it ends', async () => {
  const events = await audited('watch-1', 'GET', `${CMS}?watch=1&timeoutSeconds=1`);
  assert.deepEqual(events.map((e) => [e.stage, e.verb, e.responseStatus?.code]), [['RequestReceived', 'watch', undefined], ['ResponseStarted', 'watch', 200], ['ResponseComplete', 'watch', 200]]);
});

test('admission plugins annotate the event', async () => {
  await http.post('/api/v1/namespaces/default/serviceaccounts', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } });
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { serviceAccountName: 'default', containers: [{ name: 'c', image: 'i' }] } };
  const done = (await audited('pod-1', 'POST', '/api/v1/namespaces/default/pods?dryRun=All', { body: pod })).at(-1)!;
  assert.deepEqual(done.responseStatus, { metadata: {}, code: 201 });
  assert.equal(done.annotations!['pod-security.kubernetes.io/enforce-policy'], 'privileged:latest');
  assert.equal(done.requestObject, undefined);
});

test('policies annotate the event, and tell of failures that they only audit', async () => {
  const group = '/apis/admissionregistration.k8s.io/v1';
  const make = async (plural: string, kind: string, name: string, spec: object): Promise<void> => assert.equal((await http.post(`${group}/${plural}`, { apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name }, spec })).code, 201);
  await make('validatingadmissionpolicies', 'ValidatingAdmissionPolicy', 'sizes', {
    matchConstraints: { resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }] },
    validations: [{ expression: 'object.data.size() < 2', messageExpression: "string(object.data.size()) + ' keys'" }], auditAnnotations: [{ key: 'keys', valueExpression: "'has ' + object.data.map(k, k).join('+')" }, { key: 'none', valueExpression: 'null' }],
  });
  await make('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', 'sizes-everywhere', { policyName: 'sizes', validationActions: ['Audit'] });
  const done = (await audited('policy-1', 'POST', `${CMS}?dryRun=All`, { body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: '', b: '' } } })).at(-1)!;
  assert.equal(done.responseStatus?.code, 201);
  assert.equal(done.annotations!['sizes/keys'], 'has a+b');
  assert.ok(!('sizes/none' in done.annotations!));
  assert.deepEqual(JSON.parse(done.annotations!['validation.policy.admission.k8s.io/validation_failure']!), [{ message: '2 keys', policy: 'sizes', binding: 'sizes-everywhere', expressionIndex: 0, validationActions: ['Audit'] }]);
});

test('calls of the process itself are written down too, and what the policy leaves out is not', async () => {
  await fixture.server.call({ verb: 'get', resource: resourceOf('', 'v1', 'configmaps'), namespace: 'default', name: 'a' }, { user: { name: 'system:kube-scheduler', groups: [] }, userAgent: 'kube-scheduler' }).catch(() => {});
  await http.call('GET', '/metrics', { headers: { 'audit-id': 'none-1' } });
  await log.flush();
  const lines = (await readFile(join(dir, 'audit.log'), 'utf8')).split('\n');
  assert.ok(lines.some((line) => line.includes('"username":"system:kube-scheduler"') && line.includes('"stage":"ResponseComplete"')));
  assert.deepEqual(await eventsOf('none-1'), []);
  assert.match((await http.get('/metrics')).text, /apiserver_audit_event_total \d+\n/);
});
