import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnusableCheckpoint } from '#kubelet/checkpoint-file.ts';
import { remedyOf } from './remedy.ts';

test('remedyOf finds what can be done about an error in what caused it', () => {
  const err = new Error('starting kubelet: x', { cause: new UnusableCheckpoint('/data/kubelet/cpu_manager_state', 'x', new Error('y')) });
  assert.match(remedyOf(err)!, /down --pods, rm \/data\/kubelet\/cpu_manager_state, .*up$/);
  assert.equal(remedyOf(new Error('x', { cause: new Error('y') })), undefined);
});
