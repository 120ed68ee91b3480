import type { CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion } from '#api/gen/apiextensions-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1035Label, isDNS1123Subdomain } from '#machinery/names.ts';
import type { StrategyContext } from '../../registry/strategy.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { each, fromMessages, immutable, requiredOneOf } from '../field-checks.ts';
import { CREATED_AT, NAME } from '../printing.ts';
import { validateCABundle, validateWebhookClient } from '../webhook-client.ts';
import { APPROVAL_ANNOTATION, approvalOf } from '../../extensions/approval.ts';
import { withCondition } from '../../extensions/naming.ts';
import { validateNames } from './names.ts';
import { REVIEW_VERSIONS, RULES_OF_CREATE, rulesAfter, type DefinitionRules } from './ratcheting.ts';
import { unknownFormats } from './schema-parts.ts';
import { isShared, validateSharedParts, validateVersion } from './versions.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const HTTPS_PORT = 443;
const FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

function validateGroup(group: string, path: FieldPath): FieldError[] {
  if (group === '') return [required(path)];
  const problems = isDNS1123Subdomain(group);
  if (problems.length > 0) return [invalidValue(path, group, problems.join(','))];
  return group.includes('.') ? [] : [invalidValue(path, group, 'should be a domain with at least one dot')];
}
function validateReviewVersions(versions: readonly string[], rules: DefinitionRules, path: FieldPath): FieldError[] {
  if (versions.length === 0) return [required(path)];
  const errors = each(versions, path, (version, at, i) => (versions.indexOf(version) < i ? [invalidValue(at, version, 'duplicate version')] : fromMessages(at, version, isDNS1035Label(version))));
  const known = versions.some((version) => REVIEW_VERSIONS.includes(version));
  return known || !rules.reviewVersions ? errors : [...errors, invalidValue(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`)];
}
function validateConversion(conversion: CustomResourceConversion | undefined, rules: DefinitionRules, path: FieldPath): FieldError[] {
  if (!conversion) return [];
  const { strategy, webhook } = conversion;
  const errors = requiredOneOf(strategy, ['None', 'Webhook'], path.child('strategy'));
  const [client, versions] = [path.child('webhookClientConfig'), path.child('conversionReviewVersions')];
  if (strategy === 'Webhook') {
    errors.push(...(webhook?.clientConfig ? validateWebhookClient(webhook.clientConfig, client) : [required(client, 'required when strategy is set to Webhook')]));
    if (rules.caBundle) errors.push(...validateCABundle(webhook?.clientConfig?.caBundle, client.child('caBundle')));
    return [...errors, ...validateReviewVersions(webhook?.conversionReviewVersions ?? [], rules, versions)];
  }
  if (webhook?.clientConfig) errors.push(forbiddenField(client, 'should not be set when strategy is not set to Webhook'));
  if (webhook?.conversionReviewVersions?.length) errors.push(forbiddenField(versions, 'should not be set when strategy is not set to Webhook'));
  return errors;
}
/** Versions as upstream's message about all of them shows them. */
function shownVersions(versions: readonly CustomResourceDefinitionVersion[]): unknown {
  const own = (version: CustomResourceDefinitionVersion, field: 'schema' | 'subresources' | 'additionalPrinterColumns' | 'selectableFields') => (isShared(versions, field) ? null : (version[field] ?? null));
  return versions.map((version) => ({
    Name: version.name, Served: version.served, Storage: version.storage, Deprecated: version.deprecated ?? false, DeprecationWarning: version.deprecationWarning ?? null,
    Schema: own(version, 'schema'), Subresources: own(version, 'subresources'), AdditionalPrinterColumns: own(version, 'additionalPrinterColumns'), SelectableFields: own(version, 'selectableFields'),
  }));
}
function validateVersions(versions: readonly CustomResourceDefinitionVersion[], rules: DefinitionRules, path: FieldPath): FieldError[] {
  const errors = each(versions, path, ({ schema }, at) => (schema?.openAPIV3Schema || !rules.schemas ? [] : [required(at.child('schema', 'openAPIV3Schema'))]));
  errors.push(
    ...each(versions, path, (version, at) => {
      const problems = isDNS1035Label(version.name ?? '');
      const own = problems.length > 0 ? [invalidValue(at.child('name'), version.name ?? '', problems.join(','))] : [];
      return [...own, ...validateVersion(version, (field) => isShared(versions, field), rules, at)];
    }),
  );
  if (new Set(versions.map(({ name }) => name)).size < versions.length) errors.push(invalidValue(path, shownVersions(versions), 'must contain unique version names'));
  if (versions.filter(({ storage }) => storage).length !== 1) errors.push(invalidValue(path, shownVersions(versions), 'must have exactly one version marked as storage version'));
  return errors;
}
/** Upstream's own form names the first version a second time. */
function misnamedFirst([first]: readonly CustomResourceDefinitionVersion[]): FieldError[] {
  const problems = first ? isDNS1035Label(first.name ?? '') : [];
  return first && problems.length > 0 ? [invalidValue(SPEC.child('version'), first.name ?? '', problems.join(','))] : [];
}
function validateSpec(spec: CustomResourceDefinitionSpec, rules: DefinitionRules): FieldError[] {
  const names = spec.names ?? {};
  const versions = spec.versions ?? [];
  const at = SPEC.child('names');
  const missing = (['plural', 'singular', 'kind', 'listKind'] as const).filter((field) => !names[field]).map((field) => required(at.child(field)));
  return [
    ...validateGroup(spec.group ?? '', SPEC.child('group')), ...requiredOneOf(spec.scope, ['Cluster', 'Namespaced'], SPEC.child('scope')), ...validateVersions(versions, rules, SPEC.child('versions')),
    ...misnamedFirst(versions), ...missing, ...validateNames(names, at), ...validateSharedParts(versions, rules, SPEC), ...validateConversion(spec.conversion, rules, SPEC.child('conversion')),
  ];
}
function validateStoredVersions({ spec, status }: CustomResourceDefinition): FieldError[] {
  const stored = status?.storedVersions ?? [];
  const path = STATUS.child('storedVersions');
  if (stored.length === 0) return [invalidValue(path, stored, 'must have at least one stored version')];
  const versions = spec.versions ?? [];
  const errors = versions.filter(({ name, storage }) => storage && !stored.includes(name)).map(({ name }) => invalidValue(path, stored, `must have the storage version ${name}`));
  const advice = (v: string) => `missing from spec.versions; ${v} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${v} and removes ${v} from status.storedVersions`;
  return [...errors, ...each(stored, path, (name, at) => (versions.some((version) => version.name === name) ? [] : [invalidValue(at, name, advice(name))]))];
}
/** A group of the Kubernetes project needs an approval, once it has none it may go on without. */
function validateApproval(definition: CustomResourceDefinition, old?: CustomResourceDefinition): FieldError[] {
  const approval = approvalOf(definition);
  if (!approval || (old && approvalOf(old)?.state === approval.state)) return [];
  const path = fieldPath('metadata', 'annotations').key(APPROVAL_ANNOTATION);
  if (approval.state === 'missing') return [required(path, approval.reason)];
  return approval.state === 'invalid' ? [invalidValue(path, definition.metadata.annotations![APPROVAL_ANNOTATION], approval.reason)] : [];
}
function validateWhole(definition: CustomResourceDefinition, old?: CustomResourceDefinition): FieldError[] {
  const { spec, status } = definition;
  const path: FieldPath = SPEC.child('preserveUnknownFields');
  const preserving = spec.preserveUnknownFields === true && old?.spec.preserveUnknownFields !== true;
  return [
    ...validateNames(status?.acceptedNames, STATUS.child('acceptedNames')), ...validateStoredVersions(definition), ...validateApproval(definition, old),
    ...(preserving ? [invalidValue(path, true, 'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead')] : []),
  ];
}
/** Once a version stores objects, it is on the list until somebody has migrated them. */
function noteStorageVersion(definition: Draft<CustomResourceDefinition>): void {
  const name = definition.spec?.versions?.find(({ storage }) => storage)?.name;
  const stored = (definition.status!.storedVersions ??= []);
  if (name !== undefined && !stored.includes(name)) stored.push(name);
}
const formatsOf = (spec: CustomResourceDefinitionSpec | undefined) => (spec?.versions ?? []).flatMap(({ schema }) => (schema?.openAPIV3Schema ? unknownFormats(schema.openAPIV3Schema) : []));
/** Of formats that were there before nobody is told again. */
function warnOfFormats(spec: CustomResourceDefinitionSpec | undefined, old: CustomResourceDefinitionSpec | undefined, ctx: StrategyContext): void {
  const known = formatsOf(old);
  for (const format of formatsOf(spec)) if (!known.includes(format)) ctx.warn(`unrecognized format ${JSON.stringify(format)}`);
}
const isEstablished = ({ status }: CustomResourceDefinition) => status?.conditions?.some(({ type, status: value }) => type === 'Established' && value === 'True') ?? false;

export const customresourcedefinitions = defineStrategy<CustomResourceDefinition>('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', {
  default({ spec }) {
    if (!spec) return;
    spec.conversion ??= { strategy: 'None' };
    const service = spec.conversion.webhook?.clientConfig?.service;
    if (service) service.port ??= HTTPS_PORT;
    if (!spec.names) return;
    spec.names.singular ||= (spec.names.kind ?? '').toLowerCase();
    if (spec.names.kind) spec.names.listKind ||= `${spec.names.kind}List`;
  },
  prepareForCreate(definition) {
    definition.status = emptyStatus('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition');
    definition.metadata.generation = 1;
    noteStorageVersion(definition);
  },
  prepareForUpdate(definition, old, ctx) {
    // Without the feature CRDObservedGenerationTracking, as by default, nothing tracks them, and nobody else may.
    delete definition.status?.observedGeneration;
    for (const condition of definition.status?.conditions ?? []) delete condition.observedGeneration;
    if (ctx.subresource !== '') return;
    definition.status ??= structuredClone(old.status ?? {}) as NonNullable<Draft<CustomResourceDefinition>['status']>;
    noteStorageVersion(definition);
  },
  validate(definition, ctx) {
    const { metadata, spec } = definition;
    const expected = `${spec?.names?.plural ?? ''}.${spec?.group ?? ''}`;
    const names = [...(metadata.generateName ? [['generateName', metadata.generateName] as const] : []), ['name', metadata.name ?? ''] as const];
    const errors = names.filter(([, name]) => name !== expected).map(([field, name]) => invalidValue(fieldPath('metadata', field), name, 'must be spec.names.plural+"."+spec.group'));
    errors.push(...validateSpec(spec, RULES_OF_CREATE), ...validateWhole(definition));
    if (errors.length === 0) warnOfFormats(spec, undefined, ctx);
    return errors;
  },
  validateUpdate(definition, old, ctx) {
    const [spec, before] = [definition.spec, old.spec];
    const errors = validateSpec(spec, rulesAfter(old));
    if (isEstablished(old)) {
      errors.push(...immutable(spec.scope, before.scope, SPEC.child('scope')), ...immutable(spec.names?.kind, before.names?.kind, SPEC.child('names', 'kind')));
    }
    errors.push(...immutable(spec.group, before.group, SPEC.child('group')), ...immutable(spec.names?.plural, before.names?.plural, SPEC.child('names', 'plural')));
    errors.push(...validateWhole(definition, old));
    if (errors.length === 0) warnOfFormats(spec, before, ctx);
    return errors;
  },
  validateStatusUpdate: ({ status }) => validateNames(status?.acceptedNames, STATUS.child('acceptedNames')),
  dependents: 'ignore',
  // Its instances go first.
  beforeDelete(definition, now) {
    const finalizers = (definition.metadata.finalizers ??= []);
    if (!finalizers.includes(FINALIZER)) finalizers.push(FINALIZER);
    const pending = { type: 'Terminating', status: 'True', reason: 'InstanceDeletionPending', message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon' };
    (definition.status ??= {}).conditions = withCondition(definition.status.conditions ?? [], pending, rfc3339(now));
    // Without a grace period, and it is no other generation.
    definition.metadata.deletionTimestamp = rfc3339(now);
  },
  generationFields: ['spec'],
  allowUnconditionalUpdate: false,
  columns: [NAME, CREATED_AT],
  row: ({ metadata }) => [metadata.name ?? '', metadata.creationTimestamp ?? null],
});
