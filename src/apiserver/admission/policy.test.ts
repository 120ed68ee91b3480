import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { StatusError } from '#machinery/status-error.ts';
import { FakeReader } from '../authentication/testing/fakes.ts';
import type { ExpressionActivation, ExpressionCompiler } from './expressions.ts';
import { MutatingPolicy } from './mutating-policy.ts';
import { ReinvokingPlugins } from './reinvocation.ts';
import { attributes, type TestAttributes } from './testing/attributes.ts';
import { ValidatingPolicy } from './validating-policy.ts';

const signal = new AbortController().signal;
type Expression = (a: ExpressionActivation) => unknown;
interface DeploymentLike {
  readonly spec: { readonly replicas: number };
  readonly metadata: { readonly labels?: Record<string, string> };
}
const object = (a: ExpressionActivation): DeploymentLike => a.object as DeploymentLike;
/** Expressions by name, in place of CEL. */
const EXPRESSIONS: Record<string, Expression> = {
  true: () => true,
  false: () => false,
  'replicas <= 5': (a) => object(a).spec.replicas <= 5,
  'replicas <= params': async (a) => object(a).spec.replicas <= Number(((a.params as { data?: { max: string } } | null)?.data ?? (await a.variable('limits') as { max: string })).max),
  'variable': async (a) => object(a).spec.replicas <= Number(await a.variable('limit')),
  'limit': () => 3,
  'say': (a) => `too many: ${object(a).spec.replicas}`,
  'two\nlines': () => 'a\nb',
  'fail': () => {
    throw new Error('no such key: x');
  },
  'spent': () => {
    throw new Error('validation failed due to running out of cost budget, no further validation rules will be run');
  },
  'label': (a) => [{ op: 'add', path: '/metadata/labels', value: { ...object(a).metadata.labels, seen: String(object(a).spec.replicas) } }],
  'cap': (a) => (object(a).spec.replicas > 5 ? [{ op: 'replace', path: '/spec/replicas', value: 5 }] : []),
  'apply': () => ({ spec: { paused: true } }),
};
const compiler: ExpressionCompiler = {
  compile: (expression) => {
    const run = EXPRESSIONS[expression];
    if (!run) throw new Error(`compilation failed: undeclared reference to '${expression}'`);
    return { evaluate: (activation) => run(activation) };
  },
};
const authorizer = { authorize: () => ({ decision: 'noOpinion' as const, reason: '' }) };
const resolve = (apiVersion: string, kind: string) => (apiVersion === 'v1' && kind === 'ConfigMap' ? resourceOf('', 'v1', 'configmaps') : undefined);
const API = 'admissionregistration.k8s.io/v1';
const rules = { resourceRules: [{ operations: ['CREATE', 'UPDATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] }] };
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } };
const deployment = (replicas: number) => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace: 'default' }, spec: { replicas } });
const make = (kind: string, name: string, spec: object): KubeObject => ({ apiVersion: API, kind, metadata: { name }, spec }) as unknown as KubeObject;
const policy = (spec: object, name = 'p') => make('ValidatingAdmissionPolicy', name, { matchConstraints: rules, ...spec });
const bind = (spec: object = {}, name = 'b', policyName = 'p') => make('ValidatingAdmissionPolicyBinding', name, { policyName, validationActions: ['Deny'], ...spec });

async function outcome(run: () => unknown): Promise<StatusError | undefined> {
  try {
    await run();
    return undefined;
  } catch (err) {
    assert.ok(err instanceof StatusError, String(err));
    return err;
  }
}
const validate = (a: TestAttributes, ...objects: unknown[]) => outcome(() => new ValidatingPolicy({ reader: new FakeReader(namespace, ...(objects as KubeObject[])), authorizer, compiler, resolve }).validate(a, signal));

