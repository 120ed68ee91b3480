/** Which FlowSchema a request belongs to. Source: the Kubernetes page "API Priority and Fairness", "FlowSchema", and the API reference of FlowSchema v1. */
import type * as flowcontrolV1 from '#api/gen/flowcontrol-v1.ts';
import { serviceAccountUserName } from '../authentication/users.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';

const ALL = '*';
/** A closed or open list of names: `['*']` holds everything. */
type Names = ReadonlySet<string> | undefined;
const namesOf = (list: readonly string[] | undefined): Names => (list?.includes(ALL) ? undefined : new Set(list));
const holds = (names: Names, name: string): boolean => names === undefined || names.has(name);

type UserTest = (user: UserInfo) => boolean;
type RequestTest = (info: RequestInfo) => boolean;

function subjectTest(subject: flowcontrolV1.Subject): UserTest {
  switch (subject.kind) {
    case 'User': {
      const name = subject.user?.name;
      return name === ALL ? () => true : (user) => user.name === name;
    }
    case 'Group': {
      const name = subject.group?.name ?? '';
      return name === ALL ? () => true : (user) => user.groups.includes(name);
    }
    case 'ServiceAccount': {
      const { namespace = '', name = '' } = subject.serviceAccount ?? {};
      if (name !== ALL) {
        const wanted = serviceAccountUserName(namespace, name);
        return (user) => user.name === wanted;
      }
      const prefix = serviceAccountUserName(namespace, '');
      return (user) => user.name.startsWith(prefix);
    }
    default:
      return () => false;
  }
}

function resourceTest(rule: flowcontrolV1.ResourcePolicyRule): RequestTest {
  const [verbs, groups, resources, namespaces] = [namesOf(rule.verbs), namesOf(rule.apiGroups), namesOf(rule.resources), namesOf(rule.namespaces)];
  const clusterScope = rule.clusterScope ?? false;
  return (info) =>
    holds(verbs, info.verb) && holds(groups, info.apiGroup)
    && (resources === undefined || resources.has(info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`))
    && (info.namespace === '' ? clusterScope : holds(namespaces, info.namespace));
}
function pathTest(rule: flowcontrolV1.NonResourcePolicyRule): RequestTest {
  const verbs = namesOf(rule.verbs);
  const exact = namesOf(rule.nonResourceURLs);
  const prefixes = rule.nonResourceURLs.filter((url) => url.endsWith('/*')).map((url) => url.slice(0, -1));
  return (info) => holds(verbs, info.verb) && (holds(exact, info.path) || prefixes.some((prefix) => info.path.startsWith(prefix)));
}

/** Whether a request of a user belongs to the schema: one of its rules names both. */
export type FlowMatcher = (info: RequestInfo, user: UserInfo) => boolean;

export function flowMatcher(rules: readonly flowcontrolV1.PolicyRulesWithSubjects[] = []): FlowMatcher {
  const tests = rules.map((rule) => ({
    subjects: rule.subjects.map(subjectTest),
    resources: (rule.resourceRules ?? []).map(resourceTest),
    paths: (rule.nonResourceRules ?? []).map(pathTest),
  }));
  return (info, user) => {
    for (const { subjects, resources, paths } of tests) {
      if (!subjects.some((test) => test(user))) continue;
      if ((info.isResourceRequest ? resources : paths).some((test) => test(info))) return true;
    }
    return false;
  };
}

/** What tells the flows of one schema apart. */
export function flowDistinguisher(method: flowcontrolV1.FlowDistinguisherMethod | undefined, info: RequestInfo, user: UserInfo): string {
  switch (method?.type) {
    case 'ByUser':
      return user.name;
    case 'ByNamespace':
      return info.namespace;
    default:
      return '';
  }
}
/** Lower precedences first, then by name. */
export function byPrecedence(a: flowcontrolV1.FlowSchema, b: flowcontrolV1.FlowSchema): number {
  const [x, y] = [a.spec.matchingPrecedence ?? 0, b.spec.matchingPrecedence ?? 0];
  if (x !== y) return x - y;
  const [n, m] = [a.metadata.name ?? '', b.metadata.name ?? ''];
  return n < m ? -1 : n > m ? 1 : 0;
}
