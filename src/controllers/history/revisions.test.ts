import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ControllerRevision } from '#api/gen/apps-v1.ts';
import { STATEFUL_SETS } from '#client/kinds.ts';
import { alreadyExists } from '#machinery/status-error.ts';
import { compareRevisions, createRevision, newRevision, nextRevisionNumber, revisionData, revisionHash, revisionName, templateOf, truncateHistory } from './revisions.ts';

const OWNER = { metadata: { name: 'test', namespace: 'default', uid: 'u1' } };
const SIGNAL = new AbortController().signal;
/** A defaulted template as an upstream 1.34 cluster recorded it, under the hash 776999688b. */
const TEMPLATE = {
  metadata: { labels: { app: 'foo' }, annotations: { test: 'value' } },
  spec: {
    containers: [{ name: 'test', image: 'test', resources: {}, terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File' as const, imagePullPolicy: 'Always' as const }],
    restartPolicy: 'Always' as const, terminationGracePeriodSeconds: 30, dnsPolicy: 'ClusterFirst' as const, securityContext: {}, schedulerName: 'default-scheduler',
  },
};
const revision = (name: string, number: number, template = TEMPLATE): ControllerRevision => ({ metadata: { name, namespace: 'default', uid: name }, revision: number, data: revisionData(template) });

test('revisionHash gives the name that upstream gives', () => {
  assert.equal(revisionHash(revisionData(TEMPLATE), 0), '776999688b');
  assert.equal(revisionName(OWNER, '776999688b'), 'test-776999688b');
  assert.notEqual(revisionHash(revisionData(TEMPLATE), 1), '776999688b');
});
test('revisionData has the bytes that Go gives it', () => {
  const template = { spec: { restartPolicy: 'Always' as const, containers: [{ name: 'a', image: 'x' }] }, metadata: { labels: { b: '1', a: '2' } } };
  assert.equal(JSON.stringify(revisionData(template)), '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"2","b":"1"}},"spec":{"containers":[{"image":"x","name":"a"}],"restartPolicy":"Always"}}}}');
});
test('revisionData is undone by templateOf', () => {
  assert.deepEqual(templateOf(revision('a', 1)), TEMPLATE);
});
test('compareRevisions and nextRevisionNumber order by number', () => {
  const all = [revision('c', 3), revision('a', 1), revision('b', 1)];
  assert.deepEqual(all.toSorted(compareRevisions).map((r) => r.metadata.name), ['a', 'b', 'c']);
  assert.equal(nextRevisionNumber(all), 4);
  assert.equal(nextRevisionNumber([]), 1);
});

/** A client whose revisions are in a map. */
function fakeClient(stored: Map<string, ControllerRevision>) {
  const revisions = {
    create: (r: ControllerRevision) => {
      if (stored.has(r.metadata.name!)) return Promise.reject(alreadyExists({ group: 'apps', resource: 'controllerrevisions' }, r.metadata.name!));
      stored.set(r.metadata.name!, r);
      return Promise.resolve(r);
    },
    get: (_: string, name: string) => Promise.resolve(stored.get(name)!),
    delete: (_: string, name: string) => Promise.resolve(stored.delete(name)),
  };
  return { of: () => revisions } as never;
}
test('createRevision takes the one that is there already, and another name when other data has taken it', async () => {
  const stored = new Map<string, ControllerRevision>();
  const wanted = newRevision({ owner: OWNER, ownerKind: STATEFUL_SETS, template: TEMPLATE, number: 1 });
  const first = await createRevision(fakeClient(stored), OWNER, wanted, 0, SIGNAL);
  assert.deepEqual([first.revision.metadata.name, first.collisionCount, first.revision.metadata.labels], ['test-776999688b', 0, { app: 'foo', 'controller.kubernetes.io/hash': '776999688b' }]);
  assert.equal((await createRevision(fakeClient(stored), OWNER, wanted, 0, SIGNAL)).revision, first.revision);
  stored.set('test-776999688b', revision('test-776999688b', 1, { ...TEMPLATE, spec: { ...TEMPLATE.spec, terminationGracePeriodSeconds: 1 } }));
  const other = await createRevision(fakeClient(stored), OWNER, wanted, 0, SIGNAL);
  assert.deepEqual([other.collisionCount, other.revision.metadata.name === first.revision.metadata.name], [1, false]);
});
test('truncateHistory deletes the oldest that nothing uses', async () => {
  const all = [revision('a', 1), revision('b', 2), revision('c', 3), revision('d', 4)];
  const stored = new Map(all.map((r) => [r.metadata.name!, r]));
  await truncateHistory(fakeClient(stored), all, (r) => r.metadata.name === 'a', 1, SIGNAL);
  assert.deepEqual([...stored.keys()], ['a', 'd']);
});
