/**
 * Tokens of an outside issuer, as an AuthenticationConfiguration describes it. A signature is checked once and remembered for a short while.
 * Source: the Kubernetes page "Authenticating", OpenID Connect tokens; OpenID Connect Core 1.0 §3.1.3.7 (validation).
 */
import { createHash } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, jwtVerify, type JWTPayload } from 'jose';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationResult, MaybePromise, TokenAuthenticator } from '../interfaces.ts';
import { BoundedCache } from './bounded-cache.ts';
import { userOfClaims } from './claim-mapping.ts';
import { IssuerKeys, type FetchJson } from './issuer-keys.ts';
import type { JwtAuthenticator } from './jwt-configuration.ts';

const CACHE = { max: 4096, ttlMs: 10_000 };
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

export class OidcAuthenticator implements TokenAuthenticator {
  readonly #authenticator: JwtAuthenticator;
  readonly #clock: Clock;
  readonly #keys: IssuerKeys;
  readonly #users: BoundedCache<{ readonly claims: JWTPayload; readonly result: AuthenticationResult }>;
  constructor(authenticator: JwtAuthenticator, clock: Clock, fetchJson?: FetchJson) {
    this.#authenticator = authenticator;
    this.#clock = clock;
    this.#keys = new IssuerKeys(authenticator.issuer, clock, fetchJson);
    this.#users = new BoundedCache({ ...CACHE, clock });
  }
  /** Resolves when the issuer's keys are known. */
  async ready(): Promise<void> {
    await this.#keys.get(undefined);
  }
  /** Audiences are the issuer's business: a user of it is one of the API server's. */
  authenticateToken(token: string): MaybePromise<AuthenticationResult | undefined> {
    if (!this.#ours(token)) return undefined;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#users.get(key);
    if (known && (known.claims.exp ?? 0) * 1000 > this.#clock.now()) return known.result;
    return this.#verify(token).then((claims) => {
      const result = { user: userOfClaims(claims, this.#authenticator) };
      this.#users.set(key, { claims, result });
      return result;
    });
  }
  #ours(token: string): boolean {
    try {
      return token.split('.').length === 3 && decodeJwt(token).iss === this.#authenticator.issuer.url;
    } catch {
      return false;
    }
  }
  async #verify(token: string): Promise<JWTPayload> {
    const { url, audiences } = this.#authenticator.issuer;
    try {
      const keys = await this.#keys.get(decodeProtectedHeader(token).kid);
      const { payload } = await jwtVerify(token, keys, { issuer: url, algorithms: ALGORITHMS, currentDate: new Date(this.#clock.now()), requiredClaims: ['exp'] });
      const named = typeof payload.aud === 'string' ? [payload.aud] : (payload.aud ?? []);
      if (!named.some((a) => audiences.includes(a))) throw new Error(`oidc: expected audience in ${goList(audiences.toSorted())} got ${goList(named)}`);
      return payload;
    } catch (err) {
      throw new Error(`oidc: verify token: ${(err as Error).message}`, { cause: err });
    }
  }
}
/** A list as Go's `%q` prints it: `["a" "b"]`. */
function goList(items: readonly string[]): string {
  return `[${items.map((i) => JSON.stringify(i)).join(' ')}]`;
}
