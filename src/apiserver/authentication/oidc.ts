/**
 * OpenID Connect tokens of an outside issuer. Keys come from the issuer's discovery document and are fetched again when a token names
 * one that is not known, at most once in a while.
 * Source: the Kubernetes page "Authenticating", OpenID Connect tokens; OpenID Connect Core 1.0 §3.1.3.7 (validation).
 */
import { createHash } from 'node:crypto';
import { get } from 'node:https';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationResult, MaybePromise, TokenAuthenticator, UserInfo } from '../interfaces.ts';
import { BoundedCache } from './bounded-cache.ts';

export interface OidcOptions {
  /** `https://accounts.example.org` */
  readonly issuerUrl: string;
  readonly clientId: string;
  /** Further audiences that are taken besides {@link clientId}. */
  readonly audiences?: readonly string[];
  /** Default `sub`. */
  readonly usernameClaim?: string;
  /** Default `<issuer>#`, or nothing for the claim `email`; `-` switches it off. */
  readonly usernamePrefix?: string;
  readonly groupsClaim?: string;
  readonly groupsPrefix?: string;
  /** Claims that must be there with these values. */
  readonly requiredClaims?: Readonly<Record<string, string>>;
  /** Default RS256. */
  readonly signingAlgorithms?: readonly string[];
  /** PEM of the issuer's authority; absent: the system's roots. */
  readonly ca?: string;
  readonly clock: Clock;
  /** How documents are fetched; tests bring their own. */
  readonly fetchJson?: (url: string, signal: AbortSignal) => Promise<unknown>;
}

const REFETCH_AFTER_MS = 30_000;
const KEYS_GOOD_FOR_MS = 60 * 60 * 1000;
const FETCH_TIMEOUT_MS = 30_000;
const MAX_DOCUMENT_BYTES = 1024 * 1024;
const CACHE = { max: 4096, ttlMs: 10_000 };

