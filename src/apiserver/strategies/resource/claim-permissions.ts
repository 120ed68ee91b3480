/** Who may write which part of a claim's status. Source: KEP-4817, "Fine-grained authorization"; KEP-5304. */
import type { AllocatedDeviceStatus, ResourceClaim, ResourceClaimStatus } from '#api/gen/resource-v1.ts';
import { namespaceOf } from '#api/object.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import type { RequiredPermission, UserInfo } from '../../registry/strategy.ts';

const STATUS = fieldPath('status');
const NODE_NAME = 'authentication.kubernetes.io/node-name';
const SERVICE_ACCOUNT = /^system:serviceaccount:[^:]+:[^:]+$/;

interface DeviceKey {
  readonly driver: string;
  readonly pool: string;
  readonly device: string;
  readonly shareID?: string | undefined;
}
const keyOf = ({ driver, pool, device, shareID = '' }: DeviceKey) => JSON.stringify([driver, pool, device, shareID]);

/** Drivers of whose devices something else is told, or nothing any more. */
function changedDrivers(devices: readonly AllocatedDeviceStatus[], old: readonly AllocatedDeviceStatus[]): readonly string[] {
  const [now, before] = [devices, old].map((list) => new Map(list.map((device) => [keyOf(device), device]))) as [Map<string, AllocatedDeviceStatus>, Map<string, AllocatedDeviceStatus>];
  const changed = [...now.entries()].filter(([key, device]) => !before.has(key) || !semanticEqual(before.get(key), device)).map(([, device]) => device.driver);
  const gone = [...before.entries()].filter(([key]) => !now.has(key)).map(([, device]) => device.driver);
  return [...new Set([...changed, ...gone])].toSorted();
}
/** The only node that the devices can be used on. */
function nodeOf({ allocation }: ResourceClaimStatus): string | undefined {
  const [term, ...others] = allocation?.nodeSelector?.nodeSelectorTerms ?? [];
  if (!term || others.length > 0 || term.matchExpressions?.length || term.matchFields?.length !== 1) return undefined;
  const { key, operator, values = [] } = term.matchFields[0]!;
  return key === 'metadata.name' && operator === 'In' && values.length === 1 ? values[0] : undefined;
}
/** A service account whose token is for a Pod on that node. */
function isOnNode({ name, extra }: UserInfo, node: string | undefined): boolean {
  const nodes = extra?.[NODE_NAME] ?? [];
  return node !== undefined && SERVICE_ACCOUNT.test(name) && nodes.length === 1 && nodes[0] === node;
}

/** Binding is for who schedules; telling of devices for their drivers, easier for those on the node. `verb` is that of the request. */
export function claimStatusPermissions(claim: ResourceClaim, old: ResourceClaim, user: UserInfo, verb: string): readonly RequiredPermission[] {
  const [status, before] = [claim.status ?? {}, old.status ?? {}];
  const required: RequiredPermission[] = [];
  if (!semanticEqual(status.allocation, before.allocation) || !semanticEqual(status.reservedFor ?? [], before.reservedFor ?? [])) {
    required.push({
      path: STATUS.child('allocation'), subresource: 'binding', namespace: '', name: '', verbs: [verb],
      message: `changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="${verb}" permission`,
    });
  }
  if (!status.allocation) return required;
  const verbs: readonly [string, ...string[]] = isOnNode(user, nodeOf(status)) ? [`associated-node:${verb}`, `arbitrary-node:${verb}`] : [`arbitrary-node:${verb}`];
  for (const driver of changedDrivers(status.devices ?? [], before.devices ?? [])) {
    required.push({
      path: STATUS.child('devices'), subresource: 'driver', namespace: namespaceOf(claim), name: driver, verbs,
      message: `changing status.devices requires resource="resourceclaims/driver", verb="[${verbs.join(' ')}]" permission`,
    });
  }
  return required;
}
