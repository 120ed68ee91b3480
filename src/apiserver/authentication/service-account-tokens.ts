/**
 * Service-account tokens: verified here, issued in `token-request.ts`. A token's signature is checked once and remembered for a short
 * while; times and the objects it names are checked on every request, so that deleting a Pod ends its tokens at once.
 */
import { createHash } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader } from 'jose';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationResult, MaybePromise, ObjectReader, TokenAuthenticator } from '../interfaces.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { LegacyTokenUse } from './legacy-token-use.ts';
import { LEGACY_ISSUER, parseClaims, userOfClaims, userOfLegacyClaims, type LegacyClaims } from './service-account-claims.ts';
import type { VerificationKey } from './service-account-keys.ts';

const MAX_REMEMBERED = 4096;
const REMEMBER_MS = 10 * 60 * 1000;

export interface ServiceAccountTokenOptions {
  /** The first one issues; tokens of all of them are taken. `https://kubernetes.default.svc.cluster.local` */
  readonly issuers: readonly string[];
  readonly keys: readonly VerificationKey[];
  /** The API server's own audiences. */
  readonly audiences: readonly string[];
  readonly reader: ObjectReader;
  readonly clock: Clock;
  /** Absent: the use of tokens of secrets is noted nowhere. */
  readonly legacyTokenUse?: LegacyTokenUse | undefined;
}

export class ServiceAccountTokenAuthenticator implements TokenAuthenticator {
  readonly #options: ServiceAccountTokenOptions;
  readonly #verified: BoundedCache<unknown>;
  constructor(options: ServiceAccountTokenOptions) {
    this.#options = options;
    this.#verified = new BoundedCache({ max: MAX_REMEMBERED, ttlMs: REMEMBER_MS, clock: options.clock });
  }
  authenticateToken(token: string, audiences: readonly string[]): MaybePromise<AuthenticationResult | undefined> {
    if (!this.#ours(token)) return undefined;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(key);
    if (known !== undefined) return this.#judge(known, token, audiences);
    return this.#verify(token).then((payload) => {
      this.#verified.set(key, payload);
      return this.#judge(payload, token, audiences);
    });
  }
  /** Whether the unverified issuer is one of ours: other tokens are other authenticators' business. */
  #ours(token: string): boolean {
    if (token.split('.').length !== 3) return false;
    try {
      const { iss } = decodeJwt(token);
      return iss === LEGACY_ISSUER || this.#options.issuers.includes(iss ?? '');
    } catch {
      return false;
    }
  }
  async #verify(token: string): Promise<unknown> {
    const { kid, alg } = decodeProtectedHeader(token);
    const fitting = this.#options.keys.filter((k) => k.alg === alg && (kid === undefined || k.kid === kid));
    // Keys of before a change of how they are named: as upstream, an unknown name means that every key is tried.
    for (const key of fitting.length ? fitting : this.#options.keys.filter((k) => k.alg === alg)) {
      try {
        const { payload } = await compactVerify(token, key.key, { algorithms: [key.alg] });
        return JSON.parse(Buffer.from(payload).toString('utf8'));
      } catch {
        continue;
      }
    }
    throw new Error('invalid bearer token, none of the keys verifies its signature');
  }
  #judge(payload: unknown, token: string, requested: readonly string[]): AuthenticationResult {
    const { audiences, reader, clock, legacyTokenUse } = this.#options;
    const wanted = requested.length ? requested : audiences;
    if ((payload as { readonly iss?: unknown }).iss === LEGACY_ISSUER) {
      const good = wanted.filter((a) => audiences.includes(a));
      if (good.length === 0) throw new Error(`token audiences [] is invalid for the target audiences ${goList(wanted)}`);
      return { user: userOfLegacyClaims(payload as Partial<LegacyClaims>, token, reader, (secret) => legacyTokenUse?.mark(secret)), audiences: good };
    }
    const claims = parseClaims(payload);
    const good = claims.aud.filter((a) => wanted.includes(a));
    if (good.length === 0) throw new Error(`token audiences ${goList(claims.aud)} is invalid for the target audiences ${goList(wanted)}`);
    return { user: userOfClaims(claims, reader, clock.now()), audiences: good };
  }
}
/** A list as Go's `%q` prints it: `["a" "b"]`. */
function goList(items: readonly string[]): string {
  return `[${items.map((i) => JSON.stringify(i)).join(' ')}]`;
}
