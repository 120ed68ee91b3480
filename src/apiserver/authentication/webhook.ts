/** Webhook token authentication: asks another server with a TokenReview. Source: the Kubernetes page "Authenticating", webhook token authentication. */
import { createHash } from 'node:crypto';
import type * as authenticationV1 from '#api/gen/authentication-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationResult, MaybePromise, TokenAuthenticator } from '../interfaces.ts';
import type { WebhookClient, WebhookTarget } from '../webhook/client.ts';
import { BoundedCache } from './bounded-cache.ts';

const MAX_REMEMBERED = 4096;
const DEFAULT_CACHE_TTL_MS = 2 * 60 * 1000;
const TIMEOUT_MS = 30_000;
/** Tries of one question, for a webhook that is just being restarted. */
const TRIES = 3;

export interface WebhookTokenOptions {
  readonly client: WebhookClient;
  readonly target: WebhookTarget;
  readonly cacheTtlMs?: number;
  /** Audiences of the API server, sent when a request names none. */
  readonly audiences: readonly string[];
  readonly clock: Clock;
}

export class WebhookTokenAuthenticator implements TokenAuthenticator {
  readonly #options: WebhookTokenOptions;
  readonly #cache: BoundedCache<AuthenticationResult | 'unknown'>;
  readonly #asking = new Map<string, Promise<AuthenticationResult | undefined>>();
  constructor(options: WebhookTokenOptions) {
    this.#options = options;
    this.#cache = new BoundedCache({ max: MAX_REMEMBERED, ttlMs: options.cacheTtlMs ?? DEFAULT_CACHE_TTL_MS, clock: options.clock });
  }
  authenticateToken(token: string, audiences: readonly string[]): MaybePromise<AuthenticationResult | undefined> {
    const key = createHash('sha256').update(JSON.stringify([token, audiences])).digest('base64');
    const known = this.#cache.get(key);
    if (known !== undefined) return known === 'unknown' ? undefined : known;
    // Requests with one token that come together ask once.
    const running = this.#asking.get(key);
    if (running) return running;
    const asking = this.#ask(token, audiences).then((answer) => {
      this.#cache.set(key, answer ?? 'unknown');
      return answer;
    }).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }
  async #ask(token: string, requested: readonly string[]): Promise<AuthenticationResult | undefined> {
    const { client, target, audiences: own } = this.#options;
    const asked = requested.length ? requested : own;
    const body: authenticationV1.TokenReview = { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', metadata: {}, spec: { token, audiences: asked } };
    // Several requests may wait for the answer: it goes by its own time, not by any one request's.
    const { signal } = new AbortController();
    let failure: unknown;
    for (let i = 0; i < TRIES; i++) {
      try {
        const review = (await client.post(target, { body, timeoutMs: TIMEOUT_MS, signal })) as authenticationV1.TokenReview;
        return resultOf(review.status, asked, own);
      } catch (err) {
        failure = err;
      }
    }
    throw failure;
  }
}
function resultOf(status: authenticationV1.TokenReviewStatus | undefined, asked: readonly string[], own: readonly string[]): AuthenticationResult | undefined {
  if (!status?.authenticated) {
    if (status?.error) throw new Error(status.error);
    return undefined;
  }
  // A webhook of before audiences answers none: then the token is good for the API server itself.
  const audiences = (status.audiences?.length ? status.audiences : own).filter((a) => asked.includes(a));
  if (audiences.length === 0) return undefined;
  const { username = '', uid, groups = [], extra } = status.user ?? {};
  return { user: { name: username, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) }, audiences };
}
