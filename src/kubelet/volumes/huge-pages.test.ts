import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePod } from '../testing/make-pod.ts';
import { isHugePagesMedium, pageSizeOf } from './huge-pages.ts';

const asking = (...sizes: string[]) => sizes.reduce((pod, size, i) => pod.container(`c${i}`, { resources: { requests: { [`hugepages-${size}`]: size } } }), makePod()).build();
for (const [medium, sizes, want] of [['HugePages', ['2Mi'], '2Mi'], ['HugePages', ['2Mi', '2Mi'], '2Mi'], ['HugePages-1Gi', ['2Mi', '1Gi'], '1Gi'], ['HugePages-2Mi', ['2Mi', '1Gi'], '2Mi']] as const) {
  test(`pageSizeOf ${medium} for a Pod that asks for ${sizes.join(' and ')}`, () => assert.equal(pageSizeOf(medium, asking(...sizes)), want));
}
test('pageSizeOf refuses what cannot be decided', () => {
  assert.throws(() => pageSizeOf('HugePages', asking('2Mi', '1Gi')), { message: "medium: HugePages can't be used if container requests multiple huge page sizes" });
  assert.throws(() => pageSizeOf('HugePages-1Gi', asking('2Mi')), { message: 'medium HugePages-1Gi: hugePages storage requested, but there is no resource request for huge pages' });
  assert.throws(() => pageSizeOf('HugePages', asking()), /no resource request/);
});
test('isHugePagesMedium', () => assert.deepEqual(['HugePages', 'HugePages-2Mi', 'Memory', ''].map(isHugePagesMedium), [true, true, false, false]));
