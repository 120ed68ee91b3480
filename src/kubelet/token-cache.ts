/** Tokens of service accounts that are asked for again and again: kept for four fifths of their life. Upstream's counterpart: the kubelet's token manager. */
import type { TokenRequest } from '#api/gen/authentication-v1.ts';
import type { Pod, ServiceAccountTokenProjection } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';

export type TokenSource = (pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal) => Promise<TokenRequest>;

const MAX_TOKENS = 1000;

/** The same source with a memory, by Pod, audience and life. */
export function cachedTokens(source: TokenSource, clock: Clock): TokenSource {
  const kept = new Map<string, { readonly until: number; readonly token: TokenRequest }>();
  return async (pod, projection, signal) => {
    const key = `${uidOf(pod)} ${projection.expirationSeconds ?? ''} ${projection.audience ?? ''}`;
    const found = kept.get(key);
    if (found && found.until > clock.now()) return found.token;
    kept.delete(key);
    const token = await source(pod, projection, signal);
    const end = Date.parse(token.status?.expirationTimestamp ?? '');
    for (const [k, t] of kept) if (t.until <= clock.now()) kept.delete(k);
    kept.set(key, { until: clock.now() + (end - clock.now()) * 0.8, token });
    if (kept.size > MAX_TOKENS) kept.delete(kept.keys().next().value!);
    return token;
  };
}
