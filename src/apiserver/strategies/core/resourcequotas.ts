import type { ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement } from '#api/gen/core-v1.ts';
import { fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { eachKey, IMMUTABLE } from '../field-checks.ts';
import { AGE, age, NAME, text } from '../printing.ts';
import { roundUpToMilli } from './resource-lists.ts';
import { isStandardQuotaResource, validateQuotaResourceName, validateResourceQuantity } from './resource-names.ts';
import { parseQuantity } from '#machinery/quantity.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const POD_RESOURCES = ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'];
const CLAIM_RESOURCES = ['persistentvolumeclaims', 'requests.storage'];
/** What each scope can count. */
const SCOPES: Readonly<Record<string, readonly string[]>> = {
  Terminating: POD_RESOURCES, NotTerminating: POD_RESOURCES, BestEffort: ['pods'], NotBestEffort: POD_RESOURCES, PriorityClass: POD_RESOURCES, CrossNamespacePodAffinity: POD_RESOURCES,
  VolumeAttributesClass: CLAIM_RESOURCES,
};
const EXISTS_ONLY = ['BestEffort', 'NotBestEffort', 'Terminating', 'NotTerminating', 'CrossNamespacePodAffinity'];
const CONFLICTS = [['BestEffort', 'NotBestEffort'], ['Terminating', 'NotTerminating']] as const;
const EXISTS_ONLY_ERROR =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

/** Resources of the quota that the scope cannot count; those that are not of Kubernetes itself are anyone's. */
function misfits(spec: ResourceQuotaSpec, scope: string): string[] {
  const allowed = SCOPES[scope];
  return allowed ? Object.keys(spec.hard ?? {}).filter((name) => isStandardQuotaResource(name) && !allowed.includes(name)) : [];
}
function conflicts(scopes: readonly string[], shown: unknown, path: FieldPath): FieldError[] {
  return CONFLICTS.filter((pair) => pair.every((scope) => scopes.includes(scope))).map(() => invalidValue(path, shown, 'conflicting scopes'));
}
function validateScopes(spec: ResourceQuotaSpec, path: FieldPath): FieldError[] {
  const scopes = spec.scopes ?? [];
  const errors = scopes.flatMap((scope) => [
    ...(SCOPES[scope] ? [] : [invalidValue(path, scopes, 'unsupported scope')]), ...misfits(spec, scope).map(() => invalidValue(path, scopes, 'unsupported scope applied to resource')),
  ]);
  return [...errors, ...conflicts(scopes, scopes, path)];
}
function validateRequirement(requirement: ScopedResourceSelectorRequirement, spec: ResourceQuotaSpec, path: FieldPath): FieldError[] {
  const { scopeName: scope, operator, values = [] } = requirement;
  const errors = SCOPES[scope] ? [] : [invalidValue(path.child('scopeName'), scope ?? '', 'unsupported scope')];
  errors.push(...misfits(spec, scope).map(() => invalidValue(path, spec.scopeSelector, 'unsupported scope applied to resource')));
  if (EXISTS_ONLY.includes(scope) && operator !== 'Exists') errors.push(invalidValue(path.child('operator'), operator ?? '', EXISTS_ONLY_ERROR));
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(path.child('values'), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) errors.push(invalidValue(path.child('values'), values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"));
  } else errors.push(invalidValue(path.child('operator'), operator ?? '', 'not a valid selector operator'));
  return errors;
}
function validateQuantities(list: Readonly<Record<string, string>> | undefined, path: FieldPath): FieldError[] {
  return eachKey(list, path, (name, value, at) => [...validateQuotaResourceName(name, at), ...validateResourceQuantity(name, value, at)]);
}
function validate({ spec = {} }: ResourceQuota): FieldError[] {
  const selector = SPEC.child('scopeSelector', 'matchExpressions');
  const requirements = spec.scopeSelector?.matchExpressions ?? [];
  return [
    ...validateQuantities(spec.hard, SPEC.child('hard')),
    ...validateScopes(spec, SPEC.child('scopes')),
    ...requirements.flatMap((requirement) => validateRequirement(requirement, spec, selector)),
    ...conflicts(requirements.map((r) => r.scopeName), spec.scopeSelector, selector),
  ];
}

/** A limit below the request leaves room for nothing. */
function pairWarnings(hard: Readonly<Record<string, string>>): string[] {
  return ['cpu', 'memory', 'storage', 'ephemeral-storage'].flatMap((name) => {
    const bare = hard[`requests.${name}`] === undefined && (name === 'cpu' || name === 'memory');
    const [requestName, limitName] = [bare ? name : `requests.${name}`, `limits.${name}`];
    const [request, limit] = [hard[requestName], hard[limitName]];
    if (request === undefined || limit === undefined || parseQuantity(request).cmp(parseQuantity(limit)) <= 0) return [];
    return [`ResourceQuota ${requestName} (${request}) should be less than ${limitName} (${limit})`];
  });
}

export const resourcequotas = defineStrategy<ResourceQuota>('', 'v1', 'resourcequotas', {
  default({ spec, status }) {
    for (const list of [spec?.hard, status?.hard, status?.used]) roundUpToMilli(list);
  },
  prepareForCreate(quota) {
    quota.status = emptyStatus('', 'v1', 'ResourceQuota');
  },
  validate,
  validateUpdate(quota, old) {
    const [now, before] = [quota, old].map(({ spec }) => new Set(spec?.scopes));
    const isSame = now!.symmetricDifference(before!).size === 0;
    return [...validate(quota), ...(isSame ? [] : [invalidValue(SPEC.child('scopes'), quota.spec?.scopes ?? null, IMMUTABLE)])];
  },
  warnings: ({ spec }, old) => (old ? [] : pairWarnings(spec?.hard ?? {})),
  validateStatusUpdate({ metadata, status }) {
    return [
      ...(metadata.resourceVersion === '' ? [required(fieldPath('resourceVersion'))] : []),
      ...validateQuantities(status?.hard, STATUS.child('hard')), ...validateQuantities(status?.used, STATUS.child('used')),
    ];
  },
  columns: [
    NAME,
    text('Request', 'Request represents a minimum amount of cpu/memory that a container may consume.'),
    text('Limit', 'Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.'),
    AGE,
  ],
  row({ metadata, status }, now) {
    const names = Object.keys(status?.hard ?? {}).toSorted();
    const shown = (which: readonly string[]) => which.map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status!.hard![name]!}`).join(', ');
    return [metadata.name ?? '', shown(names.filter((n) => !n.startsWith('limits'))), shown(names.filter((n) => n.startsWith('limits'))), age(metadata, now)];
  },
});