export class OidcAuthenticator implements TokenAuthenticator {
  readonly #options: OidcOptions;
  readonly #verified: BoundedCache<JWTPayload>;
  #keys: { readonly set: ReturnType<typeof createLocalJWKSet>; readonly kids: ReadonlySet<string>; readonly fetchedAt: number } | undefined;
  #fetching: Promise<void> | undefined;
  #triedAt = -Infinity;
  constructor(options: OidcOptions) {
    if (!options.issuerUrl.startsWith('https://')) throw new Error(`oidc: issuer URL "${options.issuerUrl}" must be of scheme https`);
    this.#options = options;
    this.#verified = new BoundedCache({ ...CACHE, clock: options.clock });
  }
  authenticateToken(token: string, audiences: readonly string[]): MaybePromise<AuthenticationResult | undefined> {
    if (!this.#ours(token)) return undefined;
    const own = [this.#options.clientId, ...(this.#options.audiences ?? [])];
    const wanted = audiences.length ? own.filter((a) => audiences.includes(a)) : own;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(key);
    if (known) return this.#judge(known, wanted, audiences);
    return this.#verify(token, own).then((claims) => {
      this.#verified.set(key, claims);
      return this.#judge(claims, wanted, audiences);
    });
  }
  #ours(token: string): boolean {
    try {
      return token.split('.').length === 3 && decodeJwt(token).iss === this.#options.issuerUrl;
    } catch {
      return false;
    }
  }
  async #verify(token: string, audiences: readonly string[]): Promise<JWTPayload> {
    const { kid } = decodeProtectedHeader(token);
    await this.#ready(kid);
    const { payload } = await jwtVerify(token, this.#keys!.set, {
      issuer: this.#options.issuerUrl,
      audience: [...audiences],
      algorithms: [...(this.#options.signingAlgorithms ?? ['RS256'])],
      currentDate: new Date(this.#options.clock.now()),
      requiredClaims: ['exp'],
    });
    return payload;
  }
  /** Sees to it that the keys are fresh, and know `kid` if the issuer does. */
  async #ready(kid: string | undefined): Promise<void> {
    const now = this.#options.clock.monotonic();
    const fresh = this.#keys && now - this.#keys.fetchedAt < KEYS_GOOD_FOR_MS;
    const knowsKey = kid === undefined || this.#keys?.kids.has(kid);
    if (fresh && knowsKey) return;
    if (this.#keys && now - this.#triedAt < REFETCH_AFTER_MS) return;
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
    try {
      await this.#fetching;
    } catch (err) {
      if (!this.#keys) throw err; // with keys in hand an issuer that is away for a while does no harm
    }
  }
  /** Many requests wait for one fetch: it goes by its own time, not by any one request's. */
  async #fetch(): Promise<void> {
    const { issuerUrl, ca, clock } = this.#options;
    this.#triedAt = clock.monotonic();
    const fetchJson = this.#options.fetchJson ?? ((url: string, s: AbortSignal) => httpsJson(url, ca, s));
    const limit = new AbortController();
    const timer = clock.after(FETCH_TIMEOUT_MS, () => limit.abort(new Error(`oidc: fetching the keys of "${issuerUrl}" took too long`)));
    try {
      this.#take(await fetchKeys(issuerUrl, fetchJson, limit.signal));
    } finally {
      timer.cancel();
    }
  }
  #take(jwks: JSONWebKeySet): void {
    this.#keys = { set: createLocalJWKSet(jwks), kids: new Set(jwks.keys.map((k) => k.kid ?? '')), fetchedAt: this.#options.clock.monotonic() };
  }
  #judge(claims: JWTPayload, wanted: readonly string[], requested: readonly string[]): AuthenticationResult | undefined {
    if ((claims.exp ?? 0) * 1000 < this.#options.clock.now()) throw new Error('oidc: verify token: token is expired');
    const aud = typeof claims.aud === 'string' ? [claims.aud] : (claims.aud ?? []);
    const good = aud.filter((a) => wanted.includes(a));
    if (requested.length && good.length === 0) return undefined;
    for (const [name, value] of Object.entries(this.#options.requiredClaims ?? {})) {
      if (claims[name] === undefined) throw new Error(`oidc: required claim ${name} not present in ID token`);
      if (claims[name] !== value) throw new Error(`oidc: required claim ${name} value does not match. Got = ${String(claims[name])}, want = ${value}`);
    }
    return { user: this.#userOf(claims), audiences: good };
  }
  #userOf(claims: JWTPayload): UserInfo {
    const { usernameClaim = 'sub', usernamePrefix, groupsClaim, groupsPrefix = '', issuerUrl } = this.#options;
    const name = claims[usernameClaim];
    if (typeof name !== 'string' || name === '') throw new Error(`oidc: parse username claims "${usernameClaim}": claim not present`);
    if (usernameClaim === 'email' && claims['email_verified'] === false) throw new Error('oidc: email not verified');
    const prefix = usernamePrefix === '-' ? '' : (usernamePrefix ?? (usernameClaim === 'email' ? '' : `${issuerUrl}#`));
    const groups = groupsClaim === undefined ? undefined : claims[groupsClaim];
    const list = groups === undefined ? [] : typeof groups === 'string' ? [groups] : groups;
    if (!Array.isArray(list) || !list.every((g) => typeof g === 'string')) throw new Error(`oidc: parse groups claim "${groupsClaim ?? ''}": it must be a string or a list of strings`);
    const jti = typeof claims.jti === 'string' && claims.jti !== '' ? { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] } : undefined;
    return { name: `${prefix}${name}`, groups: list.map((g) => `${groupsPrefix}${g as string}`), ...(jti ? { extra: jti } : {}) };
  }
}

async function fetchKeys(issuerUrl: string, fetchJson: NonNullable<OidcOptions['fetchJson']>, signal: AbortSignal): Promise<JSONWebKeySet> {
  const discovery = (await fetchJson(`${issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`, signal)) as { readonly issuer?: unknown; readonly jwks_uri?: unknown };
  if (discovery.issuer !== issuerUrl) throw new Error(`oidc: issuer did not match the issuer returned by provider, expected "${issuerUrl}" got "${String(discovery.issuer)}"`);
  return (await fetchJson(String(discovery.jwks_uri), signal)) as JSONWebKeySet;
}
function httpsJson(url: string, ca: string | undefined, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const req = get(url, { signal, headers: { accept: 'application/json' }, ...(ca ? { ca } : {}) }, (res) => {
      const chunks: Buffer[] = [];
      let size = 0;
      res.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_DOCUMENT_BYTES) req.destroy(new Error(`oidc: document at "${url}" is larger than ${MAX_DOCUMENT_BYTES} bytes`));
        else chunks.push(chunk);
      });
      res.on('error', reject);
      res.on('end', () => {
        if (res.statusCode !== 200) return reject(new Error(`oidc: fetching "${url}" answered ${res.statusCode ?? 0}, not 200`));
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        } catch (err) {
          reject(new Error(`oidc: document at "${url}" is not JSON`, { cause: err }));
        }
      });
    });
    req.on('error', reject);
  });
}
