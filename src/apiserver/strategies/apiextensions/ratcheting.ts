/**
 * What an update of a CustomResourceDefinition is not asked for, because the stored one does not keep to it either: a definition that was
 * accepted once must stay writable. Upstream's counterpart: `ValidateCustomResourceDefinitionUpdate`.
 */
import type { CustomResourceDefinition, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, JSONSchemaProps } from '#api/gen/apiextensions-v1.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import { ALL_EXTENSION_RULES, isPruned, validateMapKeys, validateSetItems, type ExtensionRules } from '../../extensions/rule-checks.ts';
import { itemsOf } from '../../extensions/schema.ts';
import { validateCABundle } from '../webhook-client.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { childrenOf, isReadable, TYPES } from './schema-parts.ts';
import { validateStructural } from './structural.ts';

export interface SchemaRules extends ExtensionRules {
  readonly structural: boolean;
  /** Types are those of OpenAPI. */
  readonly knownTypes: boolean;
}
export interface DefinitionRules {
  /** Every version has a schema. */
  readonly schemas: boolean;
  /** A webhook speaks a version of the review that this server speaks. */
  readonly reviewVersions: boolean;
  /** The bundle of a conversion webhook can be used. */
  readonly caBundle: boolean;
  schemaOf(version: CustomResourceDefinitionVersion): SchemaRules;
}
export const REVIEW_VERSIONS: readonly string[] = ['v1', 'v1beta1'];
const ALL_SCHEMA_RULES: SchemaRules = { ...ALL_EXTENSION_RULES, structural: true, knownTypes: true };
/** A bundle may come after the definition, which is not established before. */
export const RULES_OF_CREATE: DefinitionRules = { schemas: true, reviewVersions: true, caBundle: false, schemaOf: () => ALL_SCHEMA_RULES };

function anywhere(schema: JSONSchemaProps, is: (schema: JSONSchemaProps) => boolean): boolean {
  return is(schema) || childrenOf(schema).some(([child]) => anywhere(child, is));
}
const isLooseSet = (s: JSONSchemaProps): boolean => s['x-kubernetes-list-type'] === 'set' && validateSetItems(itemsOf(s), fieldPath()).length > 0;
const isOfUnknownType = ({ type }: JSONSchemaProps): boolean => type !== undefined && type !== '' && !TYPES.includes(type);

function schemaRulesAfter(old: CustomResourceDefinitionSpec): SchemaRules {
  const schemas = old.versions.flatMap(({ schema }) => (schema?.openAPIV3Schema ? [schema.openAPIV3Schema] : []));
  const readable = schemas.filter(isReadable);
  return {
    ruleCosts: true,
    structural: readable.length === schemas.length && readable.every((s) => validateStructural(s, fieldPath()).length === 0),
    knownTypes: !schemas.some((s) => anywhere(s, isOfUnknownType)),
    prunedDefaults: !readable.some((s) => anywhere(s, (part) => part.default !== undefined && !isPruned(part))),
    atomicSets: !schemas.some((s) => anywhere(s, isLooseSet)),
    mapKeys: !schemas.some((s) => anywhere(s, (part) => validateMapKeys(part, fieldPath()).length > 0)),
  };
}
/** The rules for what follows `old`. */
export function rulesAfter({ spec, status }: CustomResourceDefinition): DefinitionRules {
  const webhook = spec.conversion?.webhook;
  const reviews = webhook?.conversionReviewVersions ?? [];
  const established = status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True') ?? false;
  const after = schemaRulesAfter(spec);
  return {
    schemas: spec.versions.every(({ schema }) => schema?.openAPIV3Schema),
    reviewVersions: reviews.length === 0 || reviews.some((v) => REVIEW_VERSIONS.includes(v)),
    caBundle: established && validateCABundle(webhook?.clientConfig?.caBundle, fieldPath()).length === 0,
    schemaOf: (version) => {
      const old = spec.versions.find(({ name }) => name === version.name);
      return { ...after, ruleCosts: !old || !semanticEqual(old.schema, version.schema) };
    },
  };
}
