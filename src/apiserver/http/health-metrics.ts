/** `/metrics/slis`: the outcome of each health check, as often as somebody asks for all of them (KEP-3466). */
import { Counter, Gauge, Registry } from '#base/metrics.ts';
import type { HealthEndpoint } from './health.ts';

export class HealthMetrics {
  readonly registry = new Registry();
  readonly #last: Gauge;
  readonly #total: Counter;

  constructor() {
    const registers = [this.registry];
    this.#last = new Gauge({ name: 'kubernetes_healthcheck', help: '[STABLE] This metric records the result of a single healthcheck.', labelNames: ['name', 'type'], registers });
    this.#total = new Counter({ name: 'kubernetes_healthchecks_total', help: '[STABLE] This metric records the results of all healthcheck.', labelNames: ['name', 'status', 'type'], registers });
    new Gauge({ name: 'process_start_time_seconds', help: '[STABLE] Start time of the process since unix epoch in seconds.', registers }).set(performance.timeOrigin / 1000);
  }
  observe(name: string, type: HealthEndpoint, passed: boolean): void {
    this.#last.set({ name, type }, passed ? 1 : 0);
    this.#total.inc({ name, type, status: passed ? 'success' : 'error' });
  }
}
