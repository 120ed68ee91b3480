/** Metrics of resource claims. Names as upstream's, instrumentation/metrics. */
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { Counter, Gauge, type Registry } from '#base/metrics.ts';
import { EXTENDED_RESOURCE_CLAIM, POD_CLAIM_NAME } from './claims.ts';

/** Requests with alternatives have no access of administrators. */
function adminAccess({ spec }: ResourceClaim): 'true' | 'false' {
  return spec.devices?.requests?.some((r) => r.exactly?.adminAccess) ? 'true' : 'false';
}
function sourceOf({ metadata: { annotations = {} } }: ResourceClaim): 'extended_resource' | 'resource_claim_template' | '' {
  if (annotations[EXTENDED_RESOURCE_CLAIM] === 'true') return 'extended_resource';
  return annotations[POD_CLAIM_NAME] ? 'resource_claim_template' : '';
}

export class ResourceClaimMetrics {
  readonly #creates: Counter<'status' | 'admin_access'>;

  /** `claims` are counted whenever somebody looks. */
  constructor(registry: Registry, claims: () => readonly ResourceClaim[]) {
    this.#creates = new Counter({ name: 'resourceclaim_controller_creates_total', help: 'Number of ResourceClaims creation requests, categorized by creation status and admin access', labelNames: ['status', 'admin_access'], registers: [registry] });
    registry.registerMetric(new Gauge({
      name: 'resourceclaim_controller_resource_claims', labelNames: ['allocated', 'admin_access', 'source'], registers: [],
      help: "Number of ResourceClaims, categorized by allocation status, admin access, and source. Source can be 'resource_claim_template' (created from a template), 'extended_resource' (extended resources), or empty (manually created by a user).",
      collect() {
        this.reset();
        for (const claim of claims()) this.inc({ allocated: String(claim.status?.allocation !== undefined), admin_access: adminAccess(claim), source: sourceOf(claim) });
      },
    }));
  }
  created(claim: ResourceClaim, status: 'success' | 'failure'): void {
    this.#creates.inc({ status, admin_access: adminAccess(claim) });
  }
}
