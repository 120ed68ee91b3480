import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestInfo, UserInfo } from '../interfaces.ts';
import { AuditPolicyError, decide, parseAuditPolicy } from './policy.ts';

const policy = (rules: string, more = ''): string => `apiVersion: audit.k8s.io/v1\nkind: Policy\n${more}\nrules:\n${rules}`;
const request = (verb: string, resource: string, more: Partial<RequestInfo> = {}): RequestInfo => ({ isResourceRequest: true, verb, path: '', apiGroup: '', apiVersion: 'v1', namespace: 'default', resource, subresource: '', name: 'x', ...more });
const path = (text: string): RequestInfo => ({ isResourceRequest: false, verb: 'get', path: text, apiGroup: '', apiVersion: '', namespace: '', resource: '', subresource: '', name: '' });
const jane: UserInfo = { name: 'jane', groups: ['dev', 'system:authenticated'] };

test('decide takes the first rule that matches, with the stages of rule and policy left out', () => {
  const rules = parseAuditPolicy(policy(`
- {level: None, users: ['system:kube-proxy'], verbs: [watch], resources: [{group: '', resources: [endpoints, services]}]}
- {level: None, userGroups: ['system:authenticated'], nonResourceURLs: ['/api*', '/version']}
- {level: Request, resources: [{group: '', resources: [configmaps]}], namespaces: [kube-system]}
- {level: Metadata, resources: [{group: '', resources: [secrets, configmaps]}], omitManagedFields: false}
- {level: RequestResponse, resources: [{group: apps}, {group: '', resources: ['pods/status', '*/exec', 'nodes/*']}, {group: '', resources: [pods], resourceNames: [precious]}], omitStages: [Panic]}
- {level: Metadata, nonResourceURLs: ['*'], verbs: [post]}
`, 'omitStages: [RequestReceived]\nomitManagedFields: true'));
  const level = (info: RequestInfo, user: UserInfo | undefined = jane) => decide(rules, info, user).level;
  assert.equal(level(request('watch', 'services'), { name: 'system:kube-proxy', groups: [] }), 'None');
  assert.equal(level(path('/apis/apps')), 'None');
  assert.equal(level({ ...path('/healthz'), verb: 'post' }), 'Metadata');
  assert.equal(level(request('get', 'configmaps', { namespace: 'kube-system' })), 'Request');
  assert.equal(level(request('get', 'configmaps')), 'Metadata');
  assert.equal(level(request('get', 'configmaps', { apiGroup: 'other' })), 'None');
  assert.equal(level(request('get', 'deployments', { apiGroup: 'apps', subresource: 'scale' })), 'RequestResponse');
  assert.equal(level(request('update', 'pods', { subresource: 'status' })), 'RequestResponse');
  assert.equal(level(request('create', 'pods', { subresource: 'exec' })), 'RequestResponse');
  assert.equal(level(request('get', 'nodes', { subresource: 'proxy' })), 'RequestResponse');
  assert.equal(level(request('get', 'pods', { name: 'precious' })), 'RequestResponse');
  assert.equal(level(request('get', 'pods')), 'None');
  assert.equal(level(path('/version'), { name: 'a', groups: [] }), 'None');
  const apps = decide(rules, request('get', 'deployments', { apiGroup: 'apps' }), jane);
  assert.deepEqual([...apps.omitStages], ['RequestReceived', 'Panic']);
  assert.equal(apps.omitManagedFields, true);
  assert.equal(decide(rules, request('get', 'secrets'), jane).omitManagedFields, false);
  const everybody = parseAuditPolicy(policy('- {level: Metadata, users: [jane]}\n- {level: Request}'));
  assert.equal(decide(everybody, request('get', 'pods'), undefined).level, 'Request');
});

test('parseAuditPolicy says what is wrong', () => {
  const fails = (text: string, message: RegExp) => assert.throws(() => parseAuditPolicy(text), (err) => err instanceof AuditPolicyError && message.test(err.message));
  fails('{', /^failed decoding: /);
  fails('{"apiVersion":"audit.k8s.io/v1beta1","kind":"Policy"}', /unknown group version field/);
  fails('{"apiVersion":"audit.k8s.io/v1","kind":"Policy"}', /^loaded illegal policy with 0 rules$/);
  fails(policy('- {users: [a]}'), /^rules\[0\].level: Required value$/);
  fails(policy('- {level: Loud}'), /rules\[0\].level: Unsupported value: "Loud": supported values: /);
  fails(policy('- {level: None, nonResourceURLs: [healthz, "/a*b", "*"]}'), /rules\[0\].nonResourceURLs\[0\]: Invalid value: "healthz": non-resource URL rules must begin with a '\/' character, rules\[0\].nonResourceURLs\[1\]: Invalid value: "\/a\*b": non-resource URL wildcards '\*' must be the final character of the rule/);
  fails(policy('- {level: None, nonResourceURLs: ["/a"], namespaces: [a]}'), /rules cannot apply to both regular resources and non-resource URLs/);
  fails(policy('- {level: None, resources: [{group: "", resourceNames: [a]}]}'), /using resourceNames requires at least one resource/);
  fails(policy('- {level: None, omitStages: [Later]}'), /omitStages\[0\]: Invalid value: "Later": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic/);
  fails(policy('- {level: None, usres: [a]}'), /unknown field "usres"/);
  fails(policy('- {level: None, users: a}'), /must be a list of strings/);
});
