/** The strategy of one version of a custom resource, from its definition. Upstream's counterpart: registry/customresource. */
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from '#api/gen/apiextensions-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { fieldPath, type FieldError } from '#machinery/field-errors.ts';
import { deepEqual } from '#machinery/equality.ts';
import { methodNotAllowed, StatusError } from '#machinery/status-error.ts';
import type { Strategy, StrategyContext } from '../registry/strategy.ts';
import type { CelMetrics } from './cel-metrics.ts';
import { celValidator } from './cel-validation.ts';
import { customColumns } from './columns.ts';
import { Correlation } from './correlation.ts';
import { validateScale } from './custom-scale.ts';
import { validateEmbedded } from './embedded-objects.ts';
import { finalizerWarnings } from './finalizer-warnings.ts';
import { parseJsonPath } from './json-path.ts';
import { validateListTypes } from './list-types.ts';
import { asRoot, type Schema } from './schema.ts';
import { schemaValidator } from './value-validation.ts';

const ROOT = fieldPath();
const STATUS = fieldPath('status');
/** Rules are not asked about objects of which even the shape is wrong. */
const BLOCKING: ReadonlySet<string> = new Set(['FieldValueNotSupported', 'FieldValueRequired', 'FieldValueTooLong', 'FieldValueTooMany', 'FieldValueTypeInvalid']);
const NOT_CHECKED: FieldError = { type: 'FieldValueInvalid', field: '<nil>', body: 'Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation' };

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
function withoutMetadata(object: KubeObject): Record<string, unknown> {
  const { metadata: _, ...rest } = object as KubeObject & Record<string, unknown>;
  return rest;
}
function terminating(info: ResourceInfo): StatusError {
  const error = methodNotAllowed({ group: info.group, resource: info.plural }, 'create');
  return new StatusError({ ...error.status, message: 'create not allowed while custom resource definition is terminating' });
}

/** `schema` has no `apiVersion`, `kind` and `metadata` of its own. */
export function customStrategy(info: ResourceInfo, definition: CustomResourceDefinition, version: CustomResourceDefinitionVersion, schema: Schema, cel: CelMetrics): Strategy {
  const hasStatus = version.subresources?.status !== undefined && version.subresources.status !== null;
  const scale = version.subresources?.scale;
  const status = schema.properties?.['status'];
  // Large schemas take tens of milliseconds to compile: not before the first write.
  const values = lazy(() => schemaValidator(schema));
  const statusValues = lazy(() => schemaValidator(status ?? {}));
  const compiledRules = lazy(() => cel.compiled(() => celValidator(schema, true)));
  const ratchetSchema = asRoot(schema);
  const { columns, row } = customColumns(version.additionalPrinterColumns);
  const isTerminating = definition.metadata.deletionTimestamp !== undefined;

  const finish = (errors: FieldError[], object: KubeObject, old: KubeObject | undefined, ratcheting: Correlation | undefined, ctx: StrategyContext): FieldError[] => {
    const rules = compiledRules();
    if (!rules) return errors;
    if (errors.some((e) => BLOCKING.has(e.type))) return [...errors, NOT_CHECKED];
    return [...errors, ...cel.evaluated(() => rules.validate(object, old, { path: ROOT, ratcheting, warn: (message) => ctx.warn(message) }))];
  };
  /** Lists whose items repeated before may go on doing so. */
  const listErrors = (object: KubeObject, old: KubeObject): FieldError[] => (validateListTypes(old, schema, ROOT).length ? [] : validateListTypes(object, schema, ROOT));

  return {
    resource: info,
    prepareForCreate(draft) {
      if (isTerminating) throw terminating(info);
      if (hasStatus) delete (draft as unknown as Record<string, unknown>)['status'];
      draft.metadata.generation = 1;
    },
    prepareForUpdate(draft, old, ctx) {
      if (ctx.subresource === 'status') restoreMetadata(draft, old);
      if (!deepEqual(withoutMetadata(draft as KubeObject), withoutMetadata(old)) && ctx.subresource !== 'status') draft.metadata.generation = (old.metadata.generation ?? 0) + 1;
      for (const warning of finalizerWarnings(draft.metadata.finalizers, old.metadata.finalizers)) ctx.warn(warning);
    },
    validate(object, ctx) {
      for (const warning of finalizerWarnings(object.metadata.finalizers, [])) ctx.warn(warning);
      const errors = [...values().validate(object), ...validateScale(object, scale, false), ...validateEmbedded(object, schema, ROOT), ...validateListTypes(object, schema, ROOT)];
      return finish(errors, object, undefined, undefined, ctx);
    },
    validateUpdate(object, old, ctx) {
      const correlation = new Correlation(object, old, ratchetSchema);
      const errors = [...values().validate(object, correlation), ...validateScale(object, scale, false), ...validateEmbedded(object, schema, ROOT), ...listErrors(object, old)];
      return finish(errors, object, old, correlation, ctx);
    },
    validateStatusUpdate(object, old, ctx) {
      const correlation = new Correlation(object, old, ratchetSchema);
      const value = (object as KubeObject & { readonly status?: unknown }).status;
      const own = status && value !== undefined ? statusValues().validate(value, correlation.key('status'), STATUS) : [];
      return finish([...own, ...validateScale(object, scale, true), ...listErrors(object, old)], object, old, correlation, ctx);
    },
    allowUnconditionalUpdate: false,
    columns,
    row,
    selectableFields: Object.fromEntries((version.selectableFields ?? []).map(({ jsonPath }) => [jsonPath.replace(/^\./, ''), selector(jsonPath)])),
  };
}
/** A status write changes nothing of the metadata but who owns what. */
function restoreMetadata(draft: Draft<KubeObject>, old: KubeObject): void {
  const { managedFields, resourceVersion } = draft.metadata;
  draft.metadata = { ...draftOf(old.metadata), ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  if (managedFields) draft.metadata.managedFields = managedFields;
  else delete draft.metadata.managedFields;
}
function selector(path: string): (object: KubeObject) => string {
  const find = parseJsonPath(path);
  return (object) => {
    const [value] = find(object);
    return value === undefined || value === null ? '' : String(value);
  };
}
