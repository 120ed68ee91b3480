import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import type { AuthorizationAttributes } from '../interfaces.ts';
import { parseAuthorizationConfiguration } from './configuration.ts';
import { MATCH_CONDITIONS, matches } from './match.ts';
import { reviewSpec } from './review-spec.ts';
import { WebhookAuthorizer, type WebhookAuthorizerOptions } from './webhook.ts';

const file = (...authorizers: object[]): string => JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthorizationConfiguration', authorizers });
const THIS = import.meta.filename;
const hook = { timeout: '3s', subjectAccessReviewVersion: 'v1', failurePolicy: 'Deny', connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: THIS } };
const webhook = (over: object): string => file({ type: 'Webhook', name: 'w', webhook: { ...hook, ...over } });
const signal = new AbortController().signal;
const attributes = (over: Partial<AuthorizationAttributes> = {}): AuthorizationAttributes => ({
  isResourceRequest: true, verb: 'list', path: '', apiGroup: '', apiVersion: 'v1', namespace: 'default', resource: 'pods', subresource: '', name: '', user: { name: 'ann', groups: ['dev'] }, ...over,
});

describe('parseAuthorizationConfiguration', () => {
  const WRONG: readonly (readonly [string, string])[] = [
    [file(), 'authorizers: Required value: at least one authorization mode must be defined'],
    [file({ name: 'x' }), 'authorizers[0].type: Required value'],
    [file({ type: 'ABAC', name: 'x' }), 'authorizers[0].type: Unsupported value: "ABAC": supported values: "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"'],
    [file({ type: 'RBAC', name: 'a' }, { type: 'RBAC', name: 'b' }), 'authorizers[1].type: Duplicate value: "RBAC"'],
    [file({ type: 'RBAC' }), 'authorizers[0].name: Required value'],
    [file({ type: 'RBAC', name: 'a' }, { type: 'Node', name: 'a' }), 'authorizers[1].name: Duplicate value: "a"'],
    [file({ type: 'RBAC', name: '_' }), 'authorizers[0].name: Invalid value: "_": authorizer name is invalid: a lowercase RFC 1123 subdomain must consist of'],
    [file({ type: 'RBAC', name: 'a', webhook: {} }), 'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook'],
    [file({ type: 'Webhook', name: 'a' }), 'authorizers[0].webhook: Required value: required when type=Webhook'],
    [webhook({ timeout: '31s' }), 'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s'],
    [webhook({ authorizedTTL: '-1s' }), 'authorizers[0].authorizedTTL: Invalid value: "-1s": must be > 0s'],
    [webhook({ subjectAccessReviewVersion: 'v2' }), 'authorizers[0].subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"'],
    [webhook({ failurePolicy: undefined }), 'authorizers[0].failurePolicy: Required value'],
    [webhook({ failurePolicy: 'Allow' }), 'Unsupported value: "Allow": supported values: "NoOpinion", "Deny"'],
    [webhook({ connectionInfo: { type: 'InClusterConfig' } }), 'authorizers[0].connectionInfo.type: Unsupported value: "InClusterConfig"'],
    [webhook({ connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: 'x' } }), 'kubeConfigFile: Invalid value: "x": must be an absolute path'],
    [webhook({ connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: '/nowhere' } }), 'error loading file: stat /nowhere: no such file or directory'],
    [webhook({ matchConditions: [{ expression: 'true' }] }), 'authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified'],
    [webhook({ matchConditionSubjectAccessReviewVersion: 'v1', matchConditions: [{ expression: 'request.user' }] }), 'authorizers[0].matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool but got string'],
    [webhook({ matchConditionSubjectAccessReviewVersion: 'v1', matchConditions: [{ expression: 'request.usr' }] }), 'compilation failed: ERROR: <input>:1:8: undefined field \'usr\''],
    [webhook({ timeouts: 1 }), 'authorizers[0].webhook.timeouts: Invalid value: "": unknown field "timeouts"'],
  ];
  for (const [text, message] of WRONG) it(`refuses with: ${message}`, () => assert.throws(() => parseAuthorizationConfiguration(text), (err: Error) => err.message.includes(message) || assert.fail(err.message)));
  it('fills in upstream\'s defaults', () => {
    const [node, hooked] = parseAuthorizationConfiguration(file({ type: 'Node', name: 'n' }, { type: 'Webhook', name: 'w', webhook: { ...hook, cacheUnauthorizedRequests: false } }));
    assert.deepEqual(node, { type: 'Node', name: 'n' });
    assert.deepEqual(hooked?.type === 'Webhook' && hooked.webhook, { timeoutMs: 3000, authorizedTtlMs: 300_000, unauthorizedTtlMs: 0, version: 'v1', onError: 'deny', kubeConfigFile: THIS, matchConditions: [] });
  });
});

