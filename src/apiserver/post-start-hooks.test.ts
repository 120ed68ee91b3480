import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PostStartHooks } from './post-start-hooks.ts';

test('PostStartHooks passes the checks of what is done, and has none of what this start leaves out', () => {
  const hooks = new PostStartHooks(['storage', 'bootstrap']);
  const state = (name: string) => hooks.checks.find((c) => c.name === `poststarthook/${name}`)?.check();
  hooks.done('storage');
  assert.deepEqual(['generic-apiserver-start-informers', 'rbac/bootstrap-roles', 'crd-informer-synced'].map(state), [true, false, undefined]);
  hooks.done('bootstrap');
  assert.equal(state('rbac/bootstrap-roles'), true);
});
