/** Admission policies in CEL, in a whole server: what they match, what they see, and what comes of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { startServer, type Fixture } from './fixture.ts';
import { openWatch, Requests, type Answer } from './requests.ts';

const GROUP = '/apis/admissionregistration.k8s.io/v1';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer({ pluginsWithout: ['NamespaceLifecycle', 'ServiceAccount'] });
  http = new Requests(fixture);
  assert.equal((await http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })).code, 201);
});
after(async () => {
  http.close();
  await fixture.close();
});

const pathOf = (kind: string): string => `${GROUP}/${kind.toLowerCase().replace(/y$/, 'ie')}s`;
async function add(kind: string, name: string, spec: object): Promise<void> {
  const made = await http.post(pathOf(kind), { apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name }, spec });
  assert.equal(made.code, 201, made.text);
}
/** A policy and its binding, gone after `run`. */
async function withPolicy(kind: 'Validating' | 'Mutating', spec: object, binding: object, run: () => Promise<void>): Promise<void> {
  const kinds = [`${kind}AdmissionPolicy`, `${kind}AdmissionPolicyBinding`];
  await add(kinds[0]!, 'p', spec);
  await add(kinds[1]!, 'b', { policyName: 'p', ...(kind === 'Validating' ? { validationActions: ['Deny'] } : {}), ...binding });
  try {
    await run();
  } finally {
    for (const each of kinds) await http.call('DELETE', `${pathOf(each)}/${each.endsWith('Binding') ? 'b' : 'p'}`);
  }
}
const rulesOf = (group: string, version: string, resource: string, more: object = {}) => ({ resourceRules: [{ apiGroups: [group], apiVersions: [version], operations: ['CREATE', 'UPDATE'], resources: [resource] }], ...more });
const answered = (answer: Answer): string => (answer.code < 300 ? String(answer.code) : `${answer.code} ${answer.status.message}`);

const S = { type: 'string' };
const I = { type: 'integer' };
async function define(plural: string, kind: string, versions: readonly object[]): Promise<void> {
  const watch = await openWatch(http, `${CRDS}?watch=true&fieldSelector=metadata.name=${plural}.example.com`);
  const made = await http.post(CRDS, { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: `${plural}.example.com` }, spec: { group: 'example.com', scope: 'Namespaced', names: { plural, kind }, versions } });
  assert.equal(made.code, 201, made.text);
  for (;;) {
    const { status } = (await watch.next())!.object as unknown as { status?: { conditions?: { type: string; status: string }[] } };
    if (status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True')) break;
  }
  watch.close();
}
const schemaOf = (spec: object) => ({ openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: spec }, status: { type: 'object', properties: { replicas: I } } } } });

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const configMap = (name: string, data: object): Promise<Answer> => http.post(CONFIGMAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

test('policies judge and change objects in CEL', async () => {
  const matchConstraints = { resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }] };
  const judge = {
    matchConstraints, variables: [{ name: 'size', expression: 'has(object.data) ? object.data.size() : 0' }], matchConditions: [{ name: 'not-system', expression: "!request.userInfo.username.startsWith('system:')" }],
    validations: [{ expression: 'variables.size <= 1', messageExpression: "'too many keys: ' + string(variables.size)", reason: 'Forbidden' }],
  };
  const mark = { matchConstraints, reinvocationPolicy: 'Never', failurePolicy: 'Fail', mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: Object.metadata.labels{seen: object.metadata.name}}}' } }] };
  await withPolicy('Validating', judge, {}, () => withPolicy('Mutating', mark, {}, async () => {
    const one = await configMap('one', { a: '1' });
    assert.deepEqual([one.code, one.json().metadata.labels], [201, { seen: 'one' }]);
    assert.equal(answered(await configMap('two', { a: '1', b: '2' })), `403 configmaps "two" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too many keys: 2`);
  }));
});

const HPAS = { v1: '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers', v2: '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers' };
interface HPA extends KubeObject {
  readonly spec: { readonly maxReplicas: number; readonly metrics: readonly { readonly resource: { readonly target: { readonly averageUtilization: number } } }[] };
}
const hpa = (name: string, averageUtilization: number) => ({
  apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata: { name },
  spec: { scaleTargetRef: { kind: 'Deployment', name: 'd', apiVersion: 'apps/v1' }, maxReplicas: 3, metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } } }] },
});

