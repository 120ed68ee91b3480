import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Scale } from '#api/gen/autoscaling-v1.ts';
import type { Deployment } from '#api/gen/apps-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import type { PodDisruptionBudget } from '#api/gen/policy-v1.ts';
import type { KubeletTarget, NodeProxy } from '#apiserver/subresources/node-proxy.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
const asked: KubeletTarget[] = [];
/** A kubelet that answers with what it was asked; "waiting" is a container that has no log yet. */
const kubelet: NodeProxy = {
  send: (_method, target) => {
    asked.push(target);
    const waiting = target.path.includes('/waiting');
    const body = waiting ? 'container "waiting" in pod "two" is waiting to start: ContainerCreating' : 'hello\n';
    return Promise.resolve({ status: waiting ? 400 : 200, headers: {}, body: (async function* () { yield Buffer.from(body); })() });
  },
  upgrade: (target) => {
    asked.push(target);
    return Promise.resolve({ kind: 'raw', code: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from('upgraded') });
  },
  forward: (target) => Promise.resolve({ kind: 'raw', code: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from(JSON.stringify('node' in target ? target.path : target)) }),
};
before(async () => {
  fixture = await startServer({ nodeProxy: kubelet });
  http = new Requests(fixture);
  await http.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
});
after(async () => {
  http.close();
  await fixture.close();
});

const PODS = '/api/v1/namespaces/default/pods';
const pod = (name: string, containers = ['a'], more: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: name } }, spec: { ...more, containers: containers.map((c) => ({ name: c, image: 'x' })) } });
const MERGE = { 'content-type': 'application/merge-patch+json' };

test('binding gives a Pod to a node, once', async () => {
  await http.post(PODS, pod('web'));
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'web' }, target: { kind: 'Node', name: 'n1' } };
  const made = await http.post(`${PODS}/web/binding`, binding);
  assert.equal(made.code, 201);
  assert.equal(made.status.status, 'Success');
  const bound = (await http.get(`${PODS}/web`)).json<Pod>();
  assert.equal(bound.spec?.nodeName, 'n1');
  assert.equal(bound.status?.conditions?.find((c) => c.type === 'PodScheduled')?.status, 'True');
  assert.equal(bound.status?.nominatedNodeName, undefined);
  const again = await http.post(`${PODS}/web/binding`, binding);
  assert.equal(again.code, 409);
  assert.equal(again.status.message, 'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "n1"');
  const wrong = await http.post(`${PODS}/web/binding`, { ...binding, target: { kind: 'Pod', name: '' } });
  assert.equal(wrong.code, 400);
  assert.equal(wrong.status.message, '[target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", target.name: Required value]');
  await http.post(PODS, pod('web2'));
  assert.equal((await http.post('/api/v1/namespaces/default/bindings', { ...binding, metadata: { name: 'web2' } })).code, 201);
});

test('log goes to the kubelet, and asks which container is meant', async () => {
  await http.post(PODS, pod('two', ['a', 'waiting'], { nodeName: 'n1' }));
  const which = await http.get(`${PODS}/two/log`);
  assert.equal(which.code, 400);
  assert.equal(which.status.message, 'a container name must be specified for pod two, choose one of: [a waiting]');
  assert.equal((await http.get(`${PODS}/two/log?container=zz`)).status.message, 'container zz is not valid for pod two');
  const log = await http.get(`${PODS}/two/log?container=a&tailLines=5&follow=true`);
  assert.equal(log.text, 'hello\n');
  assert.equal(asked.at(-1)?.path, '/containerLogs/default/two/a?follow=true&tailLines=5');
  assert.equal(asked.at(-1)?.node.metadata.name, 'n1');
  const waiting = await http.get(`${PODS}/two/log?container=waiting`);
  assert.equal(waiting.code, 400);
  assert.equal(waiting.status.message, 'container "waiting" in pod "two" is waiting to start: ContainerCreating');
  const bad = await http.get(`${PODS}/two/log?container=a&tailLines=-1`);
  assert.equal(bad.status.message, 'PodLogOptions "two" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0');
  await http.post(PODS, pod('early'));
  assert.equal((await http.get(`${PODS}/early/log`)).text, '');
});

test('exec needs a node, an upgrade and a container', async () => {
  assert.equal((await http.get(`${PODS}/early/exec?command=ls&stdout=true`)).status.message, 'pod early does not have a host assigned');
  assert.equal((await http.get(`${PODS}/two/exec?command=ls&stdout=true&container=a`)).status.message, 'Upgrade request required');
  assert.equal((await http.post(`${PODS}/nobody/exec?command=ls`, undefined)).code, 404);
});

