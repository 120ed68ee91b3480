/**
 * Managed fields seen through the scale subresource: who owns the replicas of the main resource owns `.spec.replicas` of
 * its Scale, and back. Source: autoscaling/v1 Scale and KEP-555.
 */
import type { ManagedFieldsEntry } from '#api/gen/meta-v1.ts';
import { differenceSets, hasPath, isEmpty, pathSet, setOf } from './field-set.ts';
import { decodeStored, encodeManaged, identityOf, withSet, type Managed, type ManagedMap } from './managed-fields.ts';
import { fieldElement } from './path-element.ts';

const SCALE_VERSION = 'autoscaling/v1';
const SCALE_REPLICAS = setOf(['spec', 'replicas']);

export interface ScaleMapping {
  /** Version that the main resource is served at: `apps/v1`. */
  readonly apiVersion: string;
  /** Where replicas stand, by version of the main resource: `{ 'apps/v1': ['spec', 'replicas'] }`. Undefined: not at that version. */
  readonly replicasPaths: Readonly<Record<string, readonly string[] | undefined>>;
}

function replicasPath(mapping: ScaleMapping, apiVersion: string): readonly string[] | undefined {
  return mapping.replicasPaths[apiVersion]?.map(fieldElement);
}

/** Managed fields of the Scale, from those of the main resource. Managers without the replicas are left out. */
export function scaleManagedFields(parent: readonly ManagedFieldsEntry[] | undefined, mapping: ScaleMapping): readonly ManagedFieldsEntry[] | undefined {
  const out: ManagedMap = new Map();
  for (const m of decodeStored(parent).values()) {
    const path = replicasPath(mapping, m.apiVersion);
    if (path && hasPath(m.set, path)) put(out, { ...m, apiVersion: SCALE_VERSION, set: SCALE_REPLICAS, entry: undefined });
  }
  return encodeManaged(out);
}

/**
 * Managed fields of the main resource after a write to its Scale: managers that no longer own the Scale's replicas lose
 * theirs, new owners get them.
 */
export function parentManagedFields(parent: readonly ManagedFieldsEntry[] | undefined, scale: readonly ManagedFieldsEntry[] | undefined, mapping: ScaleMapping): readonly ManagedFieldsEntry[] | undefined {
  const owners = new Map([...decodeStored(scale).values()].filter((m) => hasPath(m.set, ['f:spec', 'f:replicas'])).map((m) => [ownerOf(m), m]));
  const out: ManagedMap = new Map();
  for (const m of decodeStored(parent).values()) {
    if (!(m.apiVersion in mapping.replicasPaths)) continue;
    const path = replicasPath(mapping, m.apiVersion);
    if (!path || !hasPath(m.set, path) || owners.delete(ownerOf(m))) {
      put(out, m);
      continue;
    }
    const rest = withSet(m, differenceSets(m.set, pathSet(path)));
    if (!isEmpty(rest.set)) put(out, rest);
  }
  const path = replicasPath(mapping, mapping.apiVersion);
  if (path) for (const m of owners.values()) put(out, { ...m, apiVersion: mapping.apiVersion, set: pathSet(path), entry: undefined });
  return encodeManaged(out);
}

/** The same manager on both sides, where versions differ. */
function ownerOf(m: Managed): string {
  return identityOf({ ...m, apiVersion: '' });
}

function put(managed: ManagedMap, m: Managed): void {
  managed.set(identityOf(m), m);
}
