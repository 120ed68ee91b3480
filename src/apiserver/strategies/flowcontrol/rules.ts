/** `spec.rules` of a FlowSchema: whose requests, and which of them. */
import type { NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject } from '#api/gen/flowcontrol-v1.ts';
import { duplicate, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';
import { each, fromMessages } from '../field-checks.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch'];
/** Kind of subject to the field that holds it. */
const SUBJECTS = { ServiceAccount: 'serviceAccount', User: 'user', Group: 'group' } as const;
type SubjectKind = keyof typeof SUBJECTS;
/** The order in which upstream looks at fields that do not belong. */
const FOREIGN: Readonly<Record<SubjectKind, readonly SubjectKind[]>> = { ServiceAccount: ['User', 'Group'], User: ['ServiceAccount', 'Group'], Group: ['ServiceAccount', 'User'] };

function validateServiceAccount({ name, namespace }: NonNullable<Subject['serviceAccount']>, path: FieldPath): FieldError[] {
  const at = path.child('name');
  const errors = name ? (name === '*' ? [] : fromMessages(at, name, isDNS1123Subdomain(name))) : [required(at)];
  const where = path.child('namespace');
  return [...errors, ...(namespace ? fromMessages(where, namespace, isDNS1123Label(namespace)) : [required(where, 'must specify namespace for service account')])];
}
function validateSubject(subject: Subject, path: FieldPath): FieldError[] {
  if (!Object.hasOwn(SUBJECTS, subject.kind ?? '')) return [notSupported(path.child('kind'), subject.kind ?? '', ['Group', 'ServiceAccount', 'User'])];
  const kind = subject.kind as SubjectKind;
  const field = SUBJECTS[kind];
  const at = path.child(field);
  const errors: FieldError[] = [];
  if (!subject[field]) errors.push(required(at, `${field} is required when subject kind is '${kind}'`));
  else if (kind === 'ServiceAccount') errors.push(...validateServiceAccount(subject.serviceAccount!, at));
  else if (!subject[field].name) errors.push(required(at.child('name')));
  for (const other of FOREIGN[kind]) {
    const foreign = SUBJECTS[other];
    if (subject[foreign]) errors.push(forbiddenField(path.child(foreign), `${foreign} is forbidden when subject kind is not '${other}'`));
  }
  return errors;
}

function validateVerbs(verbs: readonly string[], path: FieldPath): FieldError[] {
  if (verbs.length === 0) return [required(path, 'verbs must contain at least one value')];
  if (verbs.includes('*')) return verbs.length > 1 ? [invalidValue(path, verbs, "if '*' is present, must not specify other verbs")] : [];
  return verbs.every((verb) => VERBS.includes(verb)) ? [] : [notSupported(path, verbs, VERBS)];
}
function validateList(list: readonly string[], path: FieldPath, missing: string, others: string): FieldError[] {
  if (list.length === 0) return [required(path, missing)];
  return list.length > 1 && list.includes('*') ? [invalidValue(path, list, `if '*' is present, must not specify other ${others}`)] : [];
}
function validateNamespaces({ namespaces = [], clusterScope }: ResourcePolicyRule, path: FieldPath): FieldError[] {
  if (namespaces.length === 0 && !clusterScope) return [required(path, 'resource rules that are not cluster scoped must supply at least one namespace')];
  if (namespaces.includes('*')) return namespaces.length > 1 ? [invalidValue(path, namespaces, "if '*' is present, must not specify other namespaces")] : [];
  const prefix = "each member of this list must be '*' or a DNS-1123 label; ";
  return each(namespaces, path, (name, at) => isDNS1123Label(name).map((message) => invalidValue(at, name, prefix + message)));
}
function validateResourceRule(rule: ResourcePolicyRule, path: FieldPath): FieldError[] {
  return [
    ...validateVerbs(rule.verbs ?? [], path.child('verbs')),
    ...validateList(rule.apiGroups ?? [], path.child('apiGroups'), 'resource rules must supply at least one api group', 'api groups'),
    ...validateList(rule.resources ?? [], path.child('resources'), 'resource rules must supply at least one resource', 'resources'),
    ...validateNamespaces(rule, path.child('namespaces')),
  ];
}
function urlProblem(url: string): string | undefined {
  if (url === '') return 'must not be empty';
  if (url === '/') return undefined;
  if (!url.startsWith('/')) return 'must start with slash';
  if (url.includes(' ')) return 'must not contain white-space';
  if (url.includes('//')) return 'must not contain double slash';
  const wildcards = url.split('*').length - 1;
  return wildcards > 1 || (wildcards === 1 && !url.endsWith('/*')) ? 'wildcard can only do suffix matching' : undefined;
}
function validateNonResourceRule({ verbs = [], nonResourceURLs: urls = [] }: NonResourcePolicyRule, path: FieldPath): FieldError[] {
  const at = path.child('nonResourceURLs');
  const errors = [...validateVerbs(verbs, path.child('verbs')), ...validateList(urls, at, 'nonResourceURLs must contain at least one value', 'non-resource URLs')];
  if (urls.includes('*')) return errors;
  return [
    ...errors,
    ...each(urls, at, (url, urlPath) => {
      const problem = urlProblem(url);
      return problem === undefined ? [] : [invalidValue(urlPath, url, problem)];
    }),
  ];
}
export function validateRules(rule: PolicyRulesWithSubjects, path: FieldPath): FieldError[] {
  const { subjects = [], resourceRules = [], nonResourceRules = [] } = rule;
  const at = path.child('subjects');
  const errors = subjects.length === 0 ? [required(at, 'subjects must contain at least one value')] : each(subjects, at, validateSubject);
  if (resourceRules.length + nonResourceRules.length === 0) errors.push(required(path, 'at least one of resourceRules and nonResourceRules has to be non-empty'));
  return [...errors, ...each(resourceRules, path.child('resourceRules'), validateResourceRule), ...each(nonResourceRules, path.child('nonResourceRules'), validateNonResourceRule)];
}

interface TypedCondition {
  readonly type?: string | undefined;
}
/** Conditions of both kinds of the group. */
export function validateFlowConditions(conditions: readonly TypedCondition[] | undefined, path: FieldPath): FieldError[] {
  return each(conditions, path, ({ type = '' }, at, i) => [
    ...(conditions!.findIndex((other) => (other.type ?? '') === type) < i ? [duplicate(at.child('type'), type)] : []),
    ...(type === '' ? [required(at.child('type'), 'must not be empty')] : []),
  ]);
}
