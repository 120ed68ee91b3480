import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Deployment } from '#api/gen/apps-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '#client/kinds.ts';
import type { InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually } from './eventually.ts';
import { deployment, podsOf, setReady, setsOf, someEventsOf, startWithNamespace, template, withImage } from './workloads.ts';

const condition = (d: Deployment, type: string) => d.status?.conditions?.find((c) => c.type === type);
const isComplete = (d: Deployment): boolean => {
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0, observedGeneration = 0 } = d.status ?? {};
  return [replicas, updatedReplicas, availableReplicas].every((n) => n === d.spec.replicas) && observedGeneration >= d.metadata.generation!;
};

describe('Deployments on nodes', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startWithNamespace('d', { nodes: ['node-1', 'node-2'] });
  });
  after(() => cluster.stop());
  const until = (name: string, what: string, check: (d: Deployment) => boolean) => eventually(what, async () => {
    const found = await cluster.client.of(DEPLOYMENTS).get('d', name);
    return check(found) && found;
  });
  const setImage = async (name: string, image: string) => {
    const { spec } = await cluster.client.of(DEPLOYMENTS).get('d', name);
    return await cluster.client.of(DEPLOYMENTS).patch('d', name, 'application/merge-patch+json', { spec: { template: withImage(spec.template, image) } });
  };

  test('roll out: a set named by its hash, conditions, events, status', async () => {
    const made = await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'web'));
    const done = await until('web', 'it is complete', (d) => isComplete(d) && condition(d, 'Progressing')?.reason === 'NewReplicaSetAvailable');
    const [rs] = await setsOf(cluster.client, 'd', 'web');
    const hash = rs!.metadata.labels!['pod-template-hash']!;
    assert.equal(nameOf(rs!), `web-${hash}`);
    assert.match(hash, /^[bcdfghjklmnpqrstvwxz2456789]{6,10}$/);
    assert.deepEqual(rs!.metadata.managedFields?.map((m) => `${m.manager} ${m.subresource ?? ''}`).toSorted(), ['kube-controller-manager ', 'kube-controller-manager status']);
    assert.deepEqual(rs!.spec.selector, { matchLabels: { app: 'web', 'pod-template-hash': hash } });
    assert.deepEqual(rs!.spec.template!.metadata!.labels, { app: 'web', 'pod-template-hash': hash });
    assert.deepEqual(rs!.metadata.annotations, { 'deployment.kubernetes.io/desired-replicas': '3', 'deployment.kubernetes.io/max-replicas': '4', 'deployment.kubernetes.io/revision': '1' });
    assert.deepEqual(rs!.metadata.ownerReferences, [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: uidOf(made), controller: true, blockOwnerDeletion: true }]);
    assert.equal(done.metadata.annotations?.['deployment.kubernetes.io/revision'], '1');
    assert.deepEqual(done.status?.conditions?.map(({ type, status, reason, message }) => [type, status, reason, message]), [
      ['Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.'],
      ['Progressing', 'True', 'NewReplicaSetAvailable', `ReplicaSet "web-${hash}" has successfully progressed.`],
    ]);
    const { conditions: _, ...counts } = done.status!;
    assert.deepEqual(counts, { observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, terminatingReplicas: 0 });
    assert.deepEqual(await someEventsOf(cluster.client, made, 1), [`ScalingReplicaSet: Scaled up replica set web-${hash} from 0 to 3`]);
  });
  test('roll over, keep the bounds, and back again to a former revision', async () => {
    const available: number[] = [];
    const total: number[] = [];
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'roll', { replicas: 4, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }));
    await until('roll', 'it is complete', isComplete);
    const abort = new AbortController();
    const { metadata } = await cluster.client.of(DEPLOYMENTS).list({ namespace: 'd' });
    const watching = (async () => {
      for await (const batch of cluster.client.of(DEPLOYMENTS).watch({ namespace: 'd', fieldSelector: 'metadata.name=roll', resourceVersion: metadata.resourceVersion! }, abort.signal)) {
        for (const { object } of batch as readonly { object: Deployment }[]) {
          available.push(object.status?.availableReplicas ?? 0);
          total.push(object.status?.replicas ?? 0);
        }
      }
    })().catch(() => {});
    await setImage('roll', 'nginx:1.16.1');
    await until('roll', 'the new template is out', isComplete);
    abort.abort();
    await watching;
    assert.ok(Math.min(...available) >= 4, `never below 4 available: ${available}`);
    assert.ok(Math.max(...total) <= 5, `never above 5: ${total}`);
    const [first, second] = await setsOf(cluster.client, 'd', 'roll');
    assert.deepEqual([first!.spec.replicas, second!.spec.replicas], [0, 4]);
    await setImage('roll', 'nginx:1.14.2');
    const back = await until('roll', 'the first template is back', (d) => isComplete(d) && d.metadata.annotations?.['deployment.kubernetes.io/revision'] === '3');
    const again = await cluster.client.of(REPLICA_SETS).get('d', nameOf(first!));
    assert.equal(again.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
    assert.equal((await setsOf(cluster.client, 'd', 'roll')).length, 2);
    assert.equal(back.status?.collisionCount, undefined);
  });
  test('Recreate: no new Pod while an old one runs', async () => {
    const pods = withImage(template('rec'), 'nginx:1');
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'rec', { strategy: { type: 'Recreate' }, template: pods }));
    await until('rec', 'it is complete', isComplete);
    const old = new Set((await podsOf(cluster.client, 'd', 'rec')).map(uidOf));
    await setImage('rec', 'nginx:2');
    await eventually('a new Pod is there', async () => {
      const now = await podsOf(cluster.client, 'd', 'rec');
      const fresh = now.filter((p) => !old.has(uidOf(p)));
      const running = now.filter((p) => old.has(uidOf(p)) && p.status?.phase === 'Running');
      assert.ok(fresh.length === 0 || running.length === 0, 'old and new Pods side by side');
      return fresh.length > 0;
    });
    await until('rec', 'it is complete', isComplete);
  });
  test('go back to a former revision, and to its annotations, when one of theirs says so', async () => {
    await cluster.client.of(DEPLOYMENTS).create({ ...deployment('d', 'undo', { replicas: 1 }), metadata: { name: 'undo', namespace: 'd', annotations: { cause: 'first' } } });
    await until('undo', 'it is complete', isComplete);
    await cluster.client.of(DEPLOYMENTS).patch('d', 'undo', 'application/merge-patch+json', { metadata: { annotations: { cause: 'second' } }, spec: { template: withImage(template('undo'), 'nginx:2') } });
    await until('undo', 'it has two revisions', (d) => isComplete(d) && d.metadata.annotations?.['deployment.kubernetes.io/revision'] === '2');
    const ask = (revision: string) => cluster.client.of(DEPLOYMENTS).patch('d', 'undo', 'application/merge-patch+json', { metadata: { annotations: { 'deprecated.deployment.rollback.to': revision } } });
    const answered = (what: string) => until('undo', what, (d) => d.metadata.annotations?.['deprecated.deployment.rollback.to'] === undefined);
    await ask('0');
    await answered('it has gone back');
    const back = await until('undo', 'it is complete again', (d) => isComplete(d) && d.metadata.annotations?.['deployment.kubernetes.io/revision'] === '3');
    assert.deepEqual([back.spec.template.spec!.containers[0]!.image, back.metadata.annotations?.['cause']], ['nginx:1.14.2', 'first']);
    await ask('3');
    await answered('there is nothing to do');
    await ask('9');
    await answered('there is no such revision');
    const told = await someEventsOf(cluster.client, back, 7);
    assert.deepEqual(told.filter((t) => t.startsWith('DeploymentRollback')), [
      'DeploymentRollback: Rolled back deployment "undo" to revision 1', 'DeploymentRollbackTemplateUnchanged: The rollback revision contains the same template as current deployment "undo"',
      'DeploymentRollbackRevisionNotFound: Unable to find the revision to rollback to.',
    ]);
  });
  test('history: revisionHistoryLimit bounds the old sets', async () => {
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'hist', { replicas: 1, revisionHistoryLimit: 1 }));
    await until('hist', 'it is complete', isComplete);
    for (const image of ['a:1', 'a:2', 'a:3']) {
      await setImage('hist', image);
      await until('hist', `${image} is out`, isComplete);
    }
    const left = await eventually('older sets are gone', async () => {
      const sets = await setsOf(cluster.client, 'd', 'hist');
      return sets.length === 2 && sets;
    });
    assert.deepEqual(left.map((rs) => rs.metadata.annotations?.['deployment.kubernetes.io/revision']), ['3', '4']);
  });
});

