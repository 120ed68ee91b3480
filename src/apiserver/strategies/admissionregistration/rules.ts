/** Which requests admission webhooks and policies are asked about. */
import type { MatchResources, NamedRuleWithOperations, RuleWithOperations } from '#api/gen/admissionregistration-v1.ts';
import type { Draft } from '#base/draft.ts';
import { duplicate, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isPathSegmentName } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';

export const FAILURE_POLICIES = ['Fail', 'Ignore'];
export const MATCH_POLICIES = ['Equivalent', 'Exact'];
const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
const SCOPES = ['*', 'Cluster', 'Namespaced'];

/** Resources with or without a subresource, `*` in either place; none that another covers. */
function validateResources(resources: readonly string[], path: FieldPath): FieldError[] {
  const errors: FieldError[] = resources.length === 0 ? [required(path)] : [];
  const wholeResources = new Set<string>();
  const wholeSubresources = new Set<string>();
  let lastPlain = false;
  for (const [i, resource] of resources.entries()) {
    const at = path.index(i);
    const slash = resource.indexOf('/');
    if (resource === '') errors.push(required(at));
    else if (slash < 0) lastPlain = resource !== '*';
    else {
      const [name, sub] = [resource.slice(0, slash), resource.slice(slash + 1)];
      if (wholeResources.has(name)) errors.push(invalidValue(at, resource, `if '${name}/*' is present, must not specify ${resource}`));
      if (wholeSubresources.has(sub)) errors.push(invalidValue(at, resource, `if '*/${sub}' is present, must not specify ${resource}`));
      if (sub === '*') wholeResources.add(name);
      if (name === '*') wholeSubresources.add(sub);
    }
  }
  if (resources.length > 1 && resources.includes('*/*')) errors.push(invalidValue(path, resources, "if '*/*' is present, must not specify other resources"));
  if (lastPlain && resources.includes('*')) errors.push(invalidValue(path, resources, "if '*' is present, must not specify other resources without subresources"));
  return errors;
}
function validateAlone(list: readonly string[], what: string, path: FieldPath): FieldError[] {
  if (list.length === 0) return [required(path)];
  return list.length > 1 && list.includes('*') ? [invalidValue(path, list, `if '*' is present, must not specify other ${what}`)] : [];
}
export function validateRule(rule: RuleWithOperations, path: FieldPath): FieldError[] {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  const versions = path.child('apiVersions');
  return [
    ...validateAlone(operations, 'operations', path.child('operations')), ...each(operations, path.child('operations'), (operation, at) => oneOf(operation, OPERATIONS, at)),
    ...validateAlone(apiGroups, 'API groups', path.child('apiGroups')),
    ...validateAlone(apiVersions, 'API versions', versions), ...each(apiVersions, versions, (version, at) => (version === '' ? [required(at)] : [])),
    ...validateResources(resources, path.child('resources')),
    ...(scope === undefined || SCOPES.includes(scope) ? [] : [notSupported(path.child('scope'), scope, SCOPES)]),
  ];
}
function validateNamedRule(rule: NamedRuleWithOperations, path: FieldPath): FieldError[] {
  const names = rule.resourceNames ?? [];
  const checked = each(names, path.child('resourceNames'), (name, at, i) => [...fromMessages(at, name, isPathSegmentName(name)), ...(names.indexOf(name) < i ? [duplicate(at, name)] : [])]);
  return [...checked, ...validateRule(rule, path)];
}
export function validateMatchResources(match: MatchResources | undefined, path: FieldPath): FieldError[] {
  if (!match) return [];
  const policy = path.child('matchPolicy');
  const errors = match.matchPolicy === undefined ? [required(policy)] : oneOf(match.matchPolicy, MATCH_POLICIES, policy);
  for (const field of ['namespaceSelector', 'objectSelector'] as const) {
    errors.push(...(match[field] ? validateLabelSelector(match[field], path.child(field)) : [required(path.child(field))]));
  }
  return [
    ...errors, ...each(match.resourceRules, path.child('resourceRules'), validateNamedRule), ...each(match.excludeResourceRules, path.child('excludeResourceRules'), validateNamedRule),
  ];
}

/** A policy that changes objects has nothing to change in a deletion. */
export function validateMutatedOperations(match: MatchResources | undefined, path: FieldPath): FieldError[] {
  const operations = (match?.resourceRules ?? []).flatMap((rule) => rule.operations ?? []);
  return operations.flatMap((operation) => oneOf(operation, OPERATIONS.filter((known) => known !== 'DELETE'), path.child('resourceRules', 'operations')));
}

export function defaultRules(rules: Draft<RuleWithOperations>[] | undefined): void {
  for (const rule of rules ?? []) rule.scope ??= '*';
}
export function defaultMatchResources(match: Draft<MatchResources> | undefined): void {
  if (!match) return;
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  defaultRules(match.resourceRules);
  defaultRules(match.excludeResourceRules);
}
