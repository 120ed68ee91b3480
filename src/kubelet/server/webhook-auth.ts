/** Asks the API server who a token belongs to and what they may do on a node; answers are kept for a moment. Upstream: webhook authentication and authorization of the kubelet. */
import type { TokenReview } from '#api/gen/authentication-v1.ts';
import type { SubjectAccessReview } from '#api/gen/authorization-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import type { Transport } from '#client/transport.ts';
import type { KubeletAuth, UserInfo } from './interfaces.ts';

const TOKEN_REVIEWS = resourceOf('authentication.k8s.io', 'v1', 'tokenreviews');
const ACCESS_REVIEWS = resourceOf('authorization.k8s.io', 'v1', 'subjectaccessreviews');
const ALLOWED_MS = 300_000;
const REFUSED_MS = 30_000;
const TOKEN_MS = 120_000;
const MAX_ENTRIES = 1000;

/** Values that are good for a while; the oldest go first. */
class Remembered<V> {
  readonly #clock: Clock;
  readonly #entries = new Map<string, { value: V; until: number }>();
  constructor(clock: Clock) {
    this.#clock = clock;
  }
  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.until > this.#clock.monotonic() ? entry.value : undefined;
  }
  set(key: string, value: V, ms: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.#clock.monotonic() + ms });
    if (this.#entries.size > MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
  }
}

export function webhookKubeletAuth(transport: Transport, nodeName: string, clock: Clock): KubeletAuth {
  const users = new Remembered<UserInfo>(clock);
  const decisions = new Remembered<boolean>(clock);
  return {
    async authenticateToken(token, signal) {
      const known = users.get(token);
      if (known) return known;
      const body: TokenReview = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec: { token } };
      const { status } = (await transport.call({ verb: 'create', resource: TOKEN_REVIEWS, body }, signal)) as TokenReview;
      if (!status?.authenticated || !status.user?.username) return undefined;
      const { username, uid, groups = [], extra } = status.user;
      const user: UserInfo = { name: username, uid, groups, extra };
      users.set(token, user, TOKEN_MS);
      return user;
    },
    async authorize({ user, verb, subresource }, signal) {
      const key = JSON.stringify([user, verb, subresource]);
      const known = decisions.get(key);
      if (known !== undefined) return known;
      const { name, uid, groups, extra } = user;
      const body: SubjectAccessReview = {
        apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', metadata: {},
        spec: { user: name, uid, groups, extra, resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName } },
      };
      const { status } = (await transport.call({ verb: 'create', resource: ACCESS_REVIEWS, body }, signal)) as SubjectAccessReview;
      const allowed = status?.allowed === true;
      decisions.set(key, allowed, allowed ? ALLOWED_MS : REFUSED_MS);
      return allowed;
    },
  };
}