test('proxy forwards the rest of the path', async () => {
  await http.call('PATCH', `${PODS}/web/status`, { body: { status: { podIP: '10.1.2.3', podIPs: [{ ip: '10.1.2.3' }] } }, headers: MERGE });
  const answer = await http.get(`${PODS}/http:web:8080/proxy/a/b?c=d`);
  assert.deepEqual(answer.json(), { scheme: 'http', host: '10.1.2.3', port: 8080, path: '/a/b?c=d' });
  assert.deepEqual((await http.get('/api/v1/nodes/n1/proxy/healthz')).json(), '/healthz');
  const none = await http.get('/api/v1/namespaces/default/services/nothing/proxy/');
  assert.equal(none.code, 404);
});

test('scale reads and writes the replicas of a workload', async () => {
  const labels = { app: 'w' };
  await http.post('/apis/apps/v1/namespaces/default/deployments', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'w' }, spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod('x').spec } } });
  const path = '/apis/apps/v1/namespaces/default/deployments/w/scale';
  const scale = (await http.get(path)).json<Scale>();
  assert.equal(scale.kind, 'Scale');
  assert.equal(scale.spec.replicas, 2);
  assert.equal(scale.status?.selector, 'app=w');
  assert.equal((await http.call('PUT', path, { body: { ...scale, spec: { replicas: 5 } } })).json<Scale>().spec.replicas, 5);
  assert.equal((await http.call('PUT', path, { body: { ...scale, spec: { replicas: 6 } } })).code, 409, 'the Scale was read before the last write');
  assert.equal((await http.call('PATCH', path, { body: { spec: { replicas: 0 } }, headers: MERGE })).json<Scale>().spec.replicas ?? 0, 0);
  const negative = await http.call('PATCH', path, { body: { spec: { replicas: -1 } }, headers: MERGE });
  assert.equal(negative.status.message, 'Scale.autoscaling "w" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0');
  assert.equal((await http.get('/apis/apps/v1/namespaces/default/deployments/w')).json<Deployment>().spec?.replicas, 0);
});

test('scale is applied by field ownership, which it shares with the workload', async () => {
  const APPLY = { 'content-type': 'application/apply-patch+yaml' };
  const path = '/apis/apps/v1/namespaces/default/deployments/w';
  const scale = (replicas: number) => ({ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'w' }, spec: { replicas } });
  await http.call('PATCH', `${path}/scale`, { body: { spec: { replicas: 1 } }, headers: MERGE });
  const refused = await http.call('PATCH', `${path}/scale?fieldManager=hpa`, { body: scale(3), headers: APPLY });
  assert.equal(refused.code, 409);
  assert.match(refused.status.message ?? '', /^Apply failed with 1 conflict: conflict with "[^"]+" with subresource "scale" using autoscaling\/v1(?: at \S+)?: \.spec\.replicas$/);
  assert.equal((await http.call('PATCH', `${path}/scale?fieldManager=hpa&force=true`, { body: scale(3), headers: APPLY })).json<Scale>().spec.replicas, 3);
  const { metadata } = (await http.get(path)).json<Deployment>();
  const owner = metadata.managedFields?.find((m) => m.manager === 'hpa');
  assert.deepEqual([owner?.operation, owner?.apiVersion, owner?.subresource, owner?.fieldsV1], ['Apply', 'apps/v1', 'scale', { 'f:spec': { 'f:replicas': {} } }]);
  assert.ok(metadata.managedFields?.every((m) => m === owner || !JSON.stringify(m.fieldsV1).includes('"f:replicas"')), 'nobody else owns the replicas now');
  const other = await http.call('PATCH', `${path}/scale?fieldManager=other`, { body: { ...scale(3), apiVersion: 'v1' }, headers: APPLY });
  assert.equal(other.status.message, 'invalid object type: /v1, Kind=Scale');
});

