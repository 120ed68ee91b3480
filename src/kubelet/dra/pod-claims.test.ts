import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { admitPod } from '../pods/admission.ts';
import { allocated } from '../testing/dra-driver.ts';
import { makePod } from '../testing/make-pod.ts';
import { checkClaim, claimsOf, claimUses, driversOf, extendedUses, serves, withoutClaimed } from './pod-claims.ts';

const web = makePod('web').spec({ resourceClaims: [{ name: 'shared', resourceClaimName: 'gpu' }, { name: 'again', resourceClaimName: 'gpu' }, { name: 'own', resourceClaimTemplateName: 't' }, { name: 'none', resourceClaimTemplateName: 't' }] });
const made = web.status({ resourceClaimStatuses: [{ name: 'own', resourceClaimName: 'web-own-x' }, { name: 'none' }] });
const extended = makePod('ext').container('a', { resources: { requests: { 'example.com/gpu': '2', cpu: '1' } } }).container('b', { resources: { requests: { 'example.com/gpu': '0' } } })
  .status({ extendedResourceClaimStatus: { resourceClaimName: 'ext-claim', requestMappings: [
    { containerName: 'a', resourceName: 'example.com/gpu', requestName: 'container-0-request-0' }, { containerName: 'b', resourceName: 'example.com/gpu', requestName: 'container-1-request-0' },
  ] } }).build();

test('claimsOf gives every claim of a Pod once, those made for it and for its extended resources too', () => {
  assert.deepEqual(claimsOf(made.build()), [{ name: 'gpu', made: false }, { name: 'web-own-x', made: true }]);
  assert.deepEqual(claimsOf(extended), [{ name: 'ext-claim', made: false }]);
  assert.throws(() => claimsOf(web.build()), { message: 'pod "default/web": ResourceClaim not created yet' });
});
test('checkClaim refuses what is not the Pod\'s, in upstream\'s words', () => {
  const pod = made.build();
  const claim = (more: Partial<ResourceClaim>, metadata: object = {}): ResourceClaim => ({ metadata: { name: 'c', namespace: 'default', uid: 'c-uid', ...metadata }, spec: {}, ...more });
  const owned = { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'web', uid: 'uid-web', controller: true }] };
  const good = allocated('d', 'n', { r: 'dev' }, [{ name: 'web', uid: 'uid-web' }]);
  const table: readonly (readonly [ResourceClaim, boolean, string])[] = [
    [claim({ status: good }), false, ''],
    [claim({ status: good }, owned), true, ''],
    [claim({ status: good }), true, 'ResourceClaim default/c was not created for Pod default/web (Pod is not owner)'],
    [claim({ status: good }, { ownerReferences: [{ ...owned.ownerReferences[0], uid: 'older' }] }), true, 'ResourceClaim default/c was not created for Pod default/web (Pod is not owner)'],
    [claim({}), false, 'pod web (uid-web) is not allowed to use ResourceClaim c (c-uid)'],
    [claim({ status: { ...good, reservedFor: [{ resource: 'pods', name: 'web', uid: 'older' }] } }), false, 'pod web (uid-web) is not allowed to use ResourceClaim c (c-uid)'],
    [claim({ status: { ...good, allocation: undefined } }), false, 'ResourceClaim c: not allocated'],
  ];
  for (const [c, isMade, message] of table) {
    let said = '';
    try { checkClaim(pod, c, { name: 'c', made: isMade }); } catch (err) { said = (err as Error).message; }
    assert.equal(said, message);
  }
  assert.deepEqual(driversOf(claim({ status: good })), new Set(['d']));
});
test('claimUses and extendedUses tell what each container asks for', () => {
  const pod = made.container('c', { resources: { claims: [{ name: 'own', request: 'small' }, { name: 'shared' }, { name: 'none' }, { name: 'unknown' }] } }).container('without').build();
  assert.deepEqual(claimUses(pod, pod.spec.containers[0]!), [{ podClaim: 'own', claim: 'web-own-x', request: 'small' }, { podClaim: 'shared', claim: 'gpu', request: '' }]);
  assert.deepEqual(claimUses(pod, pod.spec.containers[1]!), []);
  assert.deepEqual(extended.spec.containers.map((c) => extendedUses(extended, c)), [[{ podClaim: '', claim: 'ext-claim', request: 'container-0-request-0' }], []]);
});
test('serves: devices of a request, of its alternatives, and those of no request in particular', () => {
  assert.deepEqual([['gpu'], ['gpu/small'], [], ['other']].map((requests) => serves({ requests }, 'gpu')), [true, true, true, false]);
  assert.equal(serves({ requests: ['gpu'] }, 'gpu/small'), true);
  assert.equal(serves({ requests: ['other'] }, ''), true);
});
test('what claims give is not taken from the node: such a Pod is admitted though a plugin has none left', () => {
  assert.deepEqual(withoutClaimed(extended).spec.containers.map((c) => c.resources?.requests), [{ cpu: '1' }, {}]);
  const node = { metadata: { name: 'n' }, spec: {}, status: { allocatable: { cpu: '4', pods: '10', 'example.com/gpu': '0' } } };
  assert.equal(admitPod(extended, [], node), undefined);
  const { status: _, ...plain } = extended;
  assert.equal(admitPod(plain, [], node)?.reason, 'OutOfexample.com/gpu');
});