test('a validating policy sees a request for another version in the version that it names', async () => {
  const rules = rulesOf('autoscaling', 'v1', 'horizontalpodautoscalers');
  const validations = [{ expression: 'object.spec.targetCPUUtilizationPercentage < 60', messageExpression: "request.kind.version + ' asked as ' + request.requestKind.version + ', resource ' + request.resource.version + ' of ' + request.requestResource.version" }];
  await withPolicy('Validating', { matchConstraints: rules, validations }, {}, async () => {
    assert.equal(answered(await http.post(HPAS.v2, hpa('low', 50))), '201');
    assert.equal(answered(await http.post(HPAS.v2, hpa('high', 70))), `422 horizontalpodautoscalers.autoscaling "high" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: v1 asked as v2, resource v1 of v2`);
  });
  await withPolicy('Validating', { matchConstraints: { ...rules, matchPolicy: 'Exact' }, validations }, {}, async () => {
    assert.equal(answered(await http.post(HPAS.v2, hpa('exact', 70))), '201');
  });
  const excluded = { ...rulesOf('autoscaling', '*', 'horizontalpodautoscalers'), excludeResourceRules: rules.resourceRules };
  await withPolicy('Validating', { matchConstraints: excluded, validations: [{ expression: 'false' }] }, {}, async () => {
    assert.equal(answered(await http.post(HPAS.v2, hpa('excluded', 70))), '201', 'what is left out is left out in every version');
  });
  await withPolicy('Validating', { matchConstraints: rulesOf('autoscaling', 'v2', '*'), validations: [{ expression: 'false' }] }, { matchResources: { ...rules, matchPolicy: 'Exact' } }, async () => {
    assert.equal(answered(await http.post(HPAS.v2, hpa('bound', 70))), '201', 'bindings have a policy of their own');
  });
});

test('a mutating policy changes the object in its version, and the request goes on in its own', async () => {
  const mutations = [
    { patchType: 'JSONPatch', jsonPatch: { expression: "[JSONPatch{op: 'replace', path: '/spec/targetCPUUtilizationPercentage', value: object.spec.targetCPUUtilizationPercentage + 5}]" } },
    { patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{spec: Object.spec{maxReplicas: object.spec.targetCPUUtilizationPercentage}}' } },
  ];
  await withPolicy('Mutating', { matchConstraints: rulesOf('autoscaling', 'v1', 'horizontalpodautoscalers'), reinvocationPolicy: 'Never', mutations }, {}, async () => {
    const made = await http.post(HPAS.v2, hpa('mutated', 70));
    const { apiVersion, spec } = made.json<HPA>();
    assert.deepEqual([made.code, apiVersion, spec.metrics[0]!.resource.target.averageUtilization, spec.maxReplicas], [201, 'autoscaling/v2', 75, 75]);
  });
});

test('versions and subresources of custom kinds are equivalent too', async () => {
  const version = (name: string, storage: boolean) => ({ name, served: true, storage, schema: schemaOf({ replicas: I, note: S }), subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } } });
  await define('widgets', 'Widget', [version('v1', true), version('v2', false)]);
  const WIDGETS = '/apis/example.com/v2/namespaces/default/widgets';
  assert.equal((await http.post(WIDGETS, { apiVersion: 'example.com/v2', kind: 'Widget', metadata: { name: 'w' }, spec: { replicas: 1 } })).code, 201);
  await withPolicy('Validating', { matchConstraints: rulesOf('example.com', 'v1', 'widgets'), validations: [{ expression: "object.apiVersion == 'example.com/v1' && object.spec.replicas < 3" }] }, {}, async () => {
    const patch = (replicas: number) => http.call('PATCH', `${WIDGETS}/w`, { body: { spec: { replicas } }, headers: { 'content-type': 'application/merge-patch+json' } });
    assert.equal(answered(await patch(2)), '200');
    assert.match(answered(await patch(3)), /^422 widgets\.example\.com "w" is forbidden: .* failed expression/);
  });
  await withPolicy('Validating', { matchConstraints: rulesOf('example.com', 'v1', 'widgets/scale'), validations: [{ expression: "object.kind == 'Scale' && object.spec.replicas < 3 && request.resource.version == 'v1'" }] }, {}, async () => {
    const scale = (replicas: number) => http.call('PATCH', `${WIDGETS}/w/scale`, { body: { spec: { replicas } }, headers: { 'content-type': 'application/merge-patch+json' } });
    assert.equal(answered(await scale(1)), '200');
    assert.match(answered(await scale(3)), /^422 widgets\.example\.com "w" is forbidden/);
  });
});

