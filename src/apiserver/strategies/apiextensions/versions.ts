/** `spec.versions` of a CustomResourceDefinition: schemas, subresources, columns and selectable fields. */
import type {
  CustomResourceColumnDefinition, CustomResourceDefinitionVersion, CustomResourceSubresources, JSONSchemaProps, SelectableField,
} from '#api/gen/apiextensions-v1.ts';
import { getOwn } from '#base/own.ts';
import { duplicate, invalidValue, required, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each } from '../field-checks.ts';
import type { DefinitionRules, SchemaRules } from './ratcheting.ts';
import { validateSchema } from './schema.ts';
import { asSchema } from './structural.ts';

const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const MAX_SELECTABLE = 8;
const MAX_WARNING = 256;

function simplePathProblem(path: string): string | undefined {
  return path.startsWith('.') ? undefined : 'must be a simple json path starting with .';
}
function validateColumn(column: CustomResourceColumnDefinition, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const types = `must be one of ${COLUMN_TYPES.join(',')}`;
  if (!column.name) errors.push(required(path.child('name')));
  if (!column.type) errors.push(required(path.child('type'), types));
  else if (!COLUMN_TYPES.includes(column.type)) errors.push(invalidValue(path.child('type'), column.type, types));
  if (column.format && !COLUMN_FORMATS.includes(column.format)) errors.push(invalidValue(path.child('format'), column.format, `must be one of ${COLUMN_FORMATS.join(',')}`));
  const at = path.child('JSONPath');
  if (!column.jsonPath) return [...errors, required(at)];
  const problem = simplePathProblem(column.jsonPath);
  return problem === undefined ? errors : [...errors, invalidValue(at, column.jsonPath, problem)];
}
function validateScalePath(value: string | undefined, roots: readonly string[], detail: string, path: FieldPath): FieldError[] {
  if (!value) return [required(path)];
  const problem = simplePathProblem(value);
  if (problem !== undefined) return [invalidValue(path, value, problem)];
  return roots.some((root) => value.startsWith(root)) ? [] : [invalidValue(path, value, detail)];
}
function validateSubresources(subresources: CustomResourceSubresources | undefined, path: FieldPath): FieldError[] {
  const scale = subresources?.scale;
  if (!scale) return [];
  const at = path.child('scale');
  return [
    ...validateScalePath(scale.specReplicasPath, ['.spec.'], 'should be a json path under .spec', at.child('specReplicasPath')),
    ...validateScalePath(scale.statusReplicasPath, ['.status.'], 'should be a json path under .status', at.child('statusReplicasPath')),
    ...(scale.labelSelectorPath ? validateScalePath(scale.labelSelectorPath, ['.spec.', '.status.'], 'should be a json path under either .spec or .status', at.child('labelSelectorPath')) : []),
  ];
}
/** The schema of the field at `.spec.color`, or what is wrong with the path. */
function schemaAt(schema: JSONSchemaProps, path: string): JSONSchemaProps | string {
  const delimiter = /^[^.[]+/.exec(path)?.[0];
  if (delimiter !== undefined) return `expected [ or . but got: ${delimiter}`;
  let current: JSONSchemaProps | undefined = schema;
  for (const [, before = '', name = ''] of path.matchAll(/([.[])([^.[\]]*)/g)) {
    if (before === '[') return 'array notation is not allowed';
    if (name === '') return 'unexpected end of JSON path';
    current = current?.properties ? getOwn(current.properties, name) : asSchema(current?.additionalProperties);
    if (!current) return 'does not refer to a valid field';
  }
  return current;
}
function validateSelectable(fields: readonly SelectableField[], schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors = each(fields, path, ({ jsonPath = '' }, at, i) => {
    const where = at.child('jsonPath');
    if (jsonPath === '') return [required(where)];
    const found = schemaAt(schema, jsonPath);
    if (typeof found === 'string') return [invalidValue(where, jsonPath, `is an invalid path: ${found}`)];
    const own: FieldError[] = [];
    if (/^\.metadata(?:\.|$)/.test(jsonPath)) own.push(invalidValue(where, jsonPath, 'must not point to fields in metadata'));
    if (!['string', 'boolean', 'integer'].includes(found.type ?? '')) {
      own.push(invalidValue(where, jsonPath, 'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.'));
    }
    return fields.findIndex((other) => other.jsonPath === jsonPath) < i ? [...own, duplicate(where, jsonPath)] : own;
  });
  const count = new Set(fields.flatMap(({ jsonPath = '' }) => (jsonPath === '' || typeof schemaAt(schema, jsonPath) === 'string' ? [] : [jsonPath]))).size;
  return count > MAX_SELECTABLE ? [...errors, tooMany(path, count, MAX_SELECTABLE)] : errors;
}

/** What every version says alike stands at the top of the spec in upstream's own form, and its errors do so too. */
type Shared = 'schema' | 'subresources' | 'additionalPrinterColumns' | 'selectableFields';
export function isShared(versions: readonly CustomResourceDefinitionVersion[], field: Shared): boolean {
  const first = versions[0]?.[field];
  return first !== undefined && (!Array.isArray(first) || first.length > 0) && versions.every((version) => semanticEqual(version[field], first));
}
const isSet = (value: unknown): boolean => value !== undefined && value !== null;

function warningProblems({ deprecated, deprecationWarning: warning }: CustomResourceDefinitionVersion): string[] {
  if (warning === undefined) return [];
  if (!deprecated) return ['can only be set for deprecated versions'];
  const problems: string[] = [];
  if (Buffer.byteLength(warning) > MAX_WARNING) problems.push(`must be <= ${MAX_WARNING} characters long`);
  if (warning === '') problems.push('must not be an empty string');
  const at = warning.search(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u);
  if (at >= 0) problems.push(`must only contain printable UTF-8 characters; non-printable character found at index ${Buffer.byteLength(warning.slice(0, at))}`);
  return problems;
}
/** A version's own parts: those that it does not share with all others. */
export function validateVersion(version: CustomResourceDefinitionVersion, shared: (field: Shared) => boolean, rules: DefinitionRules, path: FieldPath): FieldError[] {
  const errors = warningProblems(version).map((problem) => invalidValue(path.child('deprecationWarning'), version.deprecationWarning, problem));
  if (!shared('schema')) errors.push(...validateSchema(version.schema, isSet(version.subresources?.status), rules.schemaOf(version), path.child('schema')));
  if (!shared('subresources')) errors.push(...validateSubresources(version.subresources, path.child('subresources')));
  if (!shared('additionalPrinterColumns')) errors.push(...each(version.additionalPrinterColumns, path.child('additionalPrinterColumns'), validateColumn));
  return shared('selectableFields') ? errors : [...errors, ...validateVersionSelectable(version, path.child('selectableFields'))];
}
function validateVersionSelectable({ selectableFields = [], schema }: CustomResourceDefinitionVersion, path: FieldPath): FieldError[] {
  if (selectableFields.length === 0) return [];
  if (schema?.openAPIV3Schema) return validateSelectable(selectableFields, schema.openAPIV3Schema, path);
  return [invalidValue(path, '', 'selectableFields may only be set when version.schema.openAPIV3Schema is not included')];
}
/** A shared schema has changed where it has for one of its versions. */
function rulesOfAll(versions: readonly CustomResourceDefinitionVersion[], rules: DefinitionRules): SchemaRules {
  const each = versions.map((version) => rules.schemaOf(version));
  return { ...each[0]!, ruleCosts: each.some(({ ruleCosts }) => ruleCosts) };
}
export function validateSharedParts(versions: readonly CustomResourceDefinitionVersion[], rules: DefinitionRules, path: FieldPath): FieldError[] {
  const first = versions[0];
  if (!first) return [];
  const statusAnywhere = versions.some((version) => isSet(version.subresources?.status));
  return [
    ...(isShared(versions, 'schema') ? validateSchema(first.schema, statusAnywhere, rulesOfAll(versions, rules), path.child('validation')) : []),
    ...(isShared(versions, 'subresources') ? validateSubresources(first.subresources, path.child('subresources')) : []),
    ...(isShared(versions, 'additionalPrinterColumns') ? each(first.additionalPrinterColumns, path.child('additionalPrinterColumns'), validateColumn) : []),
    ...(isShared(versions, 'selectableFields') ? validateVersionSelectable(first, path.child('selectableFields')) : []),
  ];
}
