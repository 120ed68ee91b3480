/**
 * The keys of an outside issuer, from its discovery document. Fetched again when a token names one that is not known, at most once in a
 * while. Source: OpenID Connect Discovery 1.0 §4; upstream's `oidc` authenticator.
 */
import { get } from 'node:https';
import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import type { Clock } from '#base/clock.ts';
import type { JwtIssuer } from './jwt-configuration.ts';

/** How documents are fetched; tests bring their own. */
export type FetchJson = (url: string, ca: string | undefined, signal: AbortSignal) => Promise<unknown>;
type KeySet = ReturnType<typeof createLocalJWKSet>;

const REFETCH_AFTER_MS = 30_000;
const KEYS_GOOD_FOR_MS = 60 * 60 * 1000;
const FETCH_TIMEOUT_MS = 30_000;
const MAX_DOCUMENT_BYTES = 1024 * 1024;

export class IssuerKeys {
  readonly #issuer: JwtIssuer;
  readonly #clock: Clock;
  readonly #fetchJson: FetchJson;
  #keys: { readonly set: KeySet; readonly kids: ReadonlySet<string>; readonly fetchedAt: number } | undefined;
  #fetching: Promise<void> | undefined;
  #triedAt = -Infinity;
  constructor(issuer: JwtIssuer, clock: Clock, fetchJson: FetchJson = httpsJson) {
    this.#issuer = issuer;
    this.#clock = clock;
    this.#fetchJson = fetchJson;
  }
  /** Keys that are fresh, and know `kid` if the issuer does. Rejects when there are none. */
  async get(kid: string | undefined): Promise<KeySet> {
    const now = this.#clock.monotonic();
    const fresh = this.#keys && now - this.#keys.fetchedAt < KEYS_GOOD_FOR_MS;
    const knowsKey = kid === undefined || this.#keys?.kids.has(kid);
    if (this.#keys && ((fresh && knowsKey) || now - this.#triedAt < REFETCH_AFTER_MS)) return this.#keys.set;
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
    try {
      await this.#fetching;
    } catch (err) {
      if (!this.#keys) throw err; // with keys in hand an issuer that is away for a while does no harm
    }
    return this.#keys!.set;
  }
  /** Many requests wait for one fetch: it goes by its own time, not by any one request's. */
  async #fetch(): Promise<void> {
    const { url, discoveryUrl, certificateAuthority } = this.#issuer;
    this.#triedAt = this.#clock.monotonic();
    const limit = new AbortController();
    const timer = this.#clock.after(FETCH_TIMEOUT_MS, () => limit.abort(new Error(`oidc: fetching the keys of "${url}" took too long`)));
    try {
      const document = (await this.#fetchJson(discoveryUrl ?? `${url.replace(/\/$/, '')}/.well-known/openid-configuration`, certificateAuthority, limit.signal)) as { readonly issuer?: unknown; readonly jwks_uri?: unknown };
      if (document.issuer !== url) throw new Error(`oidc: issuer did not match the issuer returned by provider, expected "${url}" got "${String(document.issuer)}"`);
      const jwks = (await this.#fetchJson(String(document.jwks_uri), certificateAuthority, limit.signal)) as JSONWebKeySet;
      this.#keys = { set: createLocalJWKSet(jwks), kids: new Set(jwks.keys.map((k) => k.kid ?? '')), fetchedAt: this.#clock.monotonic() };
    } finally {
      timer.cancel();
    }
  }
}

const httpsJson: FetchJson = (url, ca, signal) => new Promise((resolve, reject) => {
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