test('parameters come from custom kinds, in the version that the policy names', async () => {
  const version = (name: string, storage: boolean) => ({ name, served: true, storage, schema: schemaOf({ max: I, perTeam: { type: 'array', items: S } }) });
  await define('limits', 'Limit', [version('v1', true), version('v2', false)]);
  const limit = (name: string, max: number, labels: object = {}) => http.post('/apis/example.com/v1/namespaces/default/limits', { apiVersion: 'example.com/v1', kind: 'Limit', metadata: { name, labels }, spec: { max } });
  const spec = {
    paramKind: { apiVersion: 'example.com/v2', kind: 'Limit' }, matchConstraints: rulesOf('', 'v1', 'configmaps'),
    validations: [{ expression: 'object.data.size() <= params.spec.max', messageExpression: "'at most ' + string(params.spec.max) + ' by ' + params.apiVersion + ' ' + params.metadata.name" }],
  };
  const refusal = (name: string, why: string) => `422 configmaps "${name}" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ${why}`;
  const paramRef = { name: 'small', parameterNotFoundAction: 'Deny' };
  await withPolicy('Validating', spec, { paramRef }, async () => {
    assert.equal(answered(await configMap('params', { a: '1' })), refusal('params', 'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction'));
    assert.equal((await limit('small', 1, { tier: 'a' })).code, 201);
    assert.equal(answered(await configMap('params', { a: '1', b: '2' })), refusal('params', 'at most 1 by example.com/v2 small'));
    assert.equal(answered(await configMap('params', { a: '1' })), '201');
  });
  await withPolicy('Validating', spec, { paramRef: { name: 'gone', parameterNotFoundAction: 'Allow' } }, async () => assert.equal(answered(await configMap('params-2', { a: '1', b: '2' })), '201'));
  assert.equal((await limit('large', 2, { tier: 'a' })).code, 201);
  await withPolicy('Validating', spec, { paramRef: { selector: { matchLabels: { tier: 'a' } }, parameterNotFoundAction: 'Deny' } }, async () => {
    assert.equal(answered(await configMap('params-3', { a: '1', b: '2' })), refusal('params-3', 'at most 1 by example.com/v2 small'), 'every parameter must be content');
  });
  await withPolicy('Validating', { ...spec, paramKind: { apiVersion: 'example.com/v3', kind: 'Limit' } }, { paramRef }, async () => {
    assert.equal(answered(await configMap('params-4', { a: '1' })), `422 configmaps "params-4" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v3, Kind=Limit'`);
  });
});

test('a policy that cannot compile is refused', async () => {
  const made = await http.post(pathOf('ValidatingAdmissionPolicy'), { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingAdmissionPolicy', metadata: { name: 'broken' }, spec: { matchConstraints: rulesOf('', 'v1', 'pods'), validations: [{ expression: 'objekt.x' }] } });
  assert.equal(answered(made), "422 ValidatingAdmissionPolicy.admissionregistration.k8s.io \"broken\" is invalid: spec.validations[0].expression: Invalid value: \"objekt.x\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'objekt' (in container '')\n | objekt.x\n | ^");
});

test('checks, conditions and mutations are counted', async () => {
  const counter = async (pattern: RegExp): Promise<string[]> => (await http.get('/metrics')).text.split('\n').filter((line) => pattern.test(line)).map((line) => line.replace(/^apiserver_/, ''));
  const judge = { matchConstraints: rulesOf('', 'v1', 'configmaps'), matchConditions: [{ name: 'counted', expression: "object.metadata.name.startsWith('counted')" }], validations: [{ expression: 'object.data.size() < 2' }] };
  const mark = { matchConstraints: rulesOf('', 'v1', 'configmaps'), reinvocationPolicy: 'Never', mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: 'false ? [JSONPatch{op: "remove", path: "/a"}] : []' } }] };
  const before = (await counter(/^apiserver_mutating_admission_policy_check_total/)).join();
  await withPolicy('Validating', judge, { validationActions: ['Warn', 'Audit'] }, () => withPolicy('Mutating', mark, {}, async () => {
    assert.equal(answered(await configMap('counted', { a: '', b: '' })), '201');
    assert.equal(answered(await configMap('other', { a: '', b: '' })), '201');
  }));
  assert.deepEqual(await counter(/validating_admission_policy_check_total\{.*"(warn|audit)"/), ['warn', 'audit'].map((action) => `validating_admission_policy_check_total{enforcement_action="${action}",error_type="invalid_error",policy="p",policy_binding="b"} 1`));
  assert.deepEqual(await counter(/match_condition_exclusions_total\{.*"policy"/), ['admission_match_condition_exclusions_total{kind="policy",name="p",operation="CREATE",type="validate"} 1']);
  assert.notEqual((await counter(/^apiserver_mutating_admission_policy_check_total/)).join(), before);
  assert.ok((await counter(/controller_admission_duration_seconds_count\{name="ValidatingAdmissionPolicy",operation="CREATE"/)).length > 0);
});

test('who changes an object on its way does not see its identity, and cannot choose it', async () => {
  const mutating = (expression: string) => ({ matchConstraints: rulesOf('', 'v1', 'configmaps'), reinvocationPolicy: 'Never', mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression } }] });
  const seen = '{"uid": string(has(object.metadata.uid)), "born": string(has(object.metadata.creationTimestamp)), "name": string(has(object.metadata.name)), "asked": string(has(request.name))}';
  await withPolicy('Mutating', mutating(`[JSONPatch{op: "add", path: "/data", value: ${seen}}, JSONPatch{op: "add", path: "/metadata/uid", value: "mine"}]`), {}, async () => {
    const made = await http.post(CONFIGMAPS, { metadata: { generateName: 'born-' }, data: {} });
    assert.equal(made.code, 201, made.text);
    const { data, metadata } = made.json<{ data: Record<string, string>; metadata: { name: string; uid: string } }>();
    assert.deepEqual(data, { uid: 'false', born: 'false', name: 'false', asked: 'false' });
    assert.match(metadata.name, /^born-/);
    assert.match(metadata.uid, /^[0-9a-f]{8}-/);
  });
  await withPolicy('Mutating', mutating('[JSONPatch{op: "replace", path: "/metadata/namespace", value: "other"}]'), {}, async () => {
    assert.equal(answered(await configMap('moved', {})), '400 the namespace of the provided object does not match the namespace sent on the request');
  });
  await withPolicy('Mutating', mutating('[JSONPatch{op: "replace", path: "/kind", value: "Secret"}]'), {}, async () => {
    assert.equal(answered(await configMap('other', {})), '500 Internal error occurred: failed to convert object: converting (v1.Secret) to (core.ConfigMap): unknown conversion');
  });
});

