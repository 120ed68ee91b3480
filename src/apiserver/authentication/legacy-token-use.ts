/** Notes on a secret the day on which its token was last used: who cleans up goes by it. Source: the Kubernetes page "Managing Service Accounts", "Legacy ServiceAccount token cleaner". */
import type { Secret } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Loopback } from '../interfaces.ts';

const log = logger('authentication');
const SECRETS = resourceOf('', 'v1', 'secrets');
const LAST_USED = 'kubernetes.io/legacy-token-last-used';
const DAY_MS = 24 * 60 * 60 * 1000;

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 'YYYY-MM-DD'.length);
}

export class LegacyTokenUse {
  readonly #loopback: Loopback;
  readonly #clock: Clock;
  /** Secrets whose note is being written: requests come faster than it is. */
  readonly #writing = new Set<string>();
  constructor(loopback: Loopback, clock: Clock) {
    this.#loopback = loopback;
    this.#clock = clock;
  }
  /** The request does not wait for the note, and does not fail with it. */
  mark(secret: Secret): void {
    const today = dayOf(this.#clock.now());
    const noted = secret.metadata.labels?.[LAST_USED];
    const uid = uidOf(secret);
    // Tomorrow's: another server's clock may be ahead.
    if (noted === today || noted === dayOf(this.#clock.now() + DAY_MS) || this.#writing.has(uid)) return;
    this.#writing.add(uid);
    const body = { metadata: { uid, labels: { [LAST_USED]: today } } };
    this.#loopback.call({ verb: 'patch', resource: SECRETS, namespace: namespaceOf(secret), name: nameOf(secret), patchType: 'application/merge-patch+json', body })
      .catch((err: unknown) => void log.warn({ err, namespace: namespaceOf(secret), name: nameOf(secret) }, 'The last use of a token could not be noted'))
      .finally(() => void this.#writing.delete(uid));
  }
}
