/** What is allowed, and how long it takes to tell, under upstream's names (`endpoints/filters/metrics.go`). Of requests over the wire. */
import { FilterMetrics } from '../http/filter-metrics.ts';
import type { Decision } from '../interfaces.ts';

const RESULTS: Readonly<Record<Decision | 'error', string>> = { allow: 'allowed', deny: 'denied', noOpinion: 'no-opinion', error: 'error' };

export class AuthorizationMetrics {
  readonly #outcomes = new FilterMetrics(
    { name: 'authorization_attempts_total', help: "Counter of authorization attempts broken down by result. It can be either 'allowed', 'denied', 'no-opinion' or 'error'." },
    { name: 'authorization_duration_seconds', help: 'Authorization duration in seconds broken out by result.' },
  );
  ended(outcome: Decision | 'error', seconds: number): void {
    this.#outcomes.ended(RESULTS[outcome], seconds);
  }
  text(): string {
    return this.#outcomes.text();
  }
}
