/** What validating and mutating admission policies have in common: parameters, variables, constraints. */
import type { MatchResources, ParamKind, ParamRef, Variable } from '#api/gen/admissionregistration-v1.ts';
import { forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1035Label, isDNS1123Subdomain, isPathSegmentName } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { labelSelectorText } from '#machinery/selectors.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';
import { validateExpression, type ExpressionPlace } from './expressions.ts';
import { FAILURE_POLICIES, validateMatchResources } from './rules.ts';

const IDENTIFIER = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
const RESERVED = new Set([
  'true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while',
]);

export function validateFailurePolicy(policy: string | undefined, path: FieldPath): FieldError[] {
  return policy === undefined ? [required(path)] : oneOf(policy, FAILURE_POLICIES, path);
}
function validateAPIVersion(text: string, path: FieldPath): FieldError[] {
  const parts = text.split('/');
  if (parts.length > 2) return [invalidValue(path, text, `unexpected GroupVersion string: ${text}`)];
  const [group, version] = text === '/' ? ['', ''] : parts.length === 2 ? parts : ['', text];
  const problems = group ? isDNS1123Subdomain(group) : [];
  const errors = problems.length > 0 ? [invalidValue(path, group, problems.join(','))] : [];
  if (!version) return [...errors, invalidValue(path, text, 'version must be specified')];
  const versionProblems = isDNS1035Label(version);
  return versionProblems.length > 0 ? [...errors, invalidValue(path, version, versionProblems.join(','))] : errors;
}
export function validateParamKind(param: ParamKind | undefined, path: FieldPath): FieldError[] {
  if (!param) return [];
  const errors = param.apiVersion ? validateAPIVersion(param.apiVersion, path.child('apiVersion')) : [required(path.child('apiVersion'))];
  if (!param.kind) return [...errors, required(path.child('kind'))];
  const problems = isDNS1035Label(param.kind.toLowerCase());
  return problems.length > 0 ? [...errors, invalidValue(path.child('kind'), param.kind, `may have mixed case, but should otherwise match: ${problems.join(',')}`)] : errors;
}
export function validateVariables(variables: readonly Variable[] | undefined, place: ExpressionPlace, path: FieldPath): FieldError[] {
  return each(variables, path, ({ name = '', expression = '' }, at, i) => {
    const errors: FieldError[] = [];
    if (name.trim() === '') errors.push(required(at.child('name'), 'name is not specified'));
    else if (!IDENTIFIER.test(name) || RESERVED.has(name)) errors.push(invalidValue(at.child('name'), name, 'must be a valid CEL identifier'));
    const where = at.child('expression');
    return [...errors, ...(expression.trim() === '' ? [required(where, 'expression is not specified')] : validateExpression(expression, 'any', { ...place, visible: i }, where))];
  });
}
/** Which requests a policy is about: it must name resources, for their types. */
export function validateConstraints(constraints: MatchResources | undefined, path: FieldPath): FieldError[] {
  if (!constraints) return [required(path)];
  return [...validateMatchResources(constraints, path), ...(constraints.resourceRules?.length ? [] : [required(path.child('resourceRules'))])];
}

export function validatePolicyName(name: string | undefined, path: FieldPath): FieldError[] {
  return name ? fromMessages(path, name, isDNS1123Subdomain(name)) : [required(path)];
}
export function validateParamRef(ref: ParamRef | undefined, path: FieldPath): FieldError[] {
  if (!ref) return [];
  const { name, selector, parameterNotFoundAction: action } = ref;
  const clash = (field: string) => (name && selector ? [forbiddenField(path.child(field), 'name and selector are mutually exclusive')] : []);
  const at = path.child('parameterNotFoundAction');
  return [
    ...(name ? fromMessages(path.child('name'), name, isPathSegmentName(name)) : []), ...clash('name'),
    ...validateLabelSelector(selector, path.child('selector')), ...clash('selector'),
    ...(name || selector ? [] : [required(path, 'one of name or selector must be specified')]),
    ...(action ? (action === 'Deny' || action === 'Allow' ? [] : [notSupported(at, action, ['Deny', 'Allow'], 'listed')]) : [required(at)]),
  ];
}
export function paramKindText(param: ParamKind | undefined): string {
  return param ? `${param.apiVersion ?? ''}/${param.kind ?? ''}` : '<unset>';
}
export function paramRefText(ref: ParamRef | undefined): string {
  if (ref?.name) return `${ref.namespace || '*'}/${ref.name}`;
  return ref?.selector ? labelSelectorText(ref.selector) : '<unset>';
}
