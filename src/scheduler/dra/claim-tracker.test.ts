import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import type { InformerHandler } from '#client/informer.ts';
import { allocatedOn, DRIVER, makeResourceClaim } from '../testing/make-devices.ts';
import { ClaimTracker } from './claim-tracker.ts';

/** An informer that is told what it knows. */
function setUp() {
  const known = new Map<string, ResourceClaim>();
  const handlers: InformerHandler<ResourceClaim>[] = [];
  const tracker = new ClaimTracker({ get: (_namespace, name) => known.get(name), list: () => [...known.values()], addHandler: (h) => {
    handlers.push(h);
    return () => {};
  } });
  const tell = (claim: ResourceClaim) => {
    const old = known.get(nameOf(claim));
    known.set(nameOf(claim), claim);
    for (const h of handlers) {
      if (old) h.onUpdate?.(old, claim);
      else h.onAdd?.(claim);
    }
  };
  const remove = (claim: ResourceClaim) => {
    known.delete(nameOf(claim));
    for (const h of handlers) h.onDelete?.(claim);
  };
  return { tracker, tell, remove, taken: () => tracker.ledger.isTaken(`${DRIVER}/a/d`) };
}
const at = (resourceVersion: string, allocated: boolean) => makeResourceClaim('c', { metadata: { resourceVersion }, ...(allocated ? { status: allocatedOn('a', 'd') } : {}) });

test('ClaimTracker counts what is decided, then what is written, then what is known', () => {
  const { tracker, tell, remove, taken } = setUp();
  tell(at('1', false));
  tracker.setPending('c', allocatedOn('a', 'd').allocation!);
  assert.deepEqual([taken(), tracker.isPending('c'), tracker.get('default', 'c')?.status], [true, true, undefined]);
  tracker.assume(at('3', true));
  tracker.removePending('c', at('3', true));
  assert.deepEqual([taken(), tracker.isPending('c')], [true, false]);
  // The finalizer's write comes back first: it is older than what is assumed.
  tell(at('2', false));
  assert.deepEqual([taken(), tracker.get('default', 'c')?.metadata.resourceVersion], [true, '3']);
  tell(at('4', false));
  assert.deepEqual([taken(), tracker.get('default', 'c')?.metadata.resourceVersion], [false, '4']);
  tell(at('5', true));
  remove(at('5', true));
  assert.deepEqual([taken(), tracker.get('default', 'c')], [false, undefined]);
});
test('ClaimTracker gives back what was decided and not written', () => {
  const { tracker, tell, taken } = setUp();
  tell(at('1', false));
  tracker.setPending('c', allocatedOn('a', 'd').allocation!);
  tracker.removePending('c', at('1', false));
  assert.equal(taken(), false);
});
test('ClaimTracker does not take an old state for a new one, nor a claim for another of its name', () => {
  const { tracker, tell, taken } = setUp();
  tell(at('9', false));
  tracker.assume(at('8', true));
  assert.equal(taken(), false);
  tracker.assume(at('10', true));
  tell(makeResourceClaim('c', { metadata: { uid: 'another', resourceVersion: '11' } }));
  assert.equal(tracker.get('default', 'c')?.metadata.uid, 'another');
});