describe('match conditions', () => {
  const conditions = (...sources: string[]) => sources.map((source) => MATCH_CONDITIONS.compile(source, 'bool', fieldPath('x'), [])!);
  it('see the review that would be sent, selectors as requirements', () => {
    const spec = reviewSpec(attributes({ labelSelector: 'a in (x,y),!b', fieldSelector: 'spec.nodeName=n1' }));
    assert.deepEqual(spec.resourceAttributes!.labelSelector, { requirements: [{ key: 'a', operator: 'In', values: ['x', 'y'] }, { key: 'b', operator: 'DoesNotExist' }] });
    for (const [source, yes] of [
      ["has(request.resourceAttributes) && request.resourceAttributes.namespace == 'default'", true], ['has(request.nonResourceAttributes)', false], ["request.user == 'ann' && 'dev' in request.groups", true],
      ["request.resourceAttributes.fieldSelector.requirements.exists(r, r.key == 'spec.nodeName' && r.values == ['n1'])", true], ["request.uid == '' && size(request.extra) == 0", true],
    ] as const) assert.deepEqual(matches(conditions(source), spec), { matches: yes }, source);
  });
  it('a false one wins over one that fails; a failure is reported else', () => {
    const spec = reviewSpec(attributes({ isResourceRequest: false, path: '/x' }));
    const fails = "request.resourceAttributes.namespace == 'x'";
    assert.deepEqual(matches(conditions(fails, 'false'), spec), { matches: false });
    assert.deepEqual(matches(conditions(fails, 'true'), spec), { matches: false, error: `expression '${fails}' resulted in error: no such key: resourceAttributes` });
  });
});

describe('WebhookAuthorizer', () => {
  const asked: unknown[] = [];
  const authorizer = (over: Partial<WebhookAuthorizerOptions>, status: object | Error, clock = new FakeClock()) => new WebhookAuthorizer({
    clock, webhook: { close: () => {}, post: (body) => { asked.push(body); return status instanceof Error ? Promise.reject(status) : Promise.resolve({ status }); } }, ...over,
  });
  it('remembers a yes and a no for their times, and long questions not at all', async () => {
    const clock = new FakeClock();
    const no = authorizer({ unauthorizedTtlMs: 1000 }, { allowed: false, denied: true, reason: 'no' }, clock);
    asked.length = 0;
    for (let i = 0; i < 2; i++) assert.deepEqual(await no.authorize(attributes(), signal), { decision: 'deny', reason: 'no' });
    assert.equal(asked.length, 1);
    await clock.advance(1001);
    await no.authorize(attributes(), signal);
    for (let i = 0; i < 2; i++) await no.authorize(attributes({ name: 'x'.repeat(10_000) }), signal);
    assert.equal(asked.length, 4);
  });
  it('is not asked where a condition is false, and fails by its policy', async () => {
    asked.length = 0;
    const condition = (source: string) => [MATCH_CONDITIONS.compile(source, 'bool', fieldPath('x'), [])!];
    assert.deepEqual(await authorizer({ matchConditions: condition("request.user == 'bob'") }, {}).authorize(attributes(), signal), { decision: 'noOpinion', reason: '' });
    const failing = condition("request.nonResourceAttributes.path == '/'");
    assert.equal((await authorizer({ matchConditions: failing, onError: 'deny' }, {}).authorize(attributes(), signal)).decision, 'deny');
    assert.equal((await authorizer({ matchConditions: failing }, {}).authorize(attributes(), signal)).decision, 'noOpinion');
    assert.equal(asked.length, 0);
    assert.deepEqual(await authorizer({ onError: 'deny' }, new Error('down')).authorize(attributes(), signal), { decision: 'deny', reason: '', error: 'down' });
  });
  it('speaks v1beta1 where it is told to', async () => {
    asked.length = 0;
    await authorizer({ version: 'v1beta1' }, { allowed: true }).authorize(attributes(), signal);
    const [body] = asked as { apiVersion: string; spec: Record<string, unknown> }[];
    assert.deepEqual([body!.apiVersion, body!.spec['group'], 'groups' in body!.spec], ['authorization.k8s.io/v1beta1', ['dev'], false]);
  });
});
