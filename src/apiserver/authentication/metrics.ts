/** Who comes, and how long it takes to tell, under upstream's names (`endpoints/filters/metrics.go`, `request/x509`). Of requests over the wire. */
import { FilterMetrics } from '../http/filter-metrics.ts';
import { Buckets, labelText, metricBlock } from '../http/request-metrics.ts';

/** `failure`: there were no credentials, and nobody may come without; `error`: those that there were are no good. */
export type AuthenticationOutcome = 'success' | 'failure' | 'error';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const REMAINING_SECONDS = [0, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, 360 * DAY];

const NAMED: ReadonlySet<string> = new Set(['admin', 'client', 'kube_proxy', 'kubelet', 'system:serviceaccount:kube-system:default']);
/** Labels are closed sets: of users only a few are told apart. */
function shownUser(name: string): string {
  return NAMED.has(name) ? name : name.includes('@') ? 'email_id' : 'other';
}

const USERS = 'authenticated_user_requests';
const CERTIFICATES = 'apiserver_client_certificate_expiration_seconds';

export class AuthenticationMetrics {
  readonly #outcomes = new FilterMetrics(
    { name: 'authentication_attempts', help: 'Counter of authenticated attempts.' },
    { name: 'authentication_duration_seconds', help: 'Authentication duration in seconds broken out by result.' },
  );
  readonly #users = new Map<string, number>();
  readonly #certificates = new Buckets(REMAINING_SECONDS);

  ended(outcome: AuthenticationOutcome, seconds: number): void {
    this.#outcomes.ended(outcome, seconds);
  }
  user(name: string): void {
    const shown = shownUser(name);
    this.#users.set(shown, (this.#users.get(shown) ?? 0) + 1);
  }
  /** A client came with a certificate that is good for so long still. */
  certificate(remainingSeconds: number): void {
    this.#certificates.observe(remainingSeconds);
  }
  text(): string {
    return [
      this.#outcomes.text(),
      metricBlock(USERS, 'Counter of authenticated requests broken out by username.', 'counter', Array.from(this.#users, ([username, count]) => `${USERS}{${labelText({ username })}} ${count}`)),
      metricBlock(CERTIFICATES, 'Distribution of the remaining lifetime on the certificate used to authenticate a request.', 'histogram', this.#certificates.lines(CERTIFICATES, '')),
    ].join('');
  }
}
