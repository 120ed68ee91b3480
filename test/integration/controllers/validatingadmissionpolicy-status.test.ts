import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CustomResourceDefinition } from '#api/gen/apiextensions-v1.ts';
import type { ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec } from '#api/gen/admissionregistration-v1.ts';
import { kind } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually } from './eventually.ts';

const POLICIES = kind<ValidatingAdmissionPolicy>('admissionregistration.k8s.io', 'v1', 'validatingadmissionpolicies');
describe('the status of validating admission policies', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [] });
  });
  after(() => cluster.stop());
  async function statusOf(name: string, resources: string[], spec: Partial<ValidatingAdmissionPolicySpec>, apiGroups = ['apps']) {
    const policies = cluster.client.of(POLICIES);
    await policies.create({ metadata: { name }, spec: { matchConstraints: { resourceRules: [{ apiGroups, apiVersions: ['v1'], operations: ['CREATE'], resources }] }, ...spec } });
    return await eventually('it was checked', async () => {
      const { status, metadata } = await policies.get('', name);
      return status?.observedGeneration === metadata.generation ? status : undefined;
    });
  }
  test('tells of fields that the matched kinds do not have', async () => {
    const status = await statusOf('typo', ['deployments', 'replicasets'], { validations: [{ expression: 'object.replicas > 1' }, { expression: 'object.spec.replicas > 1', messageExpression: "'now ' + object.spec.nothing" }] });
    assert.deepEqual((await cluster.client.of(POLICIES).get('', 'typo')).metadata.managedFields?.filter((f) => f.subresource === 'status').map((f) => [f.manager, f.operation]), [['validatingadmissionpolicy-status', 'Apply']]);
    assert.deepEqual(status.typeChecking?.expressionWarnings?.map((w) => w.fieldRef), ['spec.validations[0].expression', 'spec.validations[1].messageExpression']);
    assert.equal(status.typeChecking?.expressionWarnings?.[0]?.warning, [
      "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'", ' | object.replicas > 1', ' | ......^', '',
      "apps/v1, Kind=ReplicaSet: ERROR: <input>:1:7: undefined field 'replicas'", ' | object.replicas > 1', ' | ......^', '',
    ].join('\n'));
  });
  test('finds nothing wrong with what is right, variables and metadata included', async () => {
    const status = await statusOf('right', ['deployments'], {
      variables: [{ name: 'labels', expression: "has(object.metadata.labels) ? object.metadata.labels : {}" }],
      validations: [
        { expression: "object.kind == 'Deployment' && object.spec.template.spec.containers.all(c, c.image.startsWith('x/') && c.resources.limits['cpu'] != null)" },
        { expression: "'team' in variables.labels && request.operation == 'CREATE'" },
      ],
    });
    assert.deepEqual(status.typeChecking ?? {}, {});
  });
  test('names kinds of the core group as Go does, and does not know parameters that nobody serves', async () => {
    const status = await statusOf('core', ['pods'], { paramKind: { apiVersion: 'nobody.example.com/v1', kind: 'Limit' }, variables: [{ name: 'broken', expression: 'object.nothing' }], validations: [{ expression: 'object.spec.nodeNam == params.x || variables.broken == 1' }] }, ['']);
    assert.deepEqual(status.typeChecking?.expressionWarnings?.map((w) => [w.fieldRef, w.warning]), [['spec.validations[0].expression', [
      "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'nodeNam'", ' | object.spec.nodeNam == params.x || variables.broken == 1', ' | ...........^',
      "ERROR: <input>:1:24: undeclared reference to 'params' (in container '')", ' | object.spec.nodeNam == params.x || variables.broken == 1', ' | .......................^', '',
    ].join('\n')]]);
  });
  test('does not check wildcards', async () => {
    assert.deepEqual((await statusOf('any', ['*'], { validations: [{ expression: 'object.nothing == 1' }] })).typeChecking ?? {}, {});
  });
  test('knows custom kinds, as objects and as parameters', async () => {
    const crds = cluster.client.of(kind<CustomResourceDefinition>('apiextensions.k8s.io', 'v1', 'customresourcedefinitions'));
    const schema = { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' }, names: { type: 'array', items: { type: 'string' } } } } } } };
    await crds.create({ metadata: { name: 'widgets.example.com' }, spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' }, versions: [{ name: 'v1', served: true, storage: true, schema }] } });
    await eventually('it is served', async () => (await crds.get('', 'widgets.example.com')).status?.conditions?.find((c) => c.type === 'Established' && c.status === 'True'));
    const status = await statusOf('custom', ['widgets'], {
      paramKind: { apiVersion: 'example.com/v1', kind: 'Widget' },
      validations: [{ expression: "object.spec.size > 1 && object.metadata.labels['a'] == 'b' && params.spec.size < 3" }, { expression: 'object.spec.sise > 1' }, { expression: 'object.spec.names[0] == 1' }, { expression: 'params.spec.none == 1' }],
    }, ['example.com']);
    assert.deepEqual(status.typeChecking?.expressionWarnings?.map((w) => `${w.fieldRef}: ${w.warning.split('\n')[0]}`), [
      "spec.validations[1].expression: example.com/v1, Kind=Widget: ERROR: <input>:1:12: undefined field 'sise'",
      "spec.validations[2].expression: example.com/v1, Kind=Widget: ERROR: <input>:1:22: found no matching overload for '_==_' applied to '(string, int)'",
      "spec.validations[3].expression: example.com/v1, Kind=Widget: ERROR: <input>:1:12: undefined field 'none'",
    ]);
  });
});
