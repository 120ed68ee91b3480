/** Checks of `x-kubernetes-validations`, list types and defaults when a CustomResourceDefinition is written. In upstream's words. */
import { draftOf } from '#base/draft.ts';
import { getOwn } from '#base/own.ts';
import { fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { RE2JS } from 're2js';
import { celName, declare, maxCardinality, type Declaration } from './cel-schema.ts';
import { compileRule } from './cel-rule.ts';
import { celValidator } from './cel-validation.ts';
import { validateEmbedded } from './embedded-objects.ts';
import { resolveFieldPath } from './field-paths.ts';
import { validateListTypes } from './list-types.ts';
import { prune } from './pruning.ts';
import { itemsOf, sameJson, valuesOf, type Schema } from './schema.ts';
import { schemaValidator } from './value-validation.ts';

/** Upstream's `StaticEstimatedCostLimit` and `StaticEstimatedCRDCostLimit`. */
const RULE_LIMIT = 10_000_000;
const SCHEMA_LIMIT = 100_000_000;
const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];
const MAX_NAMED = 4;

function tooDear(what: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const shown = factor > 100 ? 'more than 100x' : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return `${what} exceeds budget by factor of ${shown} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
}

interface Place {
  readonly path: FieldPath;
  /** Undefined where the type is not known. */
  readonly declaration: Declaration | undefined;
  /** How often values of this place can be in one object; undefined: without bound. */
  readonly cardinality: number | undefined;
  /** The part of the schema in which an item has no counterpart in the old object. */
  readonly uncorrelatable: FieldPath | undefined;
}

/** What a schema must keep to. On updates some of it is not asked for: what was stored before must stay writable. */
export interface ExtensionRules {
  /** No rule may be too dear by itself; not asked of a schema that does not change. */
  readonly ruleCosts: boolean;
  /** Defaults have no unknown fields. */
  readonly prunedDefaults: boolean;
  /** Items of sets are atomic. */
  readonly atomicSets: boolean;
  /** Keys of map lists are there and not null, nor are items of map lists and sets. */
  readonly mapKeys: boolean;
}
export const ALL_EXTENSION_RULES: ExtensionRules = { ruleCosts: true, prunedDefaults: true, atomicSets: true, mapKeys: true };

/** Rules, costs, list types, patterns and defaults of a structural schema. */
export function validateSchemaExtensions(schema: Schema, path: FieldPath, rules: ExtensionRules = ALL_EXTENSION_RULES): FieldError[] {
  const checks = new Checks(rules);
  checks.walk(schema, { path, declaration: declare(schema, true), cardinality: 1, uncorrelatable: undefined }, true);
  if (checks.errors.length === 0) checks.errors.push(...validateDefaults(schema, path, rules.prunedDefaults));
  checks.total(path);
  return checks.errors;
}

class Checks {
  readonly errors: FieldError[] = [];
  readonly #asked: ExtensionRules;
  #total = 0;
  readonly #dear: { readonly path: FieldPath; readonly cost: number }[] = [];
  constructor(asked: ExtensionRules) {
    this.#asked = asked;
  }
  walk(schema: Schema, place: Place, isRoot: boolean): void {
    const { path } = place;
    this.errors.push(...validateListType(schema, path, this.#asked), ...validateMapType(schema, path), ...validatePattern(schema, path));
    if (schema['x-kubernetes-preserve-unknown-fields'] === false) this.errors.push(invalidValue(path.child('x-kubernetes-preserve-unknown-fields'), false, 'must be true or undefined'));
    this.#rules(schema, place);
    const items = itemsOf(schema);
    const bound = elementsOf(schema);
    const cardinality = place.cardinality === undefined || bound === undefined ? undefined : place.cardinality * bound;
    if (items) {
      const uncorrelatable = place.uncorrelatable ?? (schema['x-kubernetes-list-type'] === 'map' ? undefined : path);
      this.walk(items, { path: path.child('items'), declaration: place.declaration?.element, cardinality, uncorrelatable }, false);
    }
    const values = valuesOf(schema);
    if (values) this.walk(values, { path: path.child('additionalProperties'), declaration: place.declaration?.element, cardinality, uncorrelatable: place.uncorrelatable }, false);
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      if (isRoot && (name === 'apiVersion' || name === 'kind')) continue;
      const escaped = celName(name);
      const declaration = (escaped === undefined ? undefined : place.declaration?.fields?.get(escaped)) ?? declare(property, property['x-kubernetes-embedded-resource'] === true);
      this.walk(property, { path: path.child('properties').key(name), declaration, cardinality, uncorrelatable: place.uncorrelatable }, false);
    }
  }
  #rules(schema: Schema, { path, declaration, cardinality, uncorrelatable }: Place): void {
    const rules = schema['x-kubernetes-validations'] ?? [];
    const before = this.errors.length;
    for (const [i, rule] of rules.entries()) this.errors.push(...validateRuleText(rule, schema, path.child('x-kubernetes-validations').index(i)));
    if (!declaration || this.errors.length > before) return;
    for (const [i, rule] of rules.entries()) {
      const at = path.child('x-kubernetes-validations').index(i);
      const compiled = compileRule(rule, declaration);
      if (!compiled) continue;
      const cost = compiled.maxCost * (cardinality ?? maxCardinality(declaration));
      this.#spend(at.child('rule'), cost, 'estimated rule cost');
      if (compiled.error !== undefined) this.errors.push(invalidValue(at.child('rule'), shownRule(rule), compiled.error));
      if (compiled.message?.error !== undefined) this.errors.push(invalidValue(at.child('messageExpression'), shownRule(rule), compiled.message.error));
      else if (compiled.message) this.#spend(at.child('messageExpression'), compiled.message.maxCost, 'estimated messageExpression cost');
      if (compiled.usesOldSelf && uncorrelatable) this.errors.push(invalidValue(at.child('rule'), rule.rule, `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable.toString()}`));
      else if (!compiled.usesOldSelf && rule.optionalOldSelf !== undefined) this.errors.push(invalidValue(at.child('optionalOldSelf'), rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule'));
    }
  }
  #spend(path: FieldPath, cost: number, what: string): void {
    if (this.#asked.ruleCosts && cost > RULE_LIMIT) this.errors.push(forbiddenField(path, tooDear(what, cost, RULE_LIMIT)));
    this.#total += cost;
    if (cost >= SCHEMA_LIMIT / 100) this.#dear.push({ path, cost });
  }
  total(path: FieldPath): void {
    if (this.#total <= SCHEMA_LIMIT) return;
    for (const { path: at } of this.#dear.toSorted((a, b) => b.cost - a.cost).slice(0, MAX_NAMED)) this.errors.push(forbiddenField(at, 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema'));
    this.errors.push(forbiddenField(path, tooDear('x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema', this.#total, SCHEMA_LIMIT)));
  }
}
type Rule = NonNullable<Schema['x-kubernetes-validations']>[number];
/** A rule as upstream's messages show it: its own type, with all fields. */
function shownRule({ rule, message = '', messageExpression = '', reason, fieldPath: path = '', optionalOldSelf }: Rule): unknown {
  return { Rule: rule, Message: message, MessageExpression: messageExpression, Reason: reason ?? null, FieldPath: path, OptionalOldSelf: optionalOldSelf ?? null };
}
function elementsOf(schema: Schema): number | undefined {
  if (schema.type === 'array') return schema.maxItems === undefined ? undefined : Math.max(0, schema.maxItems);
  if (schema.type === 'object' && schema.additionalProperties !== undefined) return schema.maxProperties === undefined ? undefined : Math.max(0, schema.maxProperties);
  return 1;
}

function validateRuleText(rule: Rule, schema: Schema, path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  const [text, message] = [(rule.rule ?? '').trim(), (rule.message ?? '').trim()];
  const breaks = (s: string): boolean => /[\n\r]/.test(s);
  if (text === '') out.push(required(path.child('rule'), 'rule is not specified'));
  else if (rule.message && message === '') out.push(invalidValue(path.child('message'), rule.message, 'must be non-empty if specified'));
  else if (breaks(message)) out.push(invalidValue(path.child('message'), rule.message, 'must not contain line breaks'));
  else if (breaks(text) && message === '') out.push(required(path.child('message'), 'message must be specified if rule contains line breaks'));
  if (rule.messageExpression && rule.messageExpression.trim() === '') out.push(required(path.child('messageExpression'), 'messageExpression must be non-empty if specified'));
  if (rule.reason !== undefined && !REASONS.includes(rule.reason)) out.push(notSupported(path.child('reason'), rule.reason, REASONS));
  if (rule.fieldPath) {
    const at = path.child('fieldPath');
    if (rule.fieldPath.trim() === '') out.push(invalidValue(at, rule.fieldPath, 'must be non-empty if specified'));
    if (breaks(rule.fieldPath)) out.push(invalidValue(at, rule.fieldPath, 'must not contain line breaks'));
    if (!resolveFieldPath(rule.fieldPath, schema, fieldPath())) out.push(invalidValue(at, rule.fieldPath, 'must be a valid path'));
  }
  return out;
}
function validatePattern({ pattern }: Schema, path: FieldPath): FieldError[] {
  if (!pattern) return [];
  try {
    RE2JS.compile(pattern);
    return [];
  } catch (err) {
    return [invalidValue(path.child('pattern'), pattern, `must be a valid regular expression, but isn't: ${err instanceof Error ? err.message : String(err)}`)];
  }
}
function validateMapType(schema: Schema, path: FieldPath): FieldError[] {
  const mapType = schema['x-kubernetes-map-type'];
  if (mapType === undefined) return [];
  const out: FieldError[] = [];
  const why = 'must be object if x-kubernetes-map-type is specified';
  if (schema.type !== 'object') out.push(schema.type ? invalidValue(path.child('type'), schema.type, why) : required(path.child('type'), why));
  if (mapType !== 'atomic' && mapType !== 'granular') out.push(notSupported(path.child('x-kubernetes-map-type'), mapType, ['atomic', 'granular']));
  return out;
}
function validateListType(schema: Schema, path: FieldPath, asked: ExtensionRules): FieldError[] {
  const listType = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const at = path.child('x-kubernetes-list-type');
  const out: FieldError[] = [];
  const why = 'must be array if x-kubernetes-list-type is specified';
  if (listType !== undefined && schema.type !== 'array') out.push(schema.type ? invalidValue(path.child('type'), schema.type, why) : required(path.child('type'), why));
  else if (listType === 'set' && asked.atomicSets) out.push(...validateSetItems(itemsOf(schema), path.child('items')));
  if (listType !== undefined && !['atomic', 'set', 'map'].includes(listType)) out.push(notSupported(at, listType, ['atomic', 'set', 'map'], 'listed'));
  const mapOnly = 'must be map if x-kubernetes-list-map-keys is non-empty';
  if (keys.length && listType !== 'map') out.push(listType === undefined ? required(at, mapOnly) : invalidValue(at, listType, mapOnly));
  if (listType === 'map') out.push(...validateMapItems(schema, keys, path));
  if (asked.mapKeys) out.push(...validateMapKeys(schema, path));
  return out;
}
/** What {@link ExtensionRules.mapKeys} asks of one list. */
export function validateMapKeys(schema: Schema, path: FieldPath): FieldError[] {
  const listType = schema['x-kubernetes-list-type'];
  const items = itemsOf(schema);
  if (!items || (listType !== 'map' && listType !== 'set')) return [];
  const out: FieldError[] = [];
  if (listType === 'map' && items.type === 'object') {
    for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
      const property = getOwn(items.properties, key);
      const where = path.child('items').child('properties').key(key);
      if (!property) continue;
      if (!items.required?.includes(key) && property.default === undefined) out.push(required(where.child('default'), 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'));
      if (property.nullable) out.push(forbiddenField(where.child('nullable'), 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'));
    }
  }
  return items.nullable ? [...out, forbiddenField(path.child('items').child('nullable'), `cannot be nullable when x-kubernetes-list-type is ${listType}`)] : out;
}
/** What {@link ExtensionRules.atomicSets} asks of the items of a set. */
export function validateSetItems(items: Schema | undefined, path: FieldPath): FieldError[] {
  const why = 'must be atomic as item of a list with x-kubernetes-list-type=set';
  const [listType, mapType] = [items?.['x-kubernetes-list-type'], items?.['x-kubernetes-map-type']];
  if (items?.type === 'array' && listType !== undefined && listType !== 'atomic') return [invalidValue(path.child('x-kubernetes-list-type'), listType, why)];
  if (items?.type === 'object' && mapType !== 'atomic') return [invalidValue(path.child('x-kubernetes-map-type'), mapType ?? null, why)];
  return [];
}
function validateMapItems(schema: Schema, keys: readonly string[], path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  const at = path.child('x-kubernetes-list-map-keys');
  const items = itemsOf(schema);
  if (keys.length === 0) out.push(required(at, 'must not be empty if x-kubernetes-list-type is map'));
  if (!items) return [...out, required(path.child('items'), 'must have a schema if x-kubernetes-list-type is map')];
  if (items.type !== 'object') return [...out, invalidValue(path.child('items').child('type'), items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map")];
  for (const [i, key] of keys.entries()) {
    const property = getOwn(items.properties, key);
    const where = path.child('items').child('properties').key(key);
    if (!property) out.push(invalidValue(at, keys, 'entries must all be names of item properties'));
    else if (property.type === 'array' || property.type === 'object') out.push(invalidValue(where.child('type'), items.type, "must be a scalar type if parent array's x-kubernetes-list-type is map"));
    if (keys.indexOf(key) < i) out.push(invalidValue(at, keys, 'must not contain duplicate entries'));
  }
  return out;
}

/** Every default must fit its own schema. */
function validateDefaults(schema: Schema, path: FieldPath, pruned: boolean, inMeta = ''): FieldError[] {
  const out: FieldError[] = [];
  if (schema.default !== undefined) out.push(...(inMeta === '' ? validateDefault(schema, path.child('default'), pruned) : [forbiddenField(path.child('default'), `must not be set ${inMeta}`)]));
  const items = itemsOf(schema);
  if (items) out.push(...validateDefaults(items, path.child('items'), pruned, inMeta));
  const values = valuesOf(schema);
  if (values) out.push(...validateDefaults(values, path.child('additionalProperties'), pruned, inMeta));
  const isRoot = path.toString().endsWith('openAPIV3Schema');
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const meta = isRoot && ['apiVersion', 'kind', 'metadata'].includes(name) ? `in top-level ${name}` : inMeta;
    out.push(...validateDefaults(property, path.child('properties').key(name), pruned, meta));
  }
  return out;
}
/** A default without fields that the schema does not know. */
export function isPruned(schema: Schema): boolean {
  const copy = draftOf(schema.default);
  prune(copy, schema);
  return sameJson(copy, schema.default);
}
function validateDefault(schema: Schema, path: FieldPath, pruned: boolean): FieldError[] {
  const value = schema.default;
  if (pruned && !isPruned(schema)) return [invalidValue(path, value, 'must not have unknown fields')];
  const embedded = validateEmbedded(value, schema, path, false);
  if (embedded.length) return embedded;
  const errors = [...schemaValidator(schema).validate(value, undefined, path), ...validateListTypes(value, schema, path)];
  if (errors.length) return errors;
  return celValidator(schema, false)?.validate(value, value, { path, warn: () => {} }) ?? [];
}
