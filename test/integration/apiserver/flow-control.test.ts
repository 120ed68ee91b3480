import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { FlowSchema } from '#api/gen/flowcontrol-v1.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer({ inFlight: { maxReadOnly: 4, maxMutating: 2 } });
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
});
const GROUP = '/apis/flowcontrol.apiserver.k8s.io/v1';
const AS = { headers: { 'impersonate-user': 'jane', 'impersonate-group': 'clients' } };
const schema = {
  apiVersion: 'flowcontrol.apiserver.k8s.io/v1', kind: 'FlowSchema', metadata: { name: 'clients' },
  spec: {
    priorityLevelConfiguration: { name: 'shared' }, matchingPrecedence: 500, distinguisherMethod: { type: 'ByUser' },
    rules: [{ subjects: [{ kind: 'Group', group: { name: 'clients' } }], resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] }] }],
  },
};
const level = {
  apiVersion: 'flowcontrol.apiserver.k8s.io/v1', kind: 'PriorityLevelConfiguration', metadata: { name: 'shared' },
  spec: { type: 'Limited', limited: { nominalConcurrencyShares: 100, limitResponse: { type: 'Queue', queuing: { queues: 8, handSize: 2, queueLengthLimit: 50 } } } },
};

/** Reads until the answer is what it should be; every turn is a round trip. */
async function until<T>(read: () => Promise<T>, ok: (value: T) => boolean): Promise<T> {
  const end = Date.now() + 10_000;
  for (;;) {
    const value = await read();
    if (ok(value) || Date.now() > end) return value;
  }
}
const dangling = async () => (await http.get(`${GROUP}/flowschemas/clients`)).json<FlowSchema & Record<string, unknown>>().status?.conditions?.find((c) => c.type === 'Dangling');

test('requests carry the UIDs of their flow schema and priority level, refused ones too', async () => {
  const made = (await http.post(`${GROUP}/flowschemas`, schema)).json<FlowSchema & Record<string, unknown>>();
  const missing = await until(dangling, (c) => c !== undefined);
  assert.equal(missing?.status, 'True');
  assert.equal(missing.reason, 'NotFound');
  const levelMade = (await http.post(`${GROUP}/prioritylevelconfigurations`, level)).json();
  const found = await until(dangling, (c) => c?.status === 'False');
  assert.equal(found?.message, 'This FlowSchema references the PriorityLevelConfiguration object named "shared" and it exists');
  const answer = await http.call('GET', '/api/v1/namespaces/default/configmaps', AS);
  assert.equal(answer.code, 403);
  assert.equal(answer.headers['x-kubernetes-pf-flowschema-uid'], made.metadata.uid);
  assert.equal(answer.headers['x-kubernetes-pf-prioritylevel-uid'], levelMade.metadata.uid);
});

test('many requests at once wait for the few seats and are all answered', async () => {
  const answers = await Promise.all(Array.from({ length: 60 }, () => http.call('GET', '/api/v1/namespaces/default/configmaps', AS)));
  assert.deepEqual(new Set(answers.map((a) => a.code)), new Set([403]));
  const metrics = (await http.get('/metrics')).text;
  assert.match(metrics, /apiserver_flowcontrol_dispatched_requests_total\{flow_schema="clients",priority_level="shared"\} 61\n/);
  assert.match(metrics, /apiserver_flowcontrol_current_executing_requests\{flow_schema="clients",priority_level="shared"\} 0\n/);
  assert.match(metrics, /apiserver_flowcontrol_nominal_limit_seats\{priority_level="shared"\} 6\n/);
});

test('the dumps show levels, queues and requests', async () => {
  const levels = (await http.get('/debug/api_priority_and_fairness/dump_priority_levels')).text;
  assert.match(levels, /^PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing,/);
  assert.match(levels, /\nshared, +0, +true, +false, +0, +0, +61, +0, +0, +0\n/);
  assert.match((await http.get('/debug/api_priority_and_fairness/dump_queues')).text, /\nshared, +7, /);
  const requests = (await http.get('/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1')).text;
  assert.match(requests, /\nexempt, +exempt, +-1, .*kubernetes-admin, +get, +\/debug\/api_priority_and_fairness\/dump_requests/);
  assert.equal((await http.get('/debug/api_priority_and_fairness/nothing')).code, 404);
});
