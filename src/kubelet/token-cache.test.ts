import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { makePod } from './testing/make-pod.ts';
import { cachedTokens } from './token-cache.ts';

test('cachedTokens asks once for each Pod and audience, and anew at four fifths of a token\'s life', async () => {
  const clock = new FakeClock();
  let asked = 0;
  const tokens = cachedTokens((_pod, p) => Promise.resolve({
    apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec: { audiences: [] }, status: { token: `${p.audience}-${++asked}`, expirationTimestamp: new Date(clock.now() + 1000_000).toISOString() },
  }), clock);
  const get = async (pod: string, audience: string) => (await tokens(makePod(pod).build(), { path: '', audience }, new AbortController().signal)).status?.token;
  assert.deepEqual([await get('a', 'x'), await get('a', 'x'), await get('a', 'y'), await get('b', 'x')], ['x-1', 'x-1', 'y-2', 'x-3']);
  await clock.advance(799_000);
  assert.equal(await get('a', 'x'), 'x-1');
  await clock.advance(2000);
  assert.equal(await get('a', 'x'), 'x-4');
});
