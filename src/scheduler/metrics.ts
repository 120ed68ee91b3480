/** The scheduler's metrics of devices. Names as upstream's, instrumentation/metrics. */
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { Counter, Histogram, type Registry } from '#base/metrics.ts';
import { BindingFailed, BindingTimedOut } from './dra/binding-conditions.ts';

type Labels = 'profile' | 'driver' | 'status';

export class SchedulerMetrics {
  readonly #profile: string;
  readonly #claims: Counter<'status'>;
  readonly #allocations: Counter<Labels>;
  readonly #waits: Histogram<Labels>;

  constructor(registry: Registry, profile: string) {
    const registers = [registry];
    const labelNames = ['profile', 'driver', 'status'] as const;
    this.#profile = profile;
    this.#claims = new Counter({ name: 'scheduler_resourceclaim_creates_total', help: 'Number of ResourceClaims creation requests within scheduler', labelNames: ['status'], registers });
    this.#allocations = new Counter({ name: 'scheduler_dra_bindingconditions_allocations_total', help: 'Number of allocations using devices with BindingConditions, counted per driver per scheduling attempt', labelNames, registers });
    this.#waits = new Histogram({ name: 'scheduler_dra_bindingconditions_wait_duration_seconds', help: 'Time in seconds spent waiting for BindingConditions to be satisfied during PreBind.', labelNames, buckets: Array.from({ length: 14 }, (_, i) => 0.1 * 2 ** i), registers });
  }
  claimCreated(status: 'success' | 'failure'): void {
    this.#claims.inc({ status });
  }
  /** The wait for devices is over, well or with an error. */
  waited(claims: readonly ResourceClaim[], seconds: number, err: unknown): void {
    const status = err === undefined ? 'success' : err instanceof BindingTimedOut ? 'timeout' : err instanceof BindingFailed ? 'failure' : 'error';
    for (const { driver, bindingConditions } of claims.flatMap((c) => c.status?.allocation?.devices?.results ?? [])) {
      const labels = { profile: this.#profile, driver, status };
      this.#waits.observe(labels, seconds);
      if (bindingConditions?.length) this.#allocations.inc(labels);
    }
  }
}
