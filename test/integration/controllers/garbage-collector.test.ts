import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ConfigMap } from '#api/gen/core-v1.ts';
import type { PriorityClass } from '#api/gen/scheduling-v1.ts';
import { CONFIG_MAPS, EVENTS, kind, NAMESPACES } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

describe('garbage collector', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [] });
  });
  after(() => cluster.stop());

  const maps = () => cluster.client.of(CONFIG_MAPS);
  const make = (name: string, owner?: ConfigMap, more: object = {}): Promise<ConfigMap> =>
    maps().create({ metadata: { name, namespace: 'default', ...(owner ? { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: owner.metadata.name!, uid: owner.metadata.uid!, ...more }] } : {}) } });

  test('deletes a dependent when its only owner is gone', async () => {
    const owner = await make('owner-1');
    await make('dependent-1', owner);
    await maps().delete('default', 'owner-1');
    await eventually('the dependent goes', () => isGone(maps().get('default', 'dependent-1')));
  });
  test('deletes an object whose owner never existed', async () => {
    await make('dangling', { metadata: { name: 'nobody', uid: '11111111-2222-3333-4444-555555555555' } });
    await eventually('the dangling object goes', () => isGone(maps().get('default', 'dangling')));
  });
  test('keeps an object while one of its owners is left, without the reference to the other', async () => {
    const [one, two] = [await make('owner-2a'), await make('owner-2b')];
    await maps().create({
      metadata: { name: 'dependent-2', namespace: 'default', ownerReferences: [one, two].map((o) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: o.metadata.name!, uid: o.metadata.uid! })) },
    });
    await maps().delete('default', 'owner-2a');
    const left = await eventually('one reference is left', async () => {
      const refs = (await maps().get('default', 'dependent-2')).metadata.ownerReferences ?? [];
      return refs.length === 1 && refs;
    });
    assert.equal(left[0]!.name, 'owner-2b');
  });
  test('foreground deletion waits for blocking dependents, and for theirs', async () => {
    const top = await make('top');
    const middle = await make('middle', top, { blockOwnerDeletion: true });
    await make('bottom', middle, { blockOwnerDeletion: true });
    await maps().patch('default', 'bottom', 'application/merge-patch+json', { metadata: { finalizers: ['example.com/hold'] } });
    await maps().delete('default', 'top', { propagationPolicy: 'Foreground' });
    await eventually('the lowest is being deleted', async () => (await maps().get('default', 'bottom')).metadata.deletionTimestamp);
    assert.deepEqual((await maps().get('default', 'top')).metadata.finalizers, ['foregroundDeletion']);
    await maps().patch('default', 'bottom', 'application/merge-patch+json', { metadata: { finalizers: null } });
    await eventually('all go', async () => (await isGone(maps().get('default', 'top'))) && (await isGone(maps().get('default', 'middle'))));
  });
  test('orphan deletion leaves dependents without an owner', async () => {
    const owner = await make('owner-3');
    await make('dependent-3', owner);
    await maps().delete('default', 'owner-3', { propagationPolicy: 'Orphan' });
    await eventually('the owner goes', () => isGone(maps().get('default', 'owner-3')));
    assert.deepEqual((await maps().get('default', 'dependent-3')).metadata.ownerReferences ?? [], []);
  });
  test('foreground deletion ends although the owners run in a circle', async () => {
    const one = await make('circle-1');
    const two = await make('circle-2', one, { blockOwnerDeletion: true });
    const three = await make('circle-3', two, { blockOwnerDeletion: true });
    await maps().patch('default', 'circle-1', 'application/merge-patch+json', { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'circle-3', uid: three.metadata.uid!, blockOwnerDeletion: true }] } });
    await maps().delete('default', 'circle-1', { propagationPolicy: 'Foreground' });
    for (const name of ['circle-1', 'circle-2', 'circle-3']) await eventually(`${name} goes`, () => isGone(maps().get('default', name)));
  });
  test('an owner in another namespace is no owner', async () => {
    const owner = await make('owner-4');
    await cluster.client.of(NAMESPACES).create({ metadata: { name: 'elsewhere' }, spec: {} });
    await maps().create({ metadata: { name: 'dependent-4', namespace: 'elsewhere', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner-4', uid: owner.metadata.uid! }] } });
    await eventually('the dependent goes', () => isGone(maps().get('elsewhere', 'dependent-4')));
    assert.equal((await maps().get('default', 'owner-4')).metadata.deletionTimestamp, undefined);
  });
  test('an owner of another name is no owner, whatever its UID', async () => {
    const owner = await make('owner-5');
    await make('dependent-5', { metadata: { ...owner.metadata, name: 'somebody' } });
    await eventually('the dependent goes', () => isGone(maps().get('default', 'dependent-5')));
  });
  test('an owner of a kind that nobody serves is waited for', async () => {
    const owner = await make('owner-7');
    await maps().create({ metadata: { name: 'dependent-7', namespace: 'default', ownerReferences: [{ apiVersion: 'v1', kind: 'Nonsense', name: 'owner-7', uid: owner.metadata.uid! }] } });
    // Whatever is made after it and goes would have been judged after it.
    await make('after-7', { metadata: { ...owner.metadata, name: 'somebody' } });
    await eventually('the later one goes', () => isGone(maps().get('default', 'after-7')));
    assert.equal((await maps().get('default', 'dependent-7')).metadata.deletionTimestamp, undefined);
  });
  test('an object without a namespace that refers to an owner in one stays, and says why', async () => {
    const owner = await make('owner-6');
    const classes = cluster.client.of(kind<PriorityClass>('scheduling.k8s.io', 'v1', 'priorityclasses'));
    await classes.create({ metadata: { name: 'dependent-6', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner-6', uid: owner.metadata.uid! }] }, value: 1 });
    await eventually('it is told', async () => (await cluster.client.of(EVENTS).list({ namespace: 'default' })).items.some((e) => e.involvedObject.name === 'dependent-6' && e.reason === 'OwnerRefInvalidNamespace'));
    // Whatever is deleted after it would have been judged after it.
    await make('last', { metadata: { name: 'nobody', uid: '21111111-2222-3333-4444-555555555555' } });
    await eventually('the last goes', () => isGone(maps().get('default', 'last')));
    assert.equal((await classes.get('', 'dependent-6')).metadata.deletionTimestamp, undefined);
  });
});
