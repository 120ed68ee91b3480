/**
 * The audit policy: which requests are written down, and how much of them. Source: the Kubernetes page "Auditing" and the API reference of
 * `audit.k8s.io/v1`; messages are upstream's.
 */
import { fieldPath, invalidValue, notSupported, required, toAggregate, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { parseYaml } from '#machinery/yaml.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse';
export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic';
const LEVELS: readonly AuditLevel[] = ['None', 'Metadata', 'Request', 'RequestResponse'];
const STAGES: readonly AuditStage[] = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'];

/** What becomes of a request. */
export interface AuditDecision {
  readonly level: AuditLevel;
  readonly omitStages: ReadonlySet<string>;
  readonly omitManagedFields: boolean;
}
export interface GroupResources {
  readonly group: string;
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
}
export interface AuditRule {
  readonly decision: AuditDecision;
  readonly users: readonly string[];
  readonly userGroups: readonly string[];
  readonly verbs: readonly string[];
  readonly namespaces: readonly string[];
  readonly resources: readonly GroupResources[];
  readonly nonResourceURLs: readonly string[];
}
export type AuditPolicy = readonly AuditRule[];

/** The file cannot be used; the message says why. */
export class AuditPolicyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AuditPolicyError';
  }
}

/* ---------------------------------------------------------------- the file */

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const RULE_FIELDS = ['level', 'users', 'userGroups', 'verbs', 'resources', 'namespaces', 'nonResourceURLs', 'omitStages', 'omitManagedFields'];

/** Throws {@link AuditPolicyError}. */
export function parseAuditPolicy(text: string): AuditPolicy {
  let file: unknown;
  try {
    file = parseYaml(text, { strict: true });
  } catch (err) {
    throw new AuditPolicyError(`failed decoding: ${(err as Error).message}`);
  }
  if (!isObject(file) || file['apiVersion'] !== 'audit.k8s.io/v1' || file['kind'] !== 'Policy') throw new AuditPolicyError('unknown group version field: want apiVersion "audit.k8s.io/v1", kind "Policy"');
  const reader = new Reader();
  reader.known(file, ['apiVersion', 'kind', 'metadata', 'rules', 'omitStages', 'omitManagedFields'], undefined);
  const omitStages = reader.stages(file, undefined);
  const omitManagedFields = reader.flag(file, 'omitManagedFields', undefined) ?? false;
  const rules = Array.isArray(file['rules']) ? file['rules'] : [];
  if (rules.length === 0) throw new AuditPolicyError('loaded illegal policy with 0 rules');
  const made = rules.map((rule, i) => reader.rule(isObject(rule) ? rule : {}, fieldPath('rules').index(i), omitStages, omitManagedFields));
  if (reader.errors.length > 0) throw new AuditPolicyError(toAggregate(reader.errors));
  return made;
}

