import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { RESOURCES } from '#api/resources.ts';
import { listPrefix, objectKey, resourcePrefix } from './keys.ts';

const pods = { group: '', plural: 'pods', namespaced: true };
const roles = { group: 'rbac.authorization.k8s.io', plural: 'clusterroles', namespaced: false };

test('objectKey lays objects out as upstream does', () => {
  assert.equal(objectKey(pods, 'default', 'web'), '/registry/pods/default/web');
  assert.equal(objectKey({ group: 'apps', plural: 'deployments', namespaced: true }, 'default', 'web'), '/registry/apps/deployments/default/web');
  assert.equal(objectKey(roles, '', 'system:node'), '/registry/rbac.authorization.k8s.io/clusterroles/system:node');
  assert.equal(listPrefix(pods), '/registry/pods/');
  assert.equal(listPrefix(pods, 'default'), '/registry/pods/default/');
  assert.equal(listPrefix(roles, 'ignored'), resourcePrefix(roles));
});

test('events of both groups share one place', () => {
  const [core, events] = RESOURCES.filter((r) => r.plural === 'events');
  assert.equal(objectKey(events!, 'a', 'b'), objectKey(core!, 'a', 'b'));
  assert.equal(resourcePrefix(core!), '/registry/events/');
});

test('no resource lies inside another one', () => {
  const prefixes = [...new Set(RESOURCES.filter((r) => r.group !== 'events.k8s.io').map(resourcePrefix))];
  for (const a of prefixes) for (const b of prefixes) assert.ok(a === b || !a.startsWith(b), `${a} lies in ${b}`);
});

test('objectKey refuses empty parts', () => {
  assert.throws(() => objectKey(pods, '', 'web'), TypeError);
  assert.throws(() => objectKey(pods, 'default', ''), TypeError);
});

test('objectKey makes one ASCII key of every name, from which it can be had again', () => {
  const any = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((s) => s.isWellFormed());
  fc.assert(
    fc.property(any, any, any, (namespace, name, other) => {
      const key = objectKey(pods, namespace, name);
      assert.match(key, /^\/registry\/pods\/[!-.0-~]+\/[!-.0-~]+$/);
      assert.deepEqual(key.split('/').slice(3).map(decodeURIComponent), [namespace, name]);
      assert.equal(objectKey(pods, namespace, other) === key, other === name);
      assert.ok(key.startsWith(listPrefix(pods, namespace)));
    }),
  );
  assert.equal(objectKey(roles, '', '\ud800'), objectKey(roles, '', '\ufffd'), 'half a character becomes the replacement character, as in Go');
});
