/** Which requests a webhook or policy is about: rules, and the selectors of namespaces and objects. */
import type * as admissionregistrationV1 from '#api/gen/admissionregistration-v1.ts';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { labelMatcherOf, type LabelMatcher } from '#machinery/selectors.ts';
import { notFound } from '#machinery/status-error.ts';
import type { AdmissionAttributes, ObjectReader } from '../interfaces.ts';

const NAMESPACES = resourceOf('', 'v1', 'namespaces');
const CONFIGURATION_KINDS: ReadonlySet<string> = new Set([
  'ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding', 'MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding',
]);
type Rule = admissionregistrationV1.RuleWithOperations;

/** Nobody may lock the way to the configurations that would have to be repaired. */
export function isExempt(a: AdmissionAttributes): boolean {
  return a.kind.group === 'admissionregistration.k8s.io' && CONFIGURATION_KINDS.has(a.kind.kind);
}
const listed = (items: readonly string[] | undefined, item: string): boolean => items !== undefined && (items.includes('*') || items.includes(item));
function isNamespaceRequest(a: AdmissionAttributes): boolean {
  return a.resource.group === '' && a.resource.plural === 'namespaces';
}
function scopeMatches(scope: Rule['scope'], a: AdmissionAttributes): boolean {
  if (scope === undefined || scope === '*') return true;
  const namespaced = !isNamespaceRequest(a) && a.namespace !== '';
  return (scope === 'Namespaced') === namespaced;
}
export function ruleMatches(rule: Rule, a: AdmissionAttributes): boolean {
  const resource = (rule.resources ?? []).some((text) => {
    const slash = text.indexOf('/');
    const [plural, sub] = slash < 0 ? [text, ''] : [text.slice(0, slash), text.slice(slash + 1)];
    return (plural === '*' || plural === a.resource.plural) && (sub === '*' || sub === a.subresource);
  });
  return resource && scopeMatches(rule.scope, a) && listed(rule.operations, a.operation) && listed(rule.apiGroups, a.resource.group) && listed(rule.apiVersions, a.resource.version);
}

const matchers = new WeakMap<LabelSelector, LabelMatcher>();
function matcherOf(selector: LabelSelector): LabelMatcher {
  return matchers.getOrInsertComputed(selector, labelMatcherOf);
}
function isEmpty(selector: LabelSelector | undefined): boolean {
  return !selector || (Object.keys(selector.matchLabels ?? {}).length === 0 && !selector.matchExpressions?.length);
}
/** The namespace object of a request; undefined for cluster-scoped ones. Throws NotFound. */
export function namespaceOfRequest(a: AdmissionAttributes, reader: ObjectReader): coreV1.Namespace | undefined {
  if (a.namespace === '') return undefined;
  if (isNamespaceRequest(a) && a.subresource === '' && (a.operation === 'CREATE' || a.operation === 'UPDATE')) return a.object as coreV1.Namespace;
  const found = reader.get<coreV1.Namespace>(NAMESPACES, '', a.namespace);
  if (!found && !(isNamespaceRequest(a) && a.oldObject)) throw notFound({ group: '', resource: 'namespaces' }, a.namespace);
  return found ?? (a.oldObject as coreV1.Namespace);
}
export function namespaceSelectorMatches(selector: LabelSelector | undefined, a: AdmissionAttributes, reader: ObjectReader): boolean {
  if (a.namespace === '' || isEmpty(selector)) return true;
  return matcherOf(selector!).matches(namespaceOfRequest(a, reader)?.metadata.labels);
}
/** Either the new or the old object's labels count. Objects without metadata, such as exec's options, match the empty selector only. */
export function objectSelectorMatches(selector: LabelSelector | undefined, a: AdmissionAttributes): boolean {
  if (isEmpty(selector)) return true;
  const matches = (object: KubeObject | undefined): boolean => (object as Partial<KubeObject> | undefined)?.metadata !== undefined && matcherOf(selector!).matches(object!.metadata.labels);
  return matches(a.object) || matches(a.oldObject);
}