test('mutations that do not fit are told of, and a test that fails leaves the object as it is', async () => {
  const policy = (mutation: object) => ({ matchConstraints: rulesOf('', 'v1', 'configmaps'), reinvocationPolicy: 'IfNeeded', mutations: [mutation] });
  const patch = (expression: string) => policy({ patchType: 'JSONPatch', jsonPatch: { expression } });
  const apply = (expression: string) => policy({ patchType: 'ApplyConfiguration', applyConfiguration: { expression } });
  const cases: readonly [object, string][] = [
    [patch('[JSONPatch{op: "remove", path: "/data/none"}]'), "403 policy 'p' with binding 'b' denied request: JSON Patch: error in remove for path: '/data/none': Unable to remove nonexistent key: none: missing value"],
    [patch('[JSONPatch{op: "add", path: "/spec", value: {}}]'), '500 Internal error occurred: strict decoding error: unknown field "spec"'],
    [apply('Object{spec: Object.spec{replicas: 1}}'), "403 policy 'p' with binding 'b' denied request: error applying patch: failed to convert patch object to typed object: .spec: field not declared in schema"],
    [patch('[JSONPatch{op: "test", path: "/metadata/name", value: "x"}, JSONPatch{op: "remove", path: "/data"}]'), '201'],
  ];
  for (const [index, [spec, expected]] of cases.entries()) {
    await withPolicy('Mutating', spec, {}, async () => assert.equal(answered(await configMap(`fits-${index}`, { a: 'b' })), expected));
  }
  const longer = 'Object{data: {"a": object.data["a"] + "+"}}';
  await withPolicy('Mutating', apply(longer), {}, async () => {
    const made = await configMap('again', { a: 'b' });
    assert.deepEqual(made.json<{ data: object }>().data, { a: 'b++' }, 'who wants to be called again is, though nobody changed the object since');
  });
});

test('policies are shown a generated name once there is one, and the options of the request as they were given', async () => {
  const shown = 'has(request.options.fieldValidation) ? request.options.fieldValidation : "none"';
  const spec = { matchConstraints: { resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] }] }, validations: [{ expression: 'false', messageExpression: `request.name.substring(0, 5) + " " + request.options.kind + " " + (${shown})` }] };
  assert.equal((await configMap('there', {})).code, 201);
  await withPolicy('Validating', spec, {}, async () => {
    const said = (answer: Answer) => answered(answer).replace(/^.*denied request: /, '');
    assert.equal(said(await http.post(CONFIGMAPS, { metadata: { generateName: 'named-' } })), 'named CreateOptions none');
    assert.equal(said(await http.call('PATCH', `${CONFIGMAPS}/there?fieldValidation=Warn`, { body: { data: { a: 'b' } }, headers: { 'content-type': 'application/merge-patch+json' } })), 'there UpdateOptions Warn');
  });
});
