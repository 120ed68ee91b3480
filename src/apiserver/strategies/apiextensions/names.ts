/** Names of a CustomResourceDefinition: those that it asks for and those that it got. */
import type { CustomResourceDefinitionNames } from '#api/gen/apiextensions-v1.ts';
import { invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1035Label } from '#machinery/names.ts';
import { each } from '../field-checks.ts';

function validateLabel(label: string, path: FieldPath): FieldError[] {
  const problems = isDNS1035Label(label);
  return problems.length > 0 ? [invalidValue(path, label, problems.join(','))] : [];
}
function validateKind(kind: string, path: FieldPath): FieldError[] {
  const problems = isDNS1035Label(kind.toLowerCase());
  return problems.length > 0 ? [invalidValue(path, kind, `may have mixed case, but should otherwise match: ${problems.join(',')}`)] : [];
}
export function validateNames(names: Partial<CustomResourceDefinitionNames> | undefined, path: FieldPath): FieldError[] {
  const { plural, singular, kind, listKind, shortNames, categories } = names ?? {};
  return [
    ...(plural ? validateLabel(plural, path.child('plural')) : []), ...(singular ? validateLabel(singular, path.child('singular')) : []),
    ...(kind ? validateKind(kind, path.child('kind')) : []), ...(listKind ? validateKind(listKind, path.child('listKind')) : []),
    ...each(shortNames, path.child('shortNames'), validateLabel),
    ...(kind && kind === listKind ? [invalidValue(path.child('listKind'), listKind, 'kind and listKind may not be the same')] : []),
    ...each(categories, path.child('categories'), validateLabel),
  ];
}
