import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { StatefulSet } from '#api/gen/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import { CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS } from '#client/kinds.ts';
import type { InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';
import { eventsOf, podsOf, setReady, someEventsOf, startWithNamespace, template, withImage } from './workloads.ts';

const DATA: PersistentVolumeClaim = { metadata: { name: 'data', labels: { kind: 'disk' } }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } };

describe('StatefulSets', () => {
  let cluster: InProcessCluster;
  before(async () => {
    // Without nodes a Pod becomes ready, or goes away, when the test says so.
    cluster = await startWithNamespace('sts', { nodes: [] });
  });
  after(() => cluster.stop());
  const create = (name: string, spec: Partial<StatefulSet['spec']> = {}) =>
    cluster.client.of(STATEFUL_SETS).create({ metadata: { name, namespace: 'sts' }, spec: { replicas: 3, serviceName: name, selector: { matchLabels: { app: name } }, template: template(name), ...spec } });
  const patch = (name: string, spec: object) => cluster.client.of(STATEFUL_SETS).patch('sts', name, 'application/merge-patch+json', { spec });
  const pods = async (name: string): Promise<Pod[]> => (await podsOf(cluster.client, 'sts', name)).filter((p) => p.metadata.deletionTimestamp === undefined).toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const names = async (name: string) => (await pods(name)).map(nameOf).join(' ');
  const until = (name: string, what: string, check: (set: StatefulSet) => boolean) => eventually(what, async () => {
    const found = await cluster.client.of(STATEFUL_SETS).get('sts', name);
    return check(found) && found;
  });
  /** Makes each Pod ready as it comes, until the set has what it asks for. */
  const bringUp = (name: string) => eventually(`${name} is up`, async () => {
    for (const pod of await pods(name)) if (pod.status?.phase === 'Pending') await setReady(cluster.client, pod);
    const { spec, status } = await cluster.client.of(STATEFUL_SETS).get('sts', name);
    return status?.readyReplicas === spec.replicas && status?.replicas === spec.replicas;
  });
  const claims = async (name: string) => (await cluster.client.of(PERSISTENT_VOLUME_CLAIMS).list({ namespace: 'sts', labelSelector: `app=${name}` })).items;

  test('make Pods in order, each when the one before is ready', async () => {
    const set = await create('web');
    const [first] = await eventually('the first is there', async () => ((await pods('web')).length ? pods('web') : undefined));
    assert.equal(await names('web'), 'web-0');
    const { items: [revision] } = await cluster.client.of(CONTROLLER_REVISIONS).list({ namespace: 'sts', labelSelector: 'app=web' });
    assert.equal(nameOf(revision!), `web-${revision!.metadata.labels!['controller.kubernetes.io/hash']}`);
    assert.deepEqual(first!.metadata.labels, { app: 'web', 'apps.kubernetes.io/pod-index': '0', 'controller-revision-hash': nameOf(revision!), 'statefulset.kubernetes.io/pod-name': 'web-0' });
    assert.deepEqual([first!.spec.hostname, first!.spec.subdomain], ['web-0', 'web']);
    assert.deepEqual(first!.metadata.ownerReferences, [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: uidOf(set), controller: true, blockOwnerDeletion: true }]);
    await setReady(cluster.client, first!);
    await eventually('the second comes', async () => (await names('web')) === 'web-0 web-1');
    await bringUp('web');
    const up = await until('web', 'it is told', (s) => s.status?.availableReplicas === 3);
    assert.deepEqual(up.status, {
      observedGeneration: 1, replicas: 3, readyReplicas: 3, availableReplicas: 3, currentReplicas: 3, updatedReplicas: 3, currentRevision: nameOf(revision!), updateRevision: nameOf(revision!), collisionCount: 0,
    });
    assert.deepEqual(await someEventsOf(cluster.client, set, 3), [0, 1, 2].map((i) => `SuccessfulCreate: Create Pod web-${i} in StatefulSet web successful`));
  });
  test('scale down from the end, one at a time', async () => {
    await create('down');
    await bringUp('down');
    await patch('down', { replicas: 1 });
    await eventually('one is left', async () => (await names('down')) === 'down-0');
    await until('down', 'it is told', (s) => s.status?.replicas === 1);
  });
  test('roll over from the end, wait for each, keep the partition, and roll back', async () => {
    await create('roll');
    await bringUp('roll');
    const image = (ps: readonly Pod[]) => ps.map((p) => p.spec.containers[0]!.image).join(' ');
    await patch('roll', { template: withImage(template('roll'), 'b:1'), updateStrategy: { rollingUpdate: { partition: 1 } } });
    await eventually('the last is replaced', async () => image(await pods('roll')) === 'nginx:1.14.2 nginx:1.14.2 b:1');
    const half = await until('roll', 'one is updated', (s) => s.status?.updatedReplicas === 1);
    assert.notEqual(half.status!.currentRevision, half.status!.updateRevision);
    await bringUp('roll');
    await eventually('the second last is replaced', async () => image(await pods('roll')) === 'nginx:1.14.2 b:1 b:1');
    await bringUp('roll');
    // A Pod below the partition comes back as it was.
    await cluster.client.of(PODS).delete('sts', 'roll-0', { gracePeriodSeconds: 0 });
    await eventually('the first is back', async () => image(await pods('roll')) === 'nginx:1.14.2 b:1 b:1');
    await bringUp('roll');
    await patch('roll', { updateStrategy: { rollingUpdate: { partition: 0 } } });
    await eventually('all are replaced', async () => image(await pods('roll')) === 'b:1 b:1 b:1');
    await bringUp('roll');
    const done = await until('roll', 'the revision is current', (s) => s.status?.currentRevision === s.status?.updateRevision);
    await patch('roll', { template: withImage(template('roll'), 'nginx:1.14.2') });
    await eventually('the old revision is back', async () => {
      for (const pod of await pods('roll')) if (pod.status?.phase === 'Pending') await setReady(cluster.client, pod);
      return image(await pods('roll')) === 'nginx:1.14.2 nginx:1.14.2 nginx:1.14.2';
    });
    const back = await until('roll', 'it is told', (s) => s.status?.updateRevision === half.status!.currentRevision);
    assert.notEqual(back.status!.updateRevision, done.status!.updateRevision);
    const { items } = await cluster.client.of(CONTROLLER_REVISIONS).list({ namespace: 'sts', labelSelector: 'app=roll' });
    assert.deepEqual(items.map((r) => r.revision).toSorted(), [2, 3]);
  });
  test('Parallel: all at once, but one at a time in a rolling update', async () => {
    const made = await create('par', { podManagementPolicy: 'Parallel', replicas: 4, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 2 } } });
    assert.deepEqual(made.spec.updateStrategy, { type: 'RollingUpdate', rollingUpdate: { partition: 0 } });
    await eventually('all come without being ready', async () => (await names('par')) === 'par-0 par-1 par-2 par-3');
    await bringUp('par');
    await patch('par', { template: withImage(template('par'), 'b:1') });
    const count = async () => (await pods('par')).filter((p) => p.spec.containers[0]!.image === 'b:1').length;
    await eventually('one is replaced', async () => (await count()) === 1);
    await until('par', 'it waits', (s) => s.status?.readyReplicas === 3 && s.status.observedGeneration === s.metadata.generation);
    assert.equal(await count(), 1);
    await eventually('the others are, one by one', async () => {
      await bringUp('par');
      return (await count()) === 4;
    });
  });
  test('OnDelete leaves Pods alone; ordinals start where they are told to', async () => {
    await create('manual', { replicas: 2, ordinals: { start: 5 }, updateStrategy: { type: 'OnDelete' } });
    await bringUp('manual');
    assert.equal(await names('manual'), 'manual-5 manual-6');
    await patch('manual', { template: withImage(template('manual'), 'b:1') });
    await until('manual', 'the change is seen', (s) => s.status?.observedGeneration === s.metadata.generation && s.status?.currentRevision !== s.status?.updateRevision);
    assert.deepEqual((await pods('manual')).map((p) => p.spec.containers[0]!.image), ['nginx:1.14.2', 'nginx:1.14.2']);
    await cluster.client.of(PODS).delete('sts', 'manual-6', { gracePeriodSeconds: 0 });
    await eventually('the deleted one is new', async () => (await pods('manual')).map((p) => p.spec.containers[0]!.image).join(' ') === 'nginx:1.14.2 b:1');
  });
  test('claims: one for each Pod, kept by default', async () => {
    const set = await create('disk', { replicas: 2, volumeClaimTemplates: [DATA] });
    await bringUp('disk');
    const made = await claims('disk');
    assert.deepEqual(made.map(nameOf), ['data-disk-0', 'data-disk-1']);
    assert.deepEqual(made[0]!.metadata.labels, { kind: 'disk', app: 'disk' });
    assert.equal(made[0]!.metadata.ownerReferences, undefined);
    const [pod] = await pods('disk');
    assert.deepEqual(pod!.spec.volumes!.find((v) => v.name === 'data'), { name: 'data', persistentVolumeClaim: { claimName: 'data-disk-0' } });
    await eventually('it is told', async () => (await eventsOf(cluster.client, set)).includes('SuccessfulCreate: Create Claim data-disk-0 Pod disk-0 in StatefulSet disk success'));
    await patch('disk', { replicas: 0 });
    await eventually('the Pods go', async () => (await names('disk')) === '');
    assert.equal((await claims('disk')).length, 2);
  });
  test('claims go with their Pod or with the set where the policy says so', async () => {
    const set = await create('gone', { replicas: 2, volumeClaimTemplates: [DATA], persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Delete' } });
    await bringUp('gone');
    await eventually('the set owns the claims', async () => (await claims('gone')).every((c) => c.metadata.ownerReferences?.[0]?.uid === uidOf(set)));
    await patch('gone', { replicas: 1 });
    // Claims in use wait for their protection's finalizer, which is another controller's.
    await eventually('the second claim is being deleted', async () => {
      const claim = await cluster.client.of(PERSISTENT_VOLUME_CLAIMS).get('sts', 'data-gone-1').catch(() => undefined);
      return claim === undefined || claim.metadata.deletionTimestamp !== undefined;
    });
    assert.equal((await cluster.client.of(PERSISTENT_VOLUME_CLAIMS).get('sts', 'data-gone-0')).metadata.deletionTimestamp, undefined);
    await cluster.client.of(STATEFUL_SETS).delete('sts', 'gone', { propagationPolicy: 'Background' });
    await eventually('the set is gone', () => isGone(cluster.client.of(STATEFUL_SETS).get('sts', 'gone')));
    await eventually('the first claim is being deleted', async () => {
      const claim = await cluster.client.of(PERSISTENT_VOLUME_CLAIMS).get('sts', 'data-gone-0').catch(() => undefined);
      return claim === undefined || claim.metadata.deletionTimestamp !== undefined;
    });
  });
  test('a Pod that has failed is deleted and made anew', async () => {
    const set = await create('fail', { replicas: 1 });
    await bringUp('fail');
    const [pod] = await pods('fail');
    await cluster.client.of(PODS).patch('sts', 'fail-0', 'application/merge-patch+json', { status: { phase: 'Failed' } }, { subresource: 'status' });
    await eventually('another is there', async () => (await pods('fail')).some((p) => uidOf(p) !== uidOf(pod!)));
    await eventually('it is told', async () => (await eventsOf(cluster.client, set)).includes('SuccessfulDelete: Delete Pod fail-0 in StatefulSet fail successful'));
  });
});
