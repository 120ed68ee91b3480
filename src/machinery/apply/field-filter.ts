/** Which fields a write to a resource or subresource may own: upstream's reset fields of strategies. */
import { hasChildren, isMember, nodeOf, recursiveDifference, setOf, type FieldSet, type FieldSetDraft } from './field-set.ts';
import { fieldElement } from './path-element.ts';

/** Takes out of a set what the write does not own. Returns its argument when nothing is taken out. */
export type FieldFilter = (set: FieldSet) => FieldSet;

/** All but these fields and what is under them: `excludeFields('status')`, `excludeFields('metadata.finalizers')`. */
export function excludeFields(...paths: readonly string[]): FieldFilter {
  const excluded = setOf(...paths.map((p) => p.split('.')));
  return (set) => recursiveDifference(set, excluded);
}

/** Stands for any element in a pattern of {@link includeFields}. */
export const ANY = '*';

/** Only what lies at or under paths of these patterns: `includeFields('spec.containers.*.resources')`. */
export function includeFields(...patterns: readonly string[]): FieldFilter {
  const split = patterns.map((p) => p.split('.').map((name) => (name === ANY ? ANY : fieldElement(name))));
  return (set) => (include(set, split) ?? {});
}

/** A path matches as far as it goes: one that ends above a pattern's end is kept, as upstream's matcher does. */
function include(set: FieldSet, patterns: readonly (readonly string[])[]): FieldSet | undefined {
  if (patterns.some((p) => p.length === 0)) return set;
  let children: FieldSetDraft | undefined;
  for (const element in set) {
    if (element === '.') continue;
    const rest = patterns.filter((p) => p[0] === ANY || p[0] === element).map((p) => p.slice(1));
    if (rest.length === 0) continue;
    const node = set[element]!;
    const kept = nodeOf(isMember(node), hasChildren(node) ? (include(node, rest) as FieldSetDraft | undefined) : undefined);
    if (kept) (children ??= {})[element] = kept;
  }
  return children;
}
