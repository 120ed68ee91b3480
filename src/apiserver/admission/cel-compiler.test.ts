import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Authorizer } from '../interfaces.ts';
import { celCompiler } from './cel-compiler.ts';
import type { ExpressionActivation, ExpressionScope } from './expressions.ts';

const signal = new AbortController().signal;
const compiler = celCompiler();
const VARIABLES = [{ name: 'limit', expression: 'object.spec.replicas' }, { name: 'window', expression: "duration('1h')" }, { name: 'broken', expression: 'object.x' }, { name: 'large', expression: 'object.spec.replicas > 3' }];
const scope = (more: Partial<ExpressionScope> = {}): ExpressionScope => ({ params: true, authorizer: true, variables: VARIABLES, returns: 'bool', ...more });
const asked: string[] = [];
const authorizer: Authorizer = {
  authorize: async (a) => {
    asked.push(`${a.user.name} ${a.verb} ${a.isResourceRequest ? `${a.apiGroup}/${a.resource}/${a.name}` : a.path}`);
    return { decision: a.verb === 'get' ? ('allow' as const) : ('noOpinion' as const), reason: 'why' };
  },
};
const activation: ExpressionActivation = {
  object: { metadata: { name: 'web', labels: { app: 'x' } }, spec: { replicas: 5 } },
  oldObject: null,
  request: { operation: 'CREATE', resource: { group: 'apps', version: 'v1', resource: 'deployments' }, name: 'web', namespace: 'default', userInfo: { username: 'jane', groups: ['a'] }, dryRun: false },
  params: { data: { max: '3' } },
  namespaceObject: { metadata: { name: 'default', labels: { env: 'prod' }, uid: 'u1' } },
  authorizer,
  user: { name: 'jane', groups: [] },
  variable: (name) => {
    if (name === 'limit') return Promise.resolve(5);
    if (name === 'broken') throw new Error('no such key: x');
    const index = VARIABLES.findIndex((v) => v.name === name);
    return compiler.compile(VARIABLES[index]!.expression, scope({ returns: 'any', visible: index })).evaluate(activation, { remaining: 1e6 }, signal);
  },
};
const run = async (text: string, more: Partial<ExpressionScope> = {}, budget = { remaining: 1e7 }): Promise<unknown> => compiler.compile(text, scope(more)).evaluate(activation, budget, signal);

describe('celCompiler', () => {
  for (const text of [
    'object.spec.replicas == 5', 'oldObject == null', "request.operation == 'CREATE' && request.userInfo.username == 'jane'", 'int(params.data.max) < object.spec.replicas',
    "namespaceObject.metadata.labels['env'] == 'prod' && namespaceObject.metadata.UID == 'u1'", 'variables.limit == object.spec.replicas', 'variables.large', "variables.window > duration('59m')",
    "authorizer.group('apps').resource('deployments').namespace('default').check('get').allowed()", "!authorizer.requestResource.check('delete').allowed()", "authorizer.path('/healthz').check('get').reason() == 'why'",
    "authorizer.serviceAccount('ns', 'sa').group('').resource('pods').check('get').allowed()", 'has(object.metadata.labels) && !has(object.spec.paused)',
  ]) it(`${text} holds`, async () => assert.equal(await run(text), true));
  it('asks the authorizer once for the same question', async () => {
    asked.length = 0;
    await run("authorizer.group('apps').resource('x').check('get').allowed() && authorizer.group('apps').resource('x').check('get').allowed()");
    assert.deepEqual(asked, ['jane get apps/x/']);
  });
  it('refuses what does not compile or gives another type', () => {
    assert.throws(() => compiler.compile('objekt.x', scope()), { message: "compilation failed: ERROR: <input>:1:1: undeclared reference to 'objekt' (in container '')\n | objekt.x\n | ^" });
    assert.throws(() => compiler.compile('params.x == 1', scope({ params: false })), /undeclared reference to 'params'/);
    assert.throws(() => compiler.compile('object.spec.replicas', scope()), { message: 'must evaluate to bool but got dyn' });
    assert.throws(() => compiler.compile('variables.nope == 1', scope()), /undefined field 'nope'/);
    assert.throws(() => compiler.compile('variables.large', scope({ visible: 3 })), /undefined field 'large'/);
    assert.throws(() => compiler.compile("variables.large == 'x'", scope()), /found no matching overload for '_==_' applied to '\(bool, string\)'/);
  });
  it('says which expression failed and why', async () => {
    await assert.rejects(run('object.spec.zzz > 1'), { message: "expression 'object.spec.zzz > 1' resulted in error: no such key: zzz" });
    await assert.rejects(run('variables.broken'.concat(' == 1')), { message: `expression 'variables.broken == 1' resulted in error: composited variable "broken" fails to evaluate: no such key: x` });
    assert.equal(await run('variables.broken == 1 || true'), true);
  });
  it('spends from the budget and stops when it is gone', async () => {
    const budget = { remaining: 100 };
    await run('object.spec.replicas == 5', {}, budget);
    assert.equal(budget.remaining, 96);
    await assert.rejects(run('[1, 2, 3].map(x, [object.spec.replicas]).size() == 3', {}, { remaining: 20 }), { message: 'validation failed due to running out of cost budget, no further validation rules will be run' });
  });
  it('makes patches and apply configurations', async () => {
    assert.deepEqual(await run("[JSONPatch{op: 'add', path: '/spec/paused', value: true}]", { returns: 'jsonPatch' }), [{ op: 'add', path: '/spec/paused', value: true }]);
    assert.deepEqual(await run('Object{spec: Object.spec{replicas: object.spec.replicas + 1}}', { returns: 'applyConfiguration' }), { spec: { replicas: 6 } });
    assert.equal(await run("'too many: ' + string(object.spec.replicas)", { returns: 'string' }), 'too many: 5');
  });
});
