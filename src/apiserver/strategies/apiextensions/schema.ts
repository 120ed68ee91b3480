/** The schema of a custom resource. */
import type { CustomResourceValidation, JSONSchemaProps } from '#api/gen/apiextensions-v1.ts';
import { forbiddenField, invalidValue, notSupported, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateSchemaExtensions } from '../../extensions/rule-checks.ts';
import type { SchemaRules } from './ratcheting.ts';
import { childrenOf, isReadable, TYPES } from './schema-parts.ts';
import { validateStructural } from './structural.ts';

const UNSUPPORTED = ['id', 'additionalItems', 'patternProperties', 'definitions', 'dependencies', '$ref'] as const;
/** With a status of its own, only what survives the split of the schema may stand at its root. */
const AT_ROOT = [
  'Description', 'Type', 'Format', 'Title', 'Maximum', 'ExclusiveMaximum', 'Minimum', 'ExclusiveMinimum', 'MaxLength', 'MinLength', 'Pattern', 'MaxItems', 'MinItems', 'UniqueItems',
  'MultipleOf', 'Required', 'Enum', 'Items', 'Properties', 'ExternalDocs', 'Example', 'XPreserveUnknownFields', 'XValidations',
];
const ROOT_FIELDS: Readonly<Record<string, string>> = { 'x-kubernetes-preserve-unknown-fields': 'XPreserveUnknownFields', 'x-kubernetes-validations': 'XValidations' };

function validateOpenAPI(schema: JSONSchemaProps, rules: SchemaRules, path: FieldPath): FieldError[] {
  const errors = UNSUPPORTED.filter((field) => schema[field] !== undefined && schema[field] !== '').map((field) => forbiddenField(path.child(field), `${field} is not supported`));
  if (schema.type === 'null') errors.push(forbiddenField(path.child('type'), 'type cannot be set to null, use nullable as an alternative'));
  else if (rules.knownTypes && schema.type && !TYPES.includes(schema.type)) errors.push(notSupported(path.child('type'), schema.type, TYPES));
  if (Array.isArray(schema.items)) errors.push(forbiddenField(path.child('items'), 'items must be a schema object and not an array'));
  if (schema.uniqueItems) errors.push(forbiddenField(path.child('uniqueItems'), 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'));
  if (schema.additionalProperties !== undefined && schema.additionalProperties !== true && Object.keys(schema.properties ?? {}).length > 0) {
    errors.push(forbiddenField(path.child('additionalProperties'), 'additionalProperties and properties are mutual exclusive'));
  }
  return [...errors, ...childrenOf(schema).flatMap(([child, at]) => validateOpenAPI(child, rules, at(path)))];
}
function validateRoot(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const given = Object.entries(schema).filter(([, value]) => value !== undefined && value !== '' && value !== false).map(([field]) => field);
  for (const field of given) {
    if (field === 'type' && schema.type !== 'object') return [invalidValue(path.child('type'), schema.type, 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled')];
    const name = ROOT_FIELDS[field] ?? field.charAt(0).toUpperCase() + field.slice(1);
    if (!AT_ROOT.includes(name)) return [invalidValue(path, schema, `only [${AT_ROOT.join(' ')}] fields are allowed at the root of the schema if the status subresource is enabled`)];
  }
  return [];
}
export function validateSchema(validation: CustomResourceValidation | undefined, statusEnabled: boolean, rules: SchemaRules, path: FieldPath): FieldError[] {
  const schema = validation?.openAPIV3Schema;
  if (!schema) return [];
  const at = path.child('openAPIV3Schema');
  const structural = rules.structural && isReadable(schema) ? validateStructural(schema, at) : undefined;
  const openApi = validateOpenAPI(schema, rules, at);
  return [
    ...(statusEnabled ? validateRoot(schema, at) : []),
    ...(schema.nullable ? [forbiddenField(at.child('nullable'), 'nullable cannot be true at the root')] : []),
    ...(structural ?? []),
    ...openApi,
    // Rules, list types and defaults rely on the rest.
    ...(structural?.length === 0 && openApi.length === 0 ? validateSchemaExtensions(schema, at, rules) : []),
  ];
}