describe('Deployments whose Pods never start by themselves', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startWithNamespace('d', { nodes: [] });
  });
  after(() => cluster.stop());
  const until = (name: string, what: string, check: (d: Deployment) => boolean) => eventually(what, async () => {
    const found = await cluster.client.of(DEPLOYMENTS).get('d', name);
    return check(found) && found;
  });
  const patch = (name: string, spec: object) => cluster.client.of(DEPLOYMENTS).patch('d', name, 'application/merge-patch+json', { spec });
  const sizes = async (name: string) => (await setsOf(cluster.client, 'd', name)).map((rs) => rs.spec.replicas);
  const readyAll = async (name: string) => {
    for (const pod of await podsOf(cluster.client, 'd', name)) await setReady(cluster.client, pod);
  };

  test('tell when the deadline of progress has passed', async () => {
    const made = await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'late', { replicas: 1, progressDeadlineSeconds: 1 }));
    const late = await until('late', 'it has timed out', (d) => condition(d, 'Progressing')?.status === 'False');
    const [rs] = await setsOf(cluster.client, 'd', 'late');
    const { reason, message } = condition(late, 'Progressing')!;
    assert.deepEqual([reason, message], ['ProgressDeadlineExceeded', `ReplicaSet "${nameOf(rs!)}" has timed out progressing.`]);
    assert.deepEqual([condition(late, 'Available')!.status, condition(late, 'Available')!.reason], ['False', 'MinimumReplicasUnavailable']);
    assert.equal(late.status?.unavailableReplicas, 1);
    await readyAll('late');
    await until('late', 'it progresses all the same', (d) => condition(d, 'Progressing')?.reason === 'NewReplicaSetAvailable');
    assert.equal(uidOf(made), uidOf(late));
  });
  test('a broken template takes no more than maxUnavailable; scaling then is in proportion', async () => {
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'prop', { replicas: 10, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } }));
    await eventually('all Pods are there', async () => (await podsOf(cluster.client, 'd', 'prop')).length === 10);
    await readyAll('prop');
    await until('prop', 'it is complete', isComplete);
    await patch('prop', { template: withImage(template('prop'), 'nginx:sometag') });
    await eventually('it is stuck', async () => String(await sizes('prop')) === '8,5');
    await patch('prop', { replicas: 15 });
    // The page on Deployments tells this story: of 5 more Pods 3 go to the old set, 2 to the new one.
    await eventually('both grow', async () => String(await sizes('prop')) === '11,7');
  });
  test('paused: templates wait, sizes do not', async () => {
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'idle', { replicas: 1, paused: true }));
    const paused = await until('idle', 'it says so', (d) => condition(d, 'Progressing')?.reason === 'DeploymentPaused');
    assert.deepEqual([condition(paused, 'Progressing')!.status, condition(paused, 'Progressing')!.message], ['Unknown', 'Deployment is paused']);
    assert.deepEqual(await setsOf(cluster.client, 'd', 'idle'), []);
    await patch('idle', { paused: false });
    await eventually('a set is made', async () => String(await sizes('idle')) === '1');
    await patch('idle', { paused: true, template: withImage(template('idle'), 'other:1') });
    await until('idle', 'it is seen', (d) => d.status?.observedGeneration === d.metadata.generation);
    await patch('idle', { replicas: 2 });
    await eventually('the one set grows', async () => String(await sizes('idle')) === '2');
  });
  test('adopt sets that match, and let go of those that do not', async () => {
    const pods = { ...template('take'), metadata: { labels: { app: 'take', tier: 'a' } } };
    const rs = await cluster.client.of(REPLICA_SETS).create({ metadata: { name: 'found', namespace: 'd', labels: { app: 'take' } }, spec: { replicas: 2, selector: { matchLabels: { app: 'take' } }, template: pods } });
    const made = await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'take', { replicas: 2, template: pods }));
    await eventually('it is taken as the present one', async () => (await cluster.client.of(REPLICA_SETS).get('d', 'found')).metadata.ownerReferences?.[0]?.uid === uidOf(made));
    const seen = await until('take', 'its Pods count', (d) => d.status?.updatedReplicas === 2);
    assert.equal(condition(seen, 'Progressing')?.reason, 'ReplicaSetUpdated');
    assert.equal((await setsOf(cluster.client, 'd', 'take')).length, 1);
    await cluster.client.of(REPLICA_SETS).patch('d', 'found', 'application/merge-patch+json', { metadata: { labels: { app: 'free' } } });
    await eventually('it is free', async () => (await cluster.client.of(REPLICA_SETS).get('d', 'found')).metadata.ownerReferences === undefined);
    assert.equal(uidOf(await cluster.client.of(REPLICA_SETS).get('d', 'found')), uidOf(rs));
  });
  test('a name that another template has taken is a collision: the next hash is another', async () => {
    const wanted = deployment('d', 'hit', { replicas: 1 });
    await cluster.client.of(DEPLOYMENTS).create(wanted);
    const [first] = await eventually('a set is made', async () => ((await setsOf(cluster.client, 'd', 'hit')).length ? setsOf(cluster.client, 'd', 'hit') : undefined));
    await cluster.client.of(DEPLOYMENTS).delete('d', 'hit', { propagationPolicy: 'Background' });
    await eventually('the set goes too', async () => (await setsOf(cluster.client, 'd', 'hit')).length === 0);
    await cluster.client.of(REPLICA_SETS).create({ metadata: { name: nameOf(first!), namespace: 'd' }, spec: { replicas: 0, selector: { matchLabels: { app: 'x' } }, template: template('x') } });
    await cluster.client.of(DEPLOYMENTS).create(wanted);
    await until('hit', 'the collision is counted', (d) => d.status?.collisionCount === 1);
    const [second] = await eventually('another set is made', async () => ((await setsOf(cluster.client, 'd', 'hit')).length ? setsOf(cluster.client, 'd', 'hit') : undefined));
    assert.notEqual(nameOf(second!), nameOf(first!));
  });
  test('failures of a set reach its Deployment', async () => {
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'sick', { replicas: 1, template: template('sick', { serviceAccountName: 'ghost' }) }));
    const sick = await until('sick', 'the failure is told', (d) => condition(d, 'ReplicaFailure') !== undefined);
    assert.deepEqual([condition(sick, 'ReplicaFailure')!.status, condition(sick, 'ReplicaFailure')!.reason], ['True', 'FailedCreate']);
    assert.match(condition(sick, 'ReplicaFailure')!.message!, /error looking up service account d\/ghost: serviceaccount "ghost" not found$/);
  });
  test('deleted with orphans: the sets and Pods stay', async () => {
    await cluster.client.of(DEPLOYMENTS).create(deployment('d', 'leave', { replicas: 1 }));
    await eventually('a Pod is there', async () => (await podsOf(cluster.client, 'd', 'leave')).length === 1);
    await cluster.client.of(DEPLOYMENTS).delete('d', 'leave', { propagationPolicy: 'Orphan' });
    await eventually('the set is free', async () => (await setsOf(cluster.client, 'd', 'leave'))[0]?.metadata.ownerReferences === undefined);
    assert.equal((await podsOf(cluster.client, 'd', 'leave')).length, 1);
    const { items } = await cluster.client.of(PODS).list({ namespace: 'd', labelSelector: 'app=leave' });
    assert.equal(items[0]!.metadata.ownerReferences?.[0]?.kind, 'ReplicaSet');
  });
});
