import type { Node, NodeConfigSource, Taint } from '#api/gen/core-v1.ts';
import { duplicate, fieldPath, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isConfigMapKey, isDNS1123Label, isDNS1123Subdomain, isQualifiedName, isValidLabelValue } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fromMessages, requiredOneOf } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, NONE, text, UNKNOWN, wide } from '../printing.ts';
import { cidrErrors, familyOf } from '../ip-checks.ts';
import { validateResourceQuantity } from './resource-names.ts';
import { roundUpToMilli } from './resource-lists.ts';
import type { Draft } from '#base/draft.ts';
import { warningsForCIDR } from '#machinery/ip.ts';
import { dropDisabled } from '../disabled-fields.ts';
import { structByFactsName } from '#api/schema.ts';
import { internalForm } from '../internal-form.ts';

export const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
const SPEC = fieldPath('spec');
const MAX_FEATURE_NAME = 253;

function validateTaints(taints: readonly Taint[] | undefined): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, taint] of (taints ?? []).entries()) {
    // Upstream files taints under metadata.
    const path = fieldPath('metadata', 'taints').index(i);
    const value = taint.value ?? '';
    errors.push(...fromMessages(path.child('key'), taint.key ?? '', isQualifiedName(taint.key ?? '')));
    const bad = isValidLabelValue(value);
    if (bad.length > 0) errors.push(invalidValue(path.child('value'), value, bad.join(';')));
    errors.push(...requiredOneOf(taint.effect, TAINT_EFFECTS, path.child('effect'), 'listed'));
    const id = `${taint.effect} ${taint.key}`;
    if (seen.has(id)) {
      const repeated = duplicate(path, internalForm(structByFactsName('api/core/v1.Taint'), taint));
      errors.push({ ...repeated, body: `${repeated.body}: taints must be unique by key and effect pair` });
    }
    seen.add(id);
  }
  return errors;
}

function validateQuantities(node: Node): FieldError[] {
  return (['capacity', 'allocatable'] as const).flatMap((list) =>
    Object.entries(node.status?.[list] ?? {}).flatMap(([name, value]) => validateResourceQuantity(name, value, fieldPath('status', list, name))),
  );
}

function validatePodCIDRs(cidrs: readonly string[]): FieldError[] {
  const path = SPEC.child('podCIDRs');
  const errors = cidrs.flatMap((cidr, i) => cidrErrors(cidr, path.index(i)));
  if (cidrs.length < 2) return errors;
  const dual = new Set(cidrs.map((cidr) => familyOf(cidr.split('/', 1)[0]!))).size === 2;
  if (!dual || cidrs.length > 2) errors.push(invalidValue(path, cidrs, 'may specify no more than one CIDR for each IP family'));
  return errors;
}

const FEATURE_NAME = /^[A-Z][A-Za-z0-9]*(\/[A-Za-z][A-Za-z0-9]*)*$/;
const FEATURE_RULE = "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
/** What a kubelet says that it can do: names in order, each once. */
function validateFeatures(features: readonly string[] = []): FieldError[] {
  const path = fieldPath('status', 'declaredFeatures');
  return features.flatMap((feature, i) => {
    const problem = feature.length > MAX_FEATURE_NAME ? `must be no more than ${MAX_FEATURE_NAME} characters` : FEATURE_NAME.test(feature) ? undefined : FEATURE_RULE;
    const next = features[i + 1];
    return [
      ...(problem === undefined ? [] : [invalidValue(path.index(i), feature, `invalid feature name ${JSON.stringify(feature)}: ${problem}`)]),
      ...(next === feature ? [duplicate(path.index(i + 1), next)] : []),
      ...(next !== undefined && feature > next ? [invalidValue(path.index(i + 1), next, 'list must be sorted alphabetically')] : []),
    ];
  });
}

/** Dynamic kubelet configuration is gone; its shape is still checked where a client sends it. */
function validateConfigSource(source: NodeConfigSource, path: FieldPath): FieldError[] {
  const map = source.configMap;
  if (!map) return [invalidValue(path, source, 'exactly one reference subfield must be non-nil')];
  const at = path.child('configMap');
  const errors: FieldError[] = [];
  if (map.uid) errors.push(forbiddenField(at.child('uid'), 'uid must not be set in spec'));
  if (map.resourceVersion) errors.push(forbiddenField(at.child('resourceVersion'), 'resourceVersion must not be set in spec'));
  const checks = [['namespace', isDNS1123Label], ['name', isDNS1123Subdomain], ['kubeletConfigKey', isConfigMapKey]] as const;
  for (const [key, check] of checks) {
    const value = map[key] ?? '';
    errors.push(...(value === '' ? [required(at.child(key), `${key} must be set`)] : fromMessages(at.child(key), value, check(value))));
  }
  return errors;
}

function validate(node: Node): FieldError[] {
  return [...validateTaints(node.spec?.taints), ...validateQuantities(node), ...validateFeatures(node.status?.declaredFeatures), ...validatePodCIDRs(node.spec?.podCIDRs ?? [])];
}

