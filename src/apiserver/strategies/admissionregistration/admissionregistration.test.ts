import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Strategy } from '../../registry/strategy.ts';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { mutatingadmissionpolicies } from './mutatingadmissionpolicies.ts';
import { mutatingadmissionpolicybindings } from './mutatingadmissionpolicybindings.ts';
import { mutatingwebhookconfigurations } from './mutatingwebhookconfigurations.ts';
import { validatingadmissionpolicies } from './validatingadmissionpolicies.ts';
import { validatingadmissionpolicybindings } from './validatingadmissionpolicybindings.ts';
import { validatingwebhookconfigurations } from './validatingwebhookconfigurations.ts';

const hook = {
  name: 'a.example.com', sideEffects: 'None', admissionReviewVersions: ['v1'], clientConfig: { service: { namespace: 'a', name: 'b' } },
  rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
};
const hooks = (strategy: Strategy, ...changes: object[]) => tryCreate(strategy, { metadata: { name: 'a' }, webhooks: changes.map((change) => ({ ...hook, ...change })) });

test('validatingwebhookconfigurations is defaulted', () => {
  const { object, errors } = hooks(validatingwebhookconfigurations, {});
  assert.deepEqual(errors, []);
  assert.deepEqual((object['webhooks'] as object[])[0], {
    ...hook, failurePolicy: 'Fail', matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {}, timeoutSeconds: 10, rules: [{ ...hook.rules[0], scope: '*' }],
    clientConfig: { service: { namespace: 'a', name: 'b', port: 443 } },
  });
  assert.equal(rowOf(validatingwebhookconfigurations, object)['Webhooks'], 1);
});
test('validatingwebhookconfigurations checks names, rules and clients', () => {
  assert.deepEqual(hooks(validatingwebhookconfigurations, { sideEffects: 'Some', timeoutSeconds: 31 }, { clientConfig: { url: 'http://u@h/?q' } }).errors, [
    'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
    'webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds',
    "webhooks[1].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
    'webhooks[1].clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
    'webhooks[1].clientConfig.url: Invalid value: "q": query parameters are not permitted in the URL',
    'webhooks[1].name: Duplicate value: "a.example.com"',
  ]);
  assert.deepEqual(hooks(validatingwebhookconfigurations, { rules: [{ operations: ['*', 'CREATE'], apiGroups: ['*'], apiVersions: [], resources: ['pods/*', 'pods/log'] }] }).errors, [
    "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
    'webhooks[0].rules[0].apiVersions: Required value',
    "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
  ]);
});
test('mutatingwebhookconfigurations reinvokes never by default', () => {
  const { object, errors } = hooks(mutatingwebhookconfigurations, {});
  assert.deepEqual([errors, (object['webhooks'] as { reinvocationPolicy: string }[])[0]!.reinvocationPolicy], [[], 'Never']);
  assert.deepEqual(hooks(mutatingwebhookconfigurations, { reinvocationPolicy: 'Often' }).errors, ['webhooks[0].reinvocationPolicy: Unsupported value: "Often": supported values: "IfNeeded", "Never"']);
  const updated = tryUpdate(mutatingwebhookconfigurations, { metadata: { name: 'a' }, webhooks: [hook, hook] }, () => undefined);
  assert.deepEqual(updated.errors, [], 'names that repeat may stay');
});
const matchConstraints = { resourceRules: hook.rules };
test('validatingadmissionpolicies needs constraints and something to do', () => {
  const policy = (spec: object) => tryCreate(validatingadmissionpolicies, { metadata: { name: 'p' }, spec });
  assert.deepEqual(policy({}).errors, [
    'spec.matchConstraints: Required value', 'spec.validations: Required value: validations or auditAnnotations must contain at least one item',
    'spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item',
  ]);
  const good = policy({ matchConstraints, validations: [{ expression: 'true' }], variables: [{ name: 'while', expression: '1' }], paramKind: { apiVersion: 'v1', kind: 'ConfigMap' } });
  assert.deepEqual(good.errors, ['spec.variables[0].name: Invalid value: "while": must be a valid CEL identifier']);
  assert.deepEqual(rowOf(validatingadmissionpolicies, good.object), { Name: 'p', Validations: 1, ParamKind: 'v1/ConfigMap', Age: '<unknown>' });
});
test('validatingadmissionpolicybindings names its policy and actions', () => {
  const binding = (spec: object) => tryCreate(validatingadmissionpolicybindings, { metadata: { name: 'b' }, spec });
  assert.deepEqual(binding({}).errors, ['spec.policyName: Required value', 'spec.validationActions: Required value: at least one validation action is required']);
  const { object, errors } = binding({ policyName: 'p', validationActions: ['Deny'], paramRef: { name: 'c', parameterNotFoundAction: 'Deny' } });
  assert.deepEqual([errors, rowOf(validatingadmissionpolicybindings, object)['ParamRef']], [[], '*/c']);
});
test('mutatingadmissionpolicies has mutations', () => {
  const policy = (spec: object) => tryCreate(mutatingadmissionpolicies, { metadata: { name: 'p' }, spec: { matchConstraints, ...spec } });
  assert.deepEqual(policy({ reinvocationPolicy: 'Never' }).errors, ['spec.mutations: Required value: mutations must contain at least one item']);
  assert.deepEqual(policy({ reinvocationPolicy: 'Never', mutations: [{ patchType: 'JSONPatch' }] }).errors, ['spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch']);
  const { object, errors } = policy({ reinvocationPolicy: 'Never', mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: '[JSONPatch{op: "remove", path: "/a"}]' } }] });
  assert.deepEqual([errors, rowOf(mutatingadmissionpolicies, object)['Mutations']], [[], 1]);
});
test('mutatingadmissionpolicybindings names its policy', () => {
  const { errors } = tryCreate(mutatingadmissionpolicybindings, { metadata: { name: 'b' }, spec: { policyName: 'p', paramRef: { name: 'a', selector: {}, parameterNotFoundAction: 'Allow' } } });
  assert.deepEqual(errors, ['spec.paramRef.name: Forbidden: name and selector are mutually exclusive', 'spec.paramRef.selector: Forbidden: name and selector are mutually exclusive']);
  assert.equal(rowOf(mutatingadmissionpolicybindings, { metadata: { name: 'b' }, spec: { policyName: 'p' } })['ParamRef'], '<unset>');
});
test('expressions of policies and webhooks must compile, and be of the type that is wanted', () => {
  const policy = (strategy: Strategy, spec: object) => tryCreate(strategy, { metadata: { name: 'p' }, spec: { matchConstraints, ...spec } }).errors;
  const validating = (spec: object) => policy(validatingadmissionpolicies, spec);
  assert.deepEqual(validating({
    matchConditions: [{ name: 'c', expression: 'object in [1, 2, ' }], variables: [{ name: 'v', expression: 'params.x' }, { name: 'w', expression: '1 +' }],
    validations: [{ expression: 'variables.v', messageExpression: "authorizer.path('/').check('get').allowed() ? 'a' : 'b'" }, { expression: '"a"' }], auditAnnotations: [{ key: 'k', valueExpression: 'true' }],
  }), [
    "spec.matchConditions[0].expression: Invalid value: \"object in [1, 2,\": compilation failed: ERROR: <input>:1:17: Syntax error: missing ']' at '<EOF>'\n | object in [1, 2,\n | ................^",
    "spec.variables[0].expression: Invalid value: \"params.x\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.x\n | ^",
    "spec.variables[1].expression: Invalid value: \"1 +\": compilation failed: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 +\n | ...^",
    'spec.validations[0].expression: Invalid value: "variables.v": must evaluate to bool but got dyn',
    "spec.validations[0].messageExpression: Invalid value: \"authorizer.path('/').check('get').allowed() ? 'a' : 'b'\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')\n | authorizer.path('/').check('get').allowed() ? 'a' : 'b'\n | ^",
    'spec.validations[1].expression: Invalid value: "\\"a\\"": must evaluate to bool but got string',
    'spec.auditAnnotations[0].valueExpression: Invalid value: "true": must evaluate to one of [string null_type] but got bool',
  ]);
  const right = { variables: [{ name: 'v', expression: 'object.x > 1' }, { name: 'w', expression: '!variables.v' }], validations: [{ expression: 'variables.w' }] };
  assert.deepEqual(validating(right), []);
  assert.deepEqual(policy(mutatingadmissionpolicies, { reinvocationPolicy: 'Never', mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: 'Object{}' } }, { patchType: 'ApplyConfiguration', applyConfiguration: { expression: '[]' } }] }), [
    'spec.mutations[0].jsonPatch.expression: Invalid value: "Object{}": must evaluate to list(JSONPatch) but got Object', 'spec.mutations[1].applyConfiguration.expression: Invalid value: "[]": must evaluate to Object but got list(dyn)',
  ]);
  const broken = { matchConditions: [{ name: 'c', expression: 'params.x' }] };
  assert.match(hooks(validatingwebhookconfigurations, broken).errors[0]!, /^webhooks\[0\]\.matchConditions\[0\]\.expression: Invalid value: "params\.x": compilation failed: /);
  const stored = tryUpdate(validatingwebhookconfigurations, { metadata: { name: 'a' }, webhooks: [{ ...hook, ...broken }] }, (o) => ((o['webhooks'] as { timeoutSeconds: number }[])[0]!.timeoutSeconds = 5));
  assert.deepEqual(stored.errors, [], 'what is stored is not asked again');
});