describe('ValidatingPolicy', () => {
  it('refuses with upstream\'s sentence, reason and cause', async () => {
    const err = await validate(attributes(deployment(9)), policy({ validations: [{ expression: 'replicas <= 5', message: 'at most five' }] }), bind());
    const text = 'ValidatingAdmissionPolicy \'p\' with binding \'b\' denied request: at most five';
    assert.deepEqual([err!.message, err!.code, err!.reason, err!.status.details!.causes], [`deployments.apps "d" is forbidden: ${text}`, 422, 'Invalid', [{ message: text }]]);
    assert.equal(await validate(attributes(deployment(5)), policy({ validations: [{ expression: 'replicas <= 5' }] }), bind()), undefined);
  });
  it('takes the message from its expression, else the message, else the expression', async () => {
    const text = async (validation: object): Promise<string> => (await validate(attributes(deployment(9)), policy({ validations: [{ expression: 'replicas <= 5', ...validation }] }), bind()))!.message.split('denied request: ')[1]!;
    assert.equal(await text({ messageExpression: 'say' }), 'too many: 9');
    assert.equal(await text({ messageExpression: 'two\nlines', message: 'plain' }), 'plain');
    assert.equal(await text({ messageExpression: 'fail' }), 'failed expression: replicas <= 5');
    assert.equal(await text({ messageExpression: 'spent', message: 'plain' }), 'failed messageExpression: validation failed due to running out of cost budget, no further validation rules will be run');
  });
  it('warns and annotates as the binding says', async () => {
    const a = attributes(deployment(9));
    assert.equal(await validate(a, policy({ validations: [{ expression: 'replicas <= 5', message: 'm' }], auditAnnotations: [{ key: 'k', valueExpression: 'say' }] }), bind({ validationActions: ['Warn', 'Audit'] })), undefined);
    assert.deepEqual(a.warnings, ['Validation failed for ValidatingAdmissionPolicy \'p\' with binding \'b\': m']);
    assert.deepEqual(JSON.parse(a.annotations['validation.policy.admission.k8s.io/validation_failure']!), [{ message: 'm', policy: 'p', binding: 'b', expressionIndex: 0, validationActions: ['Warn', 'Audit'] }]);
    assert.equal(a.annotations['p/k'], 'too many: 9');
  });
  it('takes errors as its failure policy says', async () => {
    const broken = { validations: [{ expression: 'fail' }] };
    assert.match((await validate(attributes(deployment(1)), policy(broken), bind()))!.message, /denied request: no such key: x$/);
    assert.equal(await validate(attributes(deployment(1)), policy({ ...broken, failurePolicy: 'Ignore' }), bind()), undefined);
    assert.match((await validate(attributes(deployment(1)), policy({ validations: [{ expression: 'nonsense' }] }), bind()))!.message, /compilation failed: undeclared reference to 'nonsense'/);
  });
  it('keeps to match conditions and match resources', async () => {
    const never = { validations: [{ expression: 'false' }] };
    assert.equal(await validate(attributes(deployment(1)), policy({ ...never, matchConditions: [{ name: 'c', expression: 'false' }] }), bind()), undefined);
    assert.equal(await validate(attributes(deployment(1)), policy(never), bind({ matchResources: { namespaceSelector: { matchLabels: { env: 'prod' } } } })), undefined);
    assert.equal(await validate(attributes(deployment(1)), policy({ ...never, matchConstraints: { ...rules, excludeResourceRules: [{ ...rules.resourceRules[0], resourceNames: ['d'] }] } }), bind()), undefined);
    assert.ok(await validate(attributes(deployment(1)), policy(never), bind()));
  });
  it('evaluates once for each parameter object, and variables lazily', async () => {
    const limits = (name: string, max: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', labels: { limits: 'yes' } }, data: { max } });
    const withParams = policy({ paramKind: { apiVersion: 'v1', kind: 'ConfigMap' }, validations: [{ expression: 'replicas <= params', message: 'm' }] });
    assert.equal(await validate(attributes(deployment(4)), withParams, bind({ paramRef: { name: 'l' } }), limits('l', '4')), undefined);
    assert.ok(await validate(attributes(deployment(4)), withParams, bind({ paramRef: { selector: { matchLabels: { limits: 'yes' } } } }), limits('l', '4'), limits('m', '3')));
    assert.match((await validate(attributes(deployment(4)), withParams, bind({ paramRef: { name: 'gone' } })))!.message, /failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction/);
    assert.equal(await validate(attributes(deployment(4)), withParams, bind({ paramRef: { name: 'gone', parameterNotFoundAction: 'Allow' } })), undefined);
    assert.ok(await validate(attributes(deployment(4)), policy({ variables: [{ name: 'limit', expression: 'limit' }], validations: [{ expression: 'variable' }] }), bind()));
  });
  it('does nothing without a binding', async () => {
    assert.equal(await validate(attributes(deployment(9)), policy({ validations: [{ expression: 'false' }] })), undefined);
  });
});

describe('MutatingPolicy', () => {
  const mutating = (name: string, spec: object) => make('MutatingAdmissionPolicy', name, { matchConstraints: rules, ...spec });
  const binding = (policyName: string) => make('MutatingAdmissionPolicyBinding', policyName, { policyName });
  const admit = (a: TestAttributes, ...objects: KubeObject[]) =>
    outcome(() => new ReinvokingPlugins([new MutatingPolicy({
      reader: new FakeReader(namespace, ...objects), authorizer, compiler, resolve,
      applyConfiguration: (o, c) => ({ ...o, spec: { ...(o as unknown as { spec: object }).spec, ...(c as { spec: object }).spec } }) as unknown as KubeObject,
    })]).admit(a, signal));
  const json = (expression: string) => ({ mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression } }] });
  it('patches, and looks again after later changes when it asks for it', async () => {
    const a = attributes(deployment(9));
    assert.equal(await admit(a, mutating('a-label', { ...json('label'), reinvocationPolicy: 'IfNeeded' }), binding('a-label'), mutating('b-cap', json('cap')), binding('b-cap')), undefined);
    assert.deepEqual([a.object!.metadata.labels, (a.object as unknown as DeploymentLike).spec.replicas], [{ seen: '5' }, 5]);
  });
  it('merges apply configurations', async () => {
    const a = attributes(deployment(1));
    assert.equal(await admit(a, mutating('p', { mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'apply' } }] }), binding('p')), undefined);
    assert.deepEqual((a.object as unknown as DeploymentLike).spec, { replicas: 1, paused: true });
  });
  it('refuses when it fails, unless it may be ignored', async () => {
    const { status } = (await admit(attributes(deployment(1)), mutating('p', json('fail')), binding('p')))!;
    const message = "policy 'p' with binding 'p' denied request: no such key: x";
    assert.deepEqual([status.code, status.reason, status.message, status.details?.causes], [403, 'Invalid', message, [{ message }]]);
    assert.equal(await admit(attributes(deployment(1)), mutating('p', { ...json('fail'), failurePolicy: 'Ignore' }), binding('p')), undefined);
  });
});
