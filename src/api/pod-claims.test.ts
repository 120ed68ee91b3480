import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from './gen/core-v1.ts';
import { claimNameOf, claimNamesOf } from './pod-claims.ts';

test('claimNameOf tells what is named, made, yet to be made and not needed apart', () => {
  const pod: Pod = {
    metadata: { name: 'p', namespace: 'default', uid: 'u' },
    spec: { containers: [], resourceClaims: [{ name: 'own', resourceClaimName: 'shared' }, { name: 'made', resourceClaimTemplateName: 't' }, { name: 'new', resourceClaimTemplateName: 't' }, { name: 'none', resourceClaimTemplateName: 't' }] },
    status: { resourceClaimStatuses: [{ name: 'made', resourceClaimName: 'p-made-abcde' }, { name: 'none' }] },
  };
  assert.deepEqual(pod.spec.resourceClaims!.map((c) => claimNameOf(pod, c)), ['shared', 'p-made-abcde', undefined, null]);
  assert.deepEqual(claimNamesOf(pod), ['shared', 'p-made-abcde']);
});