test('a field that comes twice in YAML is told or refused', async () => {
  const twice = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: twice\ndata:\n  a: "1"\n  a: "2"\n';
  const headers = { 'content-type': 'application/yaml' };
  const path = '/api/v1/namespaces/default/configmaps';
  const strict = await http.call('POST', `${path}?fieldValidation=Strict`, { body: twice, headers });
  assert.equal(strict.code, 400);
  assert.equal(strict.status.message, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 7: key "a" already set in map');
  const warned = await http.call('POST', path, { body: twice, headers });
  assert.equal(warned.code, 201);
  assert.match(String(warned.headers['warning']), /key \\"a\\" already set in map/);
  const merged = await http.call('PATCH', `${path}/twice?fieldValidation=Strict`, { body: '{"data":{"b":"1","b":"2"}}', headers: MERGE });
  assert.equal(merged.code, 422);
  assert.match(merged.status.message ?? '', /strict decoding error: duplicate field "data.b"/);
});

test('eviction asks the disruption budget', async () => {
  await http.post(PODS, pod('guarded', ['a'], { nodeName: 'n1' }));
  await http.call('PATCH', `${PODS}/guarded/status`, { body: { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }, headers: MERGE });
  const pdbs = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
  await http.post(pdbs, { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'b' }, spec: { minAvailable: 1, selector: { matchLabels: { app: 'guarded' } } } });
  await http.call('PATCH', `${pdbs}/b/status`, { body: { status: { observedGeneration: 1, disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 } }, headers: MERGE });
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'guarded' } };
  const refused = await http.post(`${PODS}/guarded/eviction`, eviction);
  assert.equal((await http.post(`${PODS}/guarded/eviction`, { ...eviction, apiVersion: 'policy/v1beta1' })).code, 429, 'as old clients say it');
  assert.equal((await http.post(`${PODS}/guarded/eviction`, { ...eviction, apiVersion: 'policy/v1alpha1' })).code, 400);
  assert.equal(refused.code, 429);
  assert.equal(refused.status.message, "Cannot evict pod as it would violate the pod's disruption budget.");
  assert.deepEqual(refused.status.details?.causes, [{ reason: 'DisruptionBudget', message: 'The disruption budget b needs 1 healthy pods and has 1 currently' }]);
  await http.call('PATCH', `${pdbs}/b/status`, { body: { status: { disruptionsAllowed: 1 } }, headers: MERGE });
  assert.equal((await http.post(`${PODS}/guarded/eviction`, eviction)).code, 201);
  const budget = (await http.get(`${pdbs}/b`)).json<PodDisruptionBudget>();
  assert.equal(budget.status?.disruptionsAllowed, 0);
  assert.ok(budget.status?.disruptedPods?.['guarded']);
  const leaving = (await http.get(`${PODS}/guarded`)).json<Pod>();
  assert.ok(leaving.metadata.deletionTimestamp);
  const told = leaving.status?.conditions?.find((c) => c.type === 'DisruptionTarget');
  assert.deepEqual([told?.status, told?.reason, told?.message, told?.observedGeneration], ['True', 'EvictionByEvictionAPI', 'Eviction API: evicting', undefined]);
});

test('eviction tells nothing in a Pod that is not the one that is meant', async () => {
  const { metadata } = (await http.post(PODS, pod('other', ['a'], { nodeName: 'n1' }))).json();
  const evict = (preconditions: object, query = '') => http.post(`${PODS}/other/eviction${query}`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'other' }, deleteOptions: { preconditions } });
  assert.equal((await evict({ uid: 'no' })).code, 409);
  assert.equal((await evict({ resourceVersion: '1' })).code, 409);
  assert.equal((await evict({ uid: metadata.uid }, '?dryRun=All')).code, 201);
  assert.equal((await http.get(`${PODS}/other`)).json().metadata.resourceVersion, metadata.resourceVersion);
  assert.equal((await evict({ uid: metadata.uid, resourceVersion: metadata.resourceVersion })).code, 201);
  assert.ok((await http.get(`${PODS}/other`)).json().metadata.deletionTimestamp);
});

test('reviews and token requests are answered, not stored', async () => {
  const can = (await http.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { spec: { resourceAttributes: { verb: 'delete', resource: 'nodes' } } })).json<{ status: { allowed: boolean } }>();
  assert.equal(can.status.allowed, true);
  const who = (await http.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {})).json<{ status: { userInfo: { username: string } } }>();
  assert.equal(who.status.userInfo.username, 'kubernetes-admin');
  await http.post('/api/v1/namespaces/default/serviceaccounts', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot' } });
  const token = (await http.post('/api/v1/namespaces/default/serviceaccounts/robot/token', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} })).json<{ status: { token: string } }>().status.token;
  const review = (await http.post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token } })).json<{ status: { authenticated: boolean; user: { username: string } } }>();
  assert.equal(review.status.user.username, 'system:serviceaccount:default:robot');
  const refused = await http.call('GET', PODS, { anonymous: true, headers: { authorization: `Bearer ${token}` } });
  assert.equal(refused.status.message, 'pods is forbidden: User "system:serviceaccount:default:robot" cannot list resource "pods" in API group "" in the namespace "default"');
  const asRobot = await http.get(PODS, { 'impersonate-user': 'system:serviceaccount:default:robot' });
  assert.equal(asRobot.code, 403);
  assert.equal((await http.get('/apis/authentication.k8s.io/v1/selfsubjectreviews')).code, 405);
});

test('both versions of HorizontalPodAutoscaler show one object', async () => {
  const v1 = '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers';
  await http.post(v1, { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', metadata: { name: 'h' }, spec: { maxReplicas: 4, targetCPUUtilizationPercentage: 70, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'w' } } });
  const v2 = (await http.get('/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h')).json<{ apiVersion: string; spec: { metrics: unknown } }>();
  assert.equal(v2.apiVersion, 'autoscaling/v2');
  assert.deepEqual(v2.spec.metrics, [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } }]);
  assert.equal((await http.get(`${v1}/h`)).json<{ spec: { targetCPUUtilizationPercentage: number } }>().spec.targetCPUUtilizationPercentage, 70);
});
