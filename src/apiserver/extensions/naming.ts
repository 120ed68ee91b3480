/** Which names a definition gets: within a group each may be taken once. Upstream's counterpart: controller/status. */
import type { CustomResourceDefinition, CustomResourceDefinitionCondition, CustomResourceDefinitionNames } from '#api/gen/apiextensions-v1.ts';
import { goQuote } from '#machinery/go-text.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import { deepEqual } from '#machinery/equality.ts';
import { validateCABundle } from '../strategies/webhook-client.ts';
import { approvalCondition } from './approval.ts';
import { NON_STRUCTURAL, structuralCondition } from './structural-condition.ts';

export type Condition = CustomResourceDefinitionCondition;
export function conditionOf(definition: CustomResourceDefinition, type: string): Condition | undefined {
  return definition.status?.conditions?.find((c) => c.type === type);
}
export const isTrue = (definition: CustomResourceDefinition, type: string): boolean => conditionOf(definition, type)?.status === 'True';
/** The conditions with one set; its time changes with its status only. `now` as RFC 3339. */
export function withCondition(conditions: readonly Condition[], next: Omit<Condition, 'lastTransitionTime'>, now: string): Condition[] {
  const old = conditions.find((c) => c.type === next.type);
  const made: Condition = { ...next, lastTransitionTime: old?.status === next.status ? (old.lastTransitionTime ?? now) : now };
  return old ? conditions.map((c) => (c === old ? made : c)) : [...conditions, made];
}

export interface Naming {
  readonly acceptedNames: CustomResourceDefinitionNames;
  readonly conditions: readonly Omit<Condition, 'lastTransitionTime'>[];
  readonly accepted: boolean;
}
/** `others`: the other definitions of the group. */
export function nameDefinition(definition: CustomResourceDefinition, others: readonly CustomResourceDefinition[]): Naming {
  const names = others.flatMap((o) => (o.status?.acceptedNames?.plural ? [o.status.acceptedNames] : []));
  const resources = new Set(names.flatMap((n) => [n.plural, n.singular ?? '', ...(n.shortNames ?? [])]));
  const kinds = new Set(names.flatMap((n) => [n.kind, n.listKind ?? '']));
  const asked = definition.spec.names;
  const had: Partial<CustomResourceDefinitionNames> = definition.status?.acceptedNames ?? {};
  const accepted: { -readonly [K in keyof CustomResourceDefinitionNames]?: CustomResourceDefinitionNames[K] } = { ...had };
  let conflict: { readonly reason: string; readonly message: string } | undefined;
  const claim = (field: 'plural' | 'singular' | 'kind' | 'listKind', used: ReadonlySet<string>, reason: string): void => {
    const name = asked[field] ?? '';
    if (name !== (had[field] ?? '') && used.has(name)) conflict = { reason, message: `${goQuote(name)} is already in use` };
    else accepted[field] = name;
  };
  claim('plural', resources, 'PluralConflict');
  claim('singular', resources, 'SingularConflict');
  const taken = (asked.shortNames ?? []).filter((name) => !had.shortNames?.includes(name) && resources.has(name)).map((name) => `${goQuote(name)} is already in use`);
  if (taken.length) conflict = { reason: 'ShortNamesConflict', message: taken.length === 1 ? taken[0]! : `[${taken.join(', ')}]` };
  else if (asked.shortNames) accepted.shortNames = asked.shortNames;
  else delete accepted.shortNames;
  claim('kind', kinds, 'KindConflict');
  claim('listKind', kinds, 'ListKindConflict');
  if (asked.categories) accepted.categories = asked.categories;
  else delete accepted.categories;
  const named = { type: 'NamesAccepted', ...(conflict ? { status: 'False', ...conflict } : { status: 'True', reason: 'NoConflicts', message: 'no conflicts found' }) };
  const unusable = validateCABundle(definition.spec.conversion?.webhook?.clientConfig?.caBundle, fieldPath()).length > 0;
  const established = conflict
    ? { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }
    : unusable
    ? { type: 'Established', status: 'False', reason: 'InvalidCABundle', message: 'The conversion webhook CABundle is invalid' }
    : { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' };
  const keeps = isTrue(definition, 'Established');
  const more = [structuralCondition(definition), approvalCondition(definition)].filter((c) => c !== undefined);
  return { acceptedNames: { plural: '', kind: '', ...accepted }, conditions: [named, ...(keeps ? [] : [established]), ...more], accepted: keeps || (!conflict && !unusable) };
}
/** Whether the status says so already. */
export function isNamed(definition: CustomResourceDefinition, naming: Naming): boolean {
  const same = (next: Omit<Condition, 'lastTransitionTime'>): boolean => {
    const old = conditionOf(definition, next.type);
    return old?.status === next.status && old.reason === next.reason && old.message === next.message;
  };
  return deepEqual(definition.status?.acceptedNames, naming.acceptedNames) && naming.conditions.every(same) && !obsoleteConditions(definition, naming).length;
}
/** Conditions of the status that are not true any more, and are not turned but taken away. */
export function obsoleteConditions(definition: CustomResourceDefinition, naming: Naming): readonly string[] {
  return conditionOf(definition, NON_STRUCTURAL) && !naming.conditions.some((c) => c.type === NON_STRUCTURAL) ? [NON_STRUCTURAL] : [];
}
