/** Takes out of a merged object what its applier no longer wants and nobody else owns. */
import type { JsonObject } from '../patch/json.ts';
import { fieldSetOf, withNamedFields } from './compare.ts';
import { differenceSets, EMPTY, intersectSets, isEmpty, unionSets, type FieldSet } from './field-set.ts';
import type { Managed, ManagedMap } from './managed-fields.ts';
import { removeItems } from './merge.ts';
import type { FieldManagement, OtherVersion } from './update.ts';

/**
 * `merged` without what `last` (the manager's fields so far) has, `now` (its fields from now on) has not, and no other
 * manager owns. Items that stay keep what others or nobody put into them; items that go take it along.
 * Managers at other versions of the API see the object at theirs.
 */
export function pruneApplied(merged: JsonObject, managed: ManagedMap, last: Managed | undefined, now: FieldSet, options: FieldManagement): JsonObject {
  if (!last || isEmpty(differenceSets(last.set, now))) return merged;
  const at = versionOf(last.apiVersion, options);
  if (!at) return merged;
  const whole = at.convert(merged);
  const { schema } = at;
  const lastNamed = withNamedFields(last.set, schema);
  const without = at.revert(take(whole, lastNamed, at));
  const withOwned = at.convert(addBackOwned(merged, without, managed, last.apiVersion, options));
  const going = intersectSets(differenceSets(named(whole, at), named(withOwned, at)), lastNamed);
  return isEmpty(going) ? merged : at.revert(take(whole, going, at));
}

function versionOf(apiVersion: string, options: FieldManagement): OtherVersion | undefined {
  if (apiVersion !== options.apiVersion) return options.versions?.(apiVersion);
  const same = (object: JsonObject) => object;
  return { schema: options.schema, convert: same, revert: same };
}

function take(object: JsonObject, items: FieldSet, { schema }: OtherVersion): JsonObject {
  return (removeItems(object, items, schema) ?? {}) as JsonObject;
}
function named(object: JsonObject, { schema }: OtherVersion): FieldSet {
  return withNamedFields(fieldSetOf(object, schema), schema);
}

/** Puts back what any manager owns, version by version; that of the last apply first. */
function addBackOwned(merged: JsonObject, without: JsonObject, managed: ManagedMap, first: string, options: FieldManagement): JsonObject {
  const owned = new Map<string, FieldSet>([[first, EMPTY]]);
  for (const m of managed.values()) owned.set(m.apiVersion, unionSets(owned.get(m.apiVersion) ?? EMPTY, m.set));
  let out = without;
  for (const [apiVersion, set] of owned) {
    const at = versionOf(apiVersion, options);
    if (!at || isEmpty(set)) continue;
    const whole = at.convert(merged);
    const keeps = unionSets(named(at.convert(out), at), withNamedFields(set, at.schema));
    out = at.revert(take(whole, differenceSets(named(whole, at), keeps), at));
  }
  return out;
}
