import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLUSTER_ROLES } from '#client/kinds.ts';
import { startInProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually } from './eventually.ts';

const RULE = { apiGroups: ['example.com'], resources: ['things'], verbs: ['get'] };

test('an aggregate has the rules of the roles it selects, and the controller owns them by its name', async () => {
  await using cluster = await startInProcessCluster({ nodes: [] });
  const { client } = cluster;
  const sizeOfView = async (): Promise<number> => (await client.of(CLUSTER_ROLES).get('', 'view')).rules?.length ?? 0;
  await eventually('the bootstrap aggregates are filled', async () => (await sizeOfView()) > 0);
  await client.of(CLUSTER_ROLES).create({ metadata: { name: 'all' }, aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] } });
  await client.of(CLUSTER_ROLES).create({ metadata: { name: 'one', labels: { part: 'yes' } }, rules: [RULE] });
  const all = await eventually('the rule is there', async () => {
    const now = await client.of(CLUSTER_ROLES).get('', 'all');
    return now.rules?.length === 1 && now;
  });
  assert.deepEqual(all.rules, [RULE]);
  assert.deepEqual(all.metadata.managedFields?.filter((f) => f.operation === 'Apply').map((f) => f.manager), ['clusterrole-aggregation-controller']);
});