const CIDR_FIXED = 'node updates may not change podCIDR except from "" to valid';
function validateUpdate(node: Node, old: Node): FieldError[] {
  const errors = [...validateQuantities(node), ...validateFeatures(node.status?.declaredFeatures)];
  const addresses = node.status?.addresses ?? [];
  for (const [i, address] of addresses.entries()) {
    if (addresses.slice(0, i).some((a) => semanticEqual(a, address))) errors.push(duplicate(fieldPath('status', 'addresses').index(i), address));
  }
  const before = old.spec?.podCIDRs ?? [];
  const after = node.spec?.podCIDRs ?? [];
  if (before.length > 0) {
    const changes = before.length === after.length ? before.filter((cidr, i) => cidr !== after[i]).length : 1;
    for (let i = 0; i < changes; i++) errors.push(forbiddenField(SPEC.child('podCIDRs'), CIDR_FIXED));
  }
  const provider = old.spec?.providerID ?? '';
  if (provider !== '' && provider !== node.spec?.providerID) {
    errors.push(forbiddenField(SPEC.child('providerID'), 'node updates may not change providerID except from "" to valid'));
  }
  if (node.spec?.configSource) errors.push(...validateConfigSource(node.spec.configSource, SPEC.child('configSource')));
  errors.push(...validateTaints(node.spec?.taints));
  if ((node.spec?.externalID ?? '') !== (old.spec?.externalID ?? '')) errors.push(forbiddenField(SPEC.child('externalID'), 'may not be updated'));
  return errors;
}

const ROLE_PREFIX = 'node-role.kubernetes.io/';
function rolesText(node: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX)) {
      const role = key.slice(ROLE_PREFIX.length);
      if (role !== '') roles.add(role);
    } else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return roles.size === 0 ? NONE : [...roles].toSorted().join(',');
}
function statusText(node: Node): string {
  const ready = node.status?.conditions?.find((c) => c.type === 'Ready');
  const words = ready ? [ready.status === 'True' ? 'Ready' : 'NotReady'] : ['Unknown'];
  if (node.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}
function addressText(node: Node, type: string): string {
  return node.status?.addresses?.find((a) => a.type === type)?.address ?? NONE;
}

/** Dynamic kubelet configuration can be asked for no more. */
function dropConfig(node: Draft<Node>, old: Node | undefined): void {
  dropDisabled(node.spec, old?.spec, 'configSource');
  dropDisabled(node.status, old?.status, 'config');
}
function nodeWarnings({ spec }: Node): string[] {
  return [
    ...(spec?.configSource ? ['spec.configSource: the feature is removed'] : []), ...(spec?.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
    ...(spec?.podCIDRs ?? []).flatMap((cidr, i) => warningsForCIDR(SPEC.child('podCIDRs').index(i), cidr)),
  ];
}

export const nodes = defineStrategy<Node>('', 'v1', 'nodes', {
  prepareForCreate: (node) => dropConfig(node, undefined),
  prepareForUpdate(node, old, ctx) {
    dropConfig(node, old);
    if (ctx.subresource === 'status') node.spec = structuredClone(old.spec) as typeof node.spec;
  },
  default(node) {
    const { status } = node;
    if (status?.capacity && !status.allocatable) status.allocatable = { ...status.capacity };
    roundUpToMilli(status?.capacity);
    roundUpToMilli(status?.allocatable);
    // podCIDR and podCIDRs are one field in two spellings; the old one wins where they differ.
    const spec = node.spec;
    if (!spec) return;
    if (spec.podCIDR && spec.podCIDR !== spec.podCIDRs?.[0]) spec.podCIDRs = [spec.podCIDR];
    else if (spec.podCIDRs?.length) spec.podCIDR = spec.podCIDRs[0]!;
  },
  validate,
  validateUpdate: (node, old) => [...validate(node), ...validateUpdate(node, old)],
  validateStatusUpdate: validateUpdate,
  warnings: nodeWarnings,
  columns: [
    NAME,
    text('Status', 'The status of the node'),
    text('Roles', 'The roles of the node'),
    AGE,
    text('Version', fieldDoc('api/core/v1.NodeSystemInfo', 'kubeletVersion')),
    wide('Internal-IP', fieldDoc('api/core/v1.NodeStatus', 'addresses')),
    wide('External-IP', fieldDoc('api/core/v1.NodeStatus', 'addresses')),
    wide('OS-Image', fieldDoc('api/core/v1.NodeSystemInfo', 'osImage')),
    wide('Kernel-Version', fieldDoc('api/core/v1.NodeSystemInfo', 'kernelVersion')),
    wide('Container-Runtime', fieldDoc('api/core/v1.NodeSystemInfo', 'containerRuntimeVersion')),
  ],
  row(node, now) {
    const info = node.status?.nodeInfo;
    return [
      node.metadata.name ?? '', statusText(node), rolesText(node), age(node.metadata, now), info?.kubeletVersion ?? '', addressText(node, 'InternalIP'),
      addressText(node, 'ExternalIP'), info?.osImage || UNKNOWN, info?.kernelVersion || UNKNOWN, info?.containerRuntimeVersion || UNKNOWN,
    ];
  },
  selectableFields: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
});
