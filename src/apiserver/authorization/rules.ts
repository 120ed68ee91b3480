/**
 * The meaning of a `PolicyRule`: what it allows, and when one set of rules holds all that another grants.
 * Source: the Kubernetes page "Using RBAC Authorization".
 */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import type { AuthorizationAttributes } from '../interfaces.ts';

type Rule = rbacV1.PolicyRule;
const ALL = '*';

function hasOrAll(list: readonly string[] | undefined, item: string): boolean {
  return list !== undefined && (list.includes(ALL) || list.includes(item));
}
function resourceMatches(rule: Rule, resource: string, subresource: string): boolean {
  const combined = subresource === '' ? resource : `${resource}/${subresource}`;
  return (rule.resources ?? []).some((r) => r === ALL || r === combined || (subresource !== '' && r === `*/${subresource}`));
}
function pathMatches(patterns: readonly string[] | undefined, path: string): boolean {
  return (patterns ?? []).some((p) => p === ALL || p === path || (p.endsWith(ALL) && path.startsWith(p.replace(/\*+$/, ''))));
}
/** Whether one rule allows the request. */
export function ruleAllows(rule: Rule, a: AuthorizationAttributes): boolean {
  if (!hasOrAll(rule.verbs, a.verb)) return false;
  if (!a.isResourceRequest) return pathMatches(rule.nonResourceURLs, a.path);
  return hasOrAll(rule.apiGroups, a.apiGroup) && resourceMatches(rule, a.resource, a.subresource) && (!rule.resourceNames?.length || rule.resourceNames.includes(a.name));
}
export function rulesAllow(rules: readonly Rule[], a: AuthorizationAttributes): boolean {
  return rules.some((rule) => ruleAllows(rule, a));
}

/** Rules with one verb and one resource or path each, which together mean the same. */
function breakDown(rule: Rule): Rule[] {
  const out: Rule[] = [];
  for (const verb of rule.verbs) {
    for (const apiGroup of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        const one = { apiGroups: [apiGroup], resources: [resource], verbs: [verb] };
        if (!rule.resourceNames?.length) out.push(one);
        else for (const name of rule.resourceNames) out.push({ ...one, resourceNames: [name] });
      }
    }
    for (const url of rule.nonResourceURLs ?? []) out.push({ nonResourceURLs: [url], verbs: [verb] });
  }
  return out;
}
function pathsCover(owned: readonly string[] | undefined, wanted: string): boolean {
  return (owned ?? []).some((p) => p === ALL || p === wanted || (p.endsWith(ALL) && wanted.startsWith(p.replace(/\*+$/, ''))));
}
function resourceCovers(owned: readonly string[] | undefined, wanted: string): boolean {
  if (hasOrAll(owned, wanted)) return true;
  const slash = wanted.indexOf('/');
  return slash >= 0 && (owned?.includes(`*/${wanted.slice(slash + 1)}`) ?? false);
}
/** Whether `owner` grants what the broken-down rule `wanted` grants. */
function ruleCovers(owner: Rule, wanted: Rule): boolean {
  if (!wanted.verbs.every((v) => hasOrAll(owner.verbs, v))) return false;
  if (wanted.nonResourceURLs) return wanted.nonResourceURLs.every((u) => pathsCover(owner.nonResourceURLs, u));
  const namesCovered = !owner.resourceNames?.length || (wanted.resourceNames !== undefined && wanted.resourceNames.every((n) => owner.resourceNames!.includes(n)));
  return namesCovered && wanted.apiGroups!.every((g) => hasOrAll(owner.apiGroups, g)) && wanted.resources!.every((r) => resourceCovers(owner.resources, r));
}
/** What `wanted` grants beyond `owned`, one verb and one resource a rule. Empty: nothing. */
export function uncovered(owned: readonly Rule[], wanted: readonly Rule[]): Rule[] {
  return wanted.flatMap(breakDown).filter((one) => !owned.some((owner) => ruleCovers(owner, one)));
}

/** Joins the verbs of rules about the same single resource, as people like to read them. */
export function compactRules(rules: readonly Rule[]): Rule[] {
  const out: Rule[] = [];
  const simple = new Map<string, { readonly at: number; readonly verbs: string[] }>();
  for (const rule of rules) {
    if (rule.apiGroups?.length !== 1 || rule.resources?.length !== 1 || rule.nonResourceURLs?.length || (rule.resourceNames?.length ?? 0) > 1) {
      out.push(rule);
      continue;
    }
    const key = JSON.stringify([rule.apiGroups[0], rule.resources[0], rule.resourceNames?.[0] ?? null]);
    const known = simple.get(key);
    if (!known) {
      const verbs = [...rule.verbs];
      simple.set(key, { at: out.length, verbs });
      out.push({ ...rule, verbs });
    } else {
      known.verbs.push(...rule.verbs);
    }
  }
  return out;
}
/** A list of strings as Go's `%q` prints it. */
export function goList(items: readonly string[]): string {
  return `[${items.map((i) => JSON.stringify(i)).join(' ')}]`;
}
/** `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}` */
export function ruleText(rule: Rule): string {
  const parts: [string, readonly string[] | undefined][] = [
    ['APIGroups', rule.apiGroups], ['Resources', rule.resources], ['NonResourceURLs', rule.nonResourceURLs], ['ResourceNames', rule.resourceNames], ['Verbs', rule.verbs],
  ];
  return `{${parts.filter(([, list]) => list?.length).map(([name, list]) => `${name}:${goList(list!)}`).join(', ')}}`;
}
