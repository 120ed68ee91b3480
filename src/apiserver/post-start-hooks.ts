/** Upstream's post-start hooks as health checks: each name passes when the part of the start that it stands for is done. */
import type { HealthCheck } from './http/health.ts';

/** Parts of the start, in order, with the hooks of upstream that do the same. */
const PHASES = {
  /** Watch caches are filled, admission and flow control run. */
  storage: ['start-apiserver-admission-initializer', 'generic-apiserver-start-informers', 'priority-and-fairness-config-consumer', 'priority-and-fairness-filter', 'storage-object-count-tracker-hook', 'storage-readiness'],
  /** Addresses and ports of Services are compared with what is given out. */
  services: ['start-service-ip-repair-controllers'],
  /** Custom resources that are established are served. */
  extensions: ['start-apiextensions-informers', 'start-apiextensions-controllers', 'crd-informer-synced'],
  /** APIServices are followed, and kept for what is served here. */
  aggregation: [
    'start-kube-aggregator-informers', 'apiservice-status-local-available-controller', 'apiservice-status-remote-available-controller', 'apiservice-registration-controller', 'apiservice-discovery-controller',
    'kube-apiserver-autoregistration', 'apiservice-openapi-controller', 'apiservice-openapiv3-controller',
  ],
  /** The cluster's own objects are there: whoever composes the cluster makes them. */
  bootstrap: [
    'start-system-namespaces-controller', 'start-cluster-authentication-info-controller', 'rbac/bootstrap-roles', 'scheduling/bootstrap-system-priority-classes', 'priority-and-fairness-config-producer', 'bootstrap-controller',
  ],
} as const;
export type StartPhase = keyof typeof PHASES;

export class PostStartHooks {
  readonly #done = new Set<StartPhase>();
  readonly checks: readonly HealthCheck[];

  /** `expected`: the parts that this server's start has. */
  constructor(expected: readonly StartPhase[]) {
    this.checks = expected.flatMap((phase) => PHASES[phase].map((hook) => ({ name: `poststarthook/${hook}`, check: () => this.#done.has(phase) })));
  }
  done(phase: StartPhase): void {
    this.#done.add(phase);
  }
}
