import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceClaim, ResourceClaimStatus } from '#api/gen/resource-v1.ts';
import { Client } from '#client/client.ts';
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, RESOURCE_CLAIMS } from '#client/kinds.ts';
import { startInProcessCluster } from '#cluster/in-process-cluster.ts';
import { inProcessTransport } from '#cluster/in-process-transport.ts';

const DRIVER = 'gpu.example.com';
const result = { request: 'r', driver: DRIVER, pool: 'p', device: 'd' };
const on = (node: string) => ({ nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In' as const, values: [node] }] }] });
const told: ResourceClaimStatus['devices'] = [{ driver: DRIVER, pool: 'p', device: 'd', conditions: [{ type: 'Ready', status: 'True', reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }] }];

test('parts of a claim\'s status have permissions of their own', async () => {
  await using cluster = await startInProcessCluster({ nodes: [] });
  const { client, server } = cluster;
  const claim = await client.of(RESOURCE_CLAIMS).create({ metadata: { name: 'c', namespace: 'default' }, spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'gpu' } }] } } });
  /** Who may write the status, and what else the rules say. `node` is the one that the token's Pod runs on. */
  async function writer(name: string, rules: readonly { verbs: string[]; resources: string[]; resourceNames?: string[] }[], node?: string): Promise<(status: ResourceClaimStatus) => Promise<string>> {
    const user = `system:serviceaccount:default:${name}`;
    const all = [{ apiGroups: ['resource.k8s.io'], resources: ['resourceclaims/status'], verbs: ['update'] }, ...rules.map((r) => ({ apiGroups: ['resource.k8s.io'], ...r }))];
    await client.of(CLUSTER_ROLES).create({ metadata: { name }, rules: all });
    await client.of(CLUSTER_ROLE_BINDINGS).create({ metadata: { name }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }, subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }] });
    const own = new Client(inProcessTransport(server, { name: user, groups: ['system:authenticated'], ...(node === undefined ? {} : { extra: { 'authentication.kubernetes.io/node-name': [node] } }) }, name));
    return async (status) => {
      const now = await client.of(RESOURCE_CLAIMS).get('default', 'c');
      return own.of(RESOURCE_CLAIMS).updateStatus({ ...now, status }).then(() => '', (err: unknown) => (err as Error).message);
    };
  }
  const refusal = (field: string, what: string, verb: string, asked: string, sub: string, user: string, where: string) =>
    `ResourceClaim.resource.k8s.io "c" is invalid: status.${field}: Forbidden: changing ${what} requires resource="resourceclaims/${sub}", verb="${verb}" permission: resourceclaims.resource.k8s.io ${where === 'at the cluster scope' ? '' : `"${DRIVER}" `}is forbidden: User "system:serviceaccount:default:${user}" cannot ${asked} resource "resourceclaims/${sub}" in API group "resource.k8s.io" ${where}`;
  const allocation = { devices: { results: [result] }, nodeSelector: on('n1') };

  const plain = await writer('plain', []);
  assert.equal(await plain({ allocation }), refusal('allocation', 'status.allocation or status.reservedFor', 'update', 'update', 'binding', 'plain', 'at the cluster scope'));
  const scheduler = await writer('scheduler', [{ verbs: ['update'], resources: ['resourceclaims/binding'] }]);
  assert.equal(await scheduler({ allocation }), '');
  assert.equal(await plain({ allocation }), '', 'nothing is changed');
  assert.equal(await plain({ allocation, devices: told }), refusal('devices', 'status.devices', '[arbitrary-node:update]', 'arbitrary-node:update', 'driver', 'plain', 'in the namespace "default"'));
  const onNode = { verbs: ['associated-node:update'], resources: ['resourceclaims/driver'], resourceNames: [DRIVER] };
  const elsewhere = await writer('elsewhere', [onNode], 'n2');
  assert.match(await elsewhere({ allocation, devices: told }), /verb="\[arbitrary-node:update\]"/);
  const driver = await writer('driver', [onNode], 'n1');
  assert.equal(await driver({ allocation, devices: told }), '');
  const other = await writer('other', [{ ...onNode, resourceNames: ['nic.example.com'] }], 'n1');
  assert.match(await other({ allocation }), /verb="\[associated-node:update arbitrary-node:update\]"/);

  // What is told of a device goes with the device, whoever gives it back.
  assert.equal(await scheduler({ devices: told }), '');
  const after: ResourceClaim = await client.of(RESOURCE_CLAIMS).get('default', 'c');
  assert.deepEqual(after.status ?? {}, {});
  assert.equal(after.metadata.uid, claim.metadata.uid);
});
