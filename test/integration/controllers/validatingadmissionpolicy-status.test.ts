import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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
  async function statusOf(name: string, resources: string[], spec: Partial<ValidatingAdmissionPolicySpec>) {
    const policies = cluster.client.of(POLICIES);
    await policies.create({ metadata: { name }, spec: { matchConstraints: { resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources }] }, ...spec } });
    return await eventually('it was checked', async () => {
      const { status, metadata } = await policies.get('', name);
      return status?.observedGeneration === metadata.generation ? status : undefined;
    });
  }
  test('tells of fields that the matched kinds do not have', async () => {
    const status = await statusOf('typo', ['deployments', 'replicasets'], { validations: [{ expression: 'object.replicas > 1' }, { expression: 'object.spec.replicas > 1', messageExpression: "'now ' + object.spec.nothing" }] });
    assert.deepEqual(status.typeChecking?.expressionWarnings?.map((w) => w.fieldRef), ['spec.validations[0].expression', 'spec.validations[1].messageExpression']);
    assert.equal(status.typeChecking?.expressionWarnings?.[0]?.warning, [
      "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'", ' | object.replicas > 1', ' | ......^',
      "apps/v1, Kind=ReplicaSet: ERROR: <input>:1:7: undefined field 'replicas'", ' | object.replicas > 1', ' | ......^',
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
  test('does not check wildcards', async () => {
    assert.deepEqual((await statusOf('any', ['*'], { validations: [{ expression: 'object.nothing == 1' }] })).typeChecking ?? {}, {});
  });
});
