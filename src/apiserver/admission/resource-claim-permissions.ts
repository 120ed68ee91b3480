/**
 * Who writes the status of a ResourceClaim needs more than that: to bind the claim, `resourceclaims/binding`; to tell of devices,
 * `resourceclaims/driver` for each driver, with `associated-node:` before the verb where it runs on the node of the devices, else `arbitrary-node:`.
 * Upstream asks in the strategy of the status, and refuses in its words. Source: KEP-4817, "Granular authorization".
 */
import type { AllocatedDeviceStatus, AllocationResult, ResourceClaim } from '#api/gen/resource-v1.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fieldPath, forbiddenField, type FieldError } from '#machinery/field-errors.ts';
import { invalid } from '#machinery/status-error.ts';
import { EXTRA, splitServiceAccountUserName } from '../authentication/users.ts';
import { forbiddenError } from '../authorization/forbidden.ts';
import type { AdmissionAttributes, AdmissionPlugin, AuthorizationAttributes, Authorizer, UserInfo } from '../interfaces.ts';
import { isAbout, oneOf } from './refusal.ts';

const STATUS = fieldPath('status');

export class ResourceClaimPermissions implements AdmissionPlugin {
  readonly name = 'ResourceClaimPermissions';
  readonly handles = oneOf('UPDATE');
  readonly #authorizer: Authorizer;
  constructor(options: { readonly authorizer: Authorizer }) {
    this.#authorizer = options.authorizer;
  }
  async validate(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    if (!isAbout(a, 'resource.k8s.io', 'resourceclaims', 'status')) return;
    const verb = a.options['kind'] === 'PatchOptions' ? 'patch' : 'update';
    const { status = {} } = a.object as ResourceClaim;
    const { status: old = {} } = a.oldObject as ResourceClaim;
    const errors: FieldError[] = [];
    if (!semanticEqual(status.allocation, old.allocation) || !semanticEqual(status.reservedFor ?? [], old.reservedFor ?? [])) {
      const why = await this.#whyNot(a, [verb], { subresource: 'binding', namespace: '', name: '' }, signal);
      if (why !== undefined) errors.push(forbiddenField(STATUS.child('allocation'), `changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="${verb}" permission: ${why}`));
    }
    const verbs = [...(isOn(a.user, nodeOf(status.allocation)) ? ['associated-node'] : []), 'arbitrary-node'].map((where) => `${where}:${verb}`);
    // Of a claim that is not allocated, nothing is kept of what drivers say.
    for (const name of status.allocation ? changedDrivers(old.devices, status.devices) : []) {
      const why = await this.#whyNot(a, verbs, { subresource: 'driver', namespace: a.namespace, name }, signal);
      if (why !== undefined) errors.push(forbiddenField(STATUS.child('devices'), `changing status.devices requires resource="resourceclaims/driver", verb="[${verbs.join(' ')}]" permission: ${why}`));
    }
    if (errors.length) throw invalid({ group: a.resource.group, kind: a.resource.kind }, a.name, errors);
  }
  /** Undefined when one of the verbs is allowed, else what is said of the first. */
  async #whyNot(a: AdmissionAttributes, verbs: readonly string[], on: Pick<AuthorizationAttributes, 'subresource' | 'namespace' | 'name'>, signal: AbortSignal): Promise<string | undefined> {
    let first: string | undefined;
    for (const verb of verbs) {
      const asked: AuthorizationAttributes = { isResourceRequest: true, verb, path: '', apiGroup: a.resource.group, apiVersion: a.resource.version, resource: a.resource.plural, user: a.user, ...on };
      const { decision, reason } = await this.#authorizer.authorize(asked, signal);
      if (decision === 'allow') return undefined;
      first ??= forbiddenError(asked, reason).message;
    }
    return first;
  }
}

/** In the order of their names. */
function changedDrivers(old: readonly AllocatedDeviceStatus[] = [], now: readonly AllocatedDeviceStatus[] = []): string[] {
  const key = ({ driver, pool, device, shareID }: AllocatedDeviceStatus): string => JSON.stringify([driver, pool, device, shareID ?? '']);
  const left = new Map(old.map((d) => [key(d), d]));
  const changed = new Set<string>();
  for (const d of now) {
    const before = left.get(key(d));
    left.delete(key(d));
    if (!before || !semanticEqual(before, d)) changed.add(d.driver);
  }
  for (const d of left.values()) changed.add(d.driver);
  return [...changed].toSorted();
}
/** The one node on which the devices can be used; undefined where there may be several. */
function nodeOf(allocation: AllocationResult | undefined): string | undefined {
  const [term, another] = allocation?.nodeSelector?.nodeSelectorTerms ?? [];
  const [field, more] = term?.matchFields ?? [];
  if (another || more || term?.matchExpressions?.length || field?.key !== 'metadata.name' || field.operator !== 'In' || field.values?.length !== 1) return undefined;
  return field.values[0];
}
/** A service account whose token was made for a Pod of the node. */
function isOn(user: UserInfo, node: string | undefined): boolean {
  const nodes = user.extra?.[EXTRA.nodeName] ?? [];
  return node !== undefined && splitServiceAccountUserName(user.name) !== undefined && nodes.length === 1 && nodes[0] === node;
}