/** Reads fields and keeps what is wrong with them. */
class Reader {
  readonly errors: FieldError[] = [];
  known(value: Json, names: readonly string[], path: FieldPath | undefined): void {
    for (const name of Object.keys(value)) if (!names.includes(name)) this.errors.push(invalidValue(path?.child(name) ?? fieldPath(name), '', `unknown field "${name}"`));
  }
  strings(value: Json, name: string, path: FieldPath | undefined): readonly string[] {
    const list = value[name] ?? [];
    if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
    this.errors.push(invalidValue(path?.child(name) ?? fieldPath(name), list, 'must be a list of strings'));
    return [];
  }
  flag(value: Json, name: string, path: FieldPath | undefined): boolean | undefined {
    const flag = value[name] ?? undefined;
    if (flag === undefined || typeof flag === 'boolean') return flag;
    this.errors.push(invalidValue(path?.child(name) ?? fieldPath(name), flag, 'must be true or false'));
    return undefined;
  }
  stages(value: Json, path: FieldPath | undefined): readonly string[] {
    const stages = this.strings(value, 'omitStages', path);
    const at = path?.child('omitStages') ?? fieldPath('omitStages');
    stages.forEach((stage, i) => {
      if (!(STAGES as readonly string[]).includes(stage)) this.errors.push(invalidValue(at.index(i), stage, `allowed stages are ${STAGES.join(',')}`));
    });
    return stages;
  }
  rule(rule: Json, path: FieldPath, omitStages: readonly string[], omitManagedFields: boolean): AuditRule {
    this.known(rule, RULE_FIELDS, path);
    const level = rule['level'] ?? '';
    if (level === '') this.errors.push(required(path.child('level')));
    else if (!(LEVELS as readonly unknown[]).includes(level)) this.errors.push(notSupported(path.child('level'), level, LEVELS));
    const namespaces = this.strings(rule, 'namespaces', path);
    const resources = this.#resources(rule, path.child('resources'));
    const nonResourceURLs = this.strings(rule, 'nonResourceURLs', path);
    this.#urls(nonResourceURLs, path.child('nonResourceURLs'));
    if (nonResourceURLs.length > 0 && (resources.length > 0 || namespaces.length > 0)) {
      this.errors.push(invalidValue(path.child('nonResourceURLs'), nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'));
    }
    return {
      decision: { level: level as AuditLevel, omitStages: new Set([...omitStages, ...this.stages(rule, path)]), omitManagedFields: this.flag(rule, 'omitManagedFields', path) ?? omitManagedFields },
      users: this.strings(rule, 'users', path), userGroups: this.strings(rule, 'userGroups', path), verbs: this.strings(rule, 'verbs', path),
      namespaces, resources, nonResourceURLs,
    };
  }
  #urls(urls: readonly string[], path: FieldPath): void {
    urls.forEach((url, i) => {
      if (url === '*') return;
      if (!url.startsWith('/')) this.errors.push(invalidValue(path.index(i), url, "non-resource URL rules must begin with a '/' character"));
      if (url.slice(0, -1).includes('*')) this.errors.push(invalidValue(path.index(i), url, "non-resource URL wildcards '*' must be the final character of the rule"));
    });
  }
  #resources(rule: Json, path: FieldPath): GroupResources[] {
    const list = rule['resources'] ?? [];
    if (!Array.isArray(list)) {
      this.errors.push(invalidValue(path, list, 'must be a list'));
      return [];
    }
    return list.map((item: unknown, i) => {
      const entry = isObject(item) ? item : {};
      const at = path.index(i);
      this.known(entry, ['group', 'resources', 'resourceNames'], at);
      const group = String(entry['group'] ?? '');
      if (group !== '') for (const message of isDNS1123Subdomain(group)) this.errors.push(invalidValue(at.child('group'), group, message));
      const resources = this.strings(entry, 'resources', at);
      const resourceNames = this.strings(entry, 'resourceNames', at);
      if (resourceNames.length > 0 && resources.length === 0) this.errors.push(invalidValue(at.child('resourceNames'), resourceNames, 'using resourceNames requires at least one resource'));
      return { group, resources, resourceNames };
    });
  }
}

/* ---------------------------------------------------------------- requests */

const NOTHING: AuditDecision = { level: 'None', omitStages: new Set(), omitManagedFields: false };
/** The first rule that matches decides. `user` undefined: nobody was authenticated. */
export function decide(policy: AuditPolicy, info: RequestInfo, user: UserInfo | undefined): AuditDecision {
  return policy.find((rule) => matches(rule, info, user))?.decision ?? NOTHING;
}

function matches(rule: AuditRule, info: RequestInfo, user: UserInfo | undefined): boolean {
  if (rule.users.length > 0 && !(user && rule.users.includes(user.name))) return false;
  if (rule.userGroups.length > 0 && !user?.groups.some((group) => rule.userGroups.includes(group))) return false;
  if (rule.verbs.length > 0 && !rule.verbs.includes(info.verb)) return false;
  if (rule.namespaces.length > 0 || rule.resources.length > 0) return matchesResource(rule, info);
  if (rule.nonResourceURLs.length > 0) return !info.isResourceRequest && rule.nonResourceURLs.some((url) => matchesUrl(url, info.path));
  return true;
}
function matchesUrl(url: string, path: string): boolean {
  return url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1)));
}
function matchesResource({ namespaces, resources }: AuditRule, info: RequestInfo): boolean {
  if (!info.isResourceRequest) return false;
  if (namespaces.length > 0 && !namespaces.includes(info.namespace)) return false;
  if (resources.length === 0) return true;
  const combined = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`;
  return resources.some((entry) => {
    if (entry.group !== info.apiGroup) return false;
    if (entry.resources.length === 0) return true;
    if (entry.resourceNames.length > 0 && !entry.resourceNames.includes(info.name)) return false;
    return entry.resources.some((r) => r === combined || r === '*' || (info.subresource !== '' && r === `*/${info.subresource}`) || r === `${info.resource}/*`);
  });
}
