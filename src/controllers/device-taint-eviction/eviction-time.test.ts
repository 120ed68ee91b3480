import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import type { DeviceTaint, DeviceToleration, ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { evictionTime } from './eviction-time.ts';

const T = Date.parse('2026-01-01T00:00:00Z');
const taint = (more: Partial<DeviceTaint> = {}): DeviceTaint => ({ key: 'sick', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z', ...more });
const slice = (taints: DeviceTaint[], generation = 1): ResourceSlice => ({ metadata: { name: `s${generation}` }, spec: { driver: 'd', nodeName: 'n', pool: { name: 'p', generation, resourceSliceCount: 1 }, devices: [{ name: 'x', taints }] } });
const claim = (tolerations: DeviceToleration[] = [], uid = 'pod'): ResourceClaim => ({
  metadata: { name: 'c', namespace: 'default' }, spec: {},
  status: { allocation: { devices: { results: [{ request: 'r', driver: 'd', pool: 'p', device: 'x', tolerations }] } }, reservedFor: [{ resource: 'pods', name: 'p', uid }] },
});
const pod: Pod = { metadata: { name: 'p', namespace: 'default', uid: 'pod' }, spec: { nodeName: 'n', containers: [], resourceClaims: [{ name: 'd', resourceClaimName: 'c' }] } };
const unbound: Pod = { ...pod, spec: { ...pod.spec, nodeName: '' } };
const exists = (more: Partial<DeviceToleration> = {}): DeviceToleration => ({ key: 'sick', operator: 'Exists', ...more });

const table: Readonly<Record<string, readonly [slices: ResourceSlice[], claim: ResourceClaim, want: number | undefined, pod?: Pod]>> = {
  'not tolerated: since the taint was added': [[slice([taint()])], claim(), T],
  'other effects do not count': [[slice([taint({ effect: 'NoSchedule' }), taint({ effect: 'None' })])], claim(), undefined],
  'tolerated for good': [[slice([taint()])], claim([exists()]), undefined],
  'tolerated for a while': [[slice([taint()])], claim([exists({ tolerationSeconds: 60 })]), T + 60_000],
  'the shortest toleration counts': [[slice([taint()])], claim([exists({ tolerationSeconds: 60 }), exists({ effect: 'NoExecute', tolerationSeconds: 5 })]), T + 5000],
  'a negative toleration is none': [[slice([taint()])], claim([exists({ tolerationSeconds: -5 })]), T],
  'the earliest of two taints': [[slice([taint({ timeAdded: '2026-01-01T00:00:09Z' }), taint({ key: 'hot', timeAdded: '2026-01-01T00:00:05Z' })])], claim(), T + 5000],
  'a taint of an older generation is history': [[slice([taint()], 1), slice([], 2)], claim(), undefined],
  'the claim is kept for another Pod': [[slice([taint()])], claim([], 'other'), undefined],
  'a Pod without a node': [[slice([taint()])], claim(), undefined, unbound],
};
for (const [name, [slices, given, want, by = pod]] of Object.entries(table)) {
  test(`evictionTime: ${name}`, () => assert.equal(evictionTime(by, () => given, () => slices), want));
}
