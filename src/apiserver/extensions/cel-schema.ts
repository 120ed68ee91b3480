/**
 * A schema as a CEL type, with the sizes that values of it can have in a request: what the cost of a rule is estimated from.
 * Numbers: upstream's `SchemaDeclType`, which decides whether a rule is accepted and so are part of the API.
 */
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, listOf, mapOf, STRING, TIMESTAMP, type CelType, type ListSemantics, type ObjectField } from '#cel/types.ts';
import type { SizeEstimator } from '#cel/cost-estimate.ts';
import { ZERO } from '#cel/cost-sizes.ts';
import { itemsOf, valuesOf, type Schema } from './schema.ts';

const MAX_REQUEST = 3 * 1024 * 1024;
const MAX_TEXT = MAX_REQUEST - 2;

export interface Declaration {
  readonly type: CelType;
  /** Bytes of the smallest JSON of the type. */
  readonly minSize: number;
  /** Items, entries or bytes at most; absent for what has no size. */
  readonly maxElements?: number | undefined;
  /** By CEL's name. */
  readonly fields?: ReadonlyMap<string, Declaration> | undefined;
  /** Of items or values. */
  readonly element?: Declaration | undefined;
}

const RESERVED: ReadonlySet<string> = new Set(['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while']);
const ESCAPES: Readonly<Record<string, string>> = { __: '__underscores__', '.': '__dot__', '-': '__dash__', '/': '__slash__' };
/** The name of a property in expressions; undefined: it has none and cannot be reached. */
export function celName(property: string): string | undefined {
  if (RESERVED.has(property)) return `__${property}__`;
  return /^[a-zA-Z_.\-/][a-zA-Z0-9_.\-/]*$/.test(property) ? property.replace(/__|[.\-/]/g, (c) => ESCAPES[c]!) : undefined;
}

const NAME: Schema = { type: 'string' };
/** What every whole object has for expressions. */
const OBJECT_FIELDS = { kind: NAME, apiVersion: NAME, metadata: { type: 'object', properties: { name: NAME, generateName: NAME } } };

/** `isRoot`: a whole object, of which the type and the name are always there. Undefined: the type is not known. */
export function declare(schema: Schema | undefined, isRoot: boolean, name = 'selfType'): Declaration | undefined {
  if (!schema) return undefined;
  if (schema['x-kubernetes-int-or-string']) return { type: DYN, minSize: 1, maxElements: schema.maxLength === undefined ? MAX_TEXT : positive(schema.maxLength) * 4 };
  switch (schema.type) {
    case 'array':
      return declareList(schema, name);
    case 'object':
      return valuesOf(schema) && !isRoot ? declareMap(schema, name) : declareObject(isRoot ? { ...schema, properties: { ...schema.properties, ...OBJECT_FIELDS } } : schema, name);
    case 'string':
      return declareString(schema);
    case 'boolean':
      return { type: BOOL, minSize: 4 };
    case 'number':
      return { type: DOUBLE, minSize: 1 };
    case 'integer':
      return { type: INT, minSize: 1 };
    default:
      return undefined;
  }
}
const positive = (n: number): number => Math.max(0, n);
const declareChild = (schema: Schema, name: string): Declaration | undefined => declare(schema, schema['x-kubernetes-embedded-resource'] === true, name);

function declareList(schema: Schema, name: string): Declaration | undefined {
  const items = itemsOf(schema);
  const element = items && declareChild(items, `${name}.@idx`);
  if (!element) return undefined;
  const listType = schema['x-kubernetes-list-type'];
  const semantics: ListSemantics | undefined = listType === 'set' || listType === 'map' ? { listType, keys: listType === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []).map((k) => celName(k) ?? k) : [] } : undefined;
  const maxElements = schema.maxItems === undefined ? Math.floor(MAX_TEXT / (element.minSize + 1)) : positive(schema.maxItems);
  return { type: listOf(element.type, semantics), minSize: 2, maxElements, element };
}
function declareMap(schema: Schema, name: string): Declaration | undefined {
  const element = declareChild(valuesOf(schema)!, `${name}.@elem`);
  if (!element) return undefined;
  const maxElements = schema.maxProperties === undefined ? Math.floor(MAX_TEXT / (element.minSize + 6)) : positive(schema.maxProperties);
  return { type: mapOf(STRING, element.type), minSize: 2, maxElements, element };
}
function declareObject(schema: Schema, name: string): Declaration {
  const fields = new Map<string, Declaration>();
  const types = new Map<string, ObjectField>();
  let minSize = 2;
  for (const [jsonName, property] of Object.entries(schema.properties ?? {})) {
    const declared = declareChild(property, `${name}.${jsonName}`);
    if (!declared) continue;
    const field = celName(jsonName);
    if (field !== undefined) {
      fields.set(field, declared);
      types.set(field, { jsonName, type: declared.type });
    }
    if (schema.required?.includes(jsonName) && property.default === undefined) minSize += jsonName.length + declared.minSize + 4;
  }
  return { type: { kind: 'object', name, fields: types }, minSize, fields };
}
function declareString(schema: Schema): Declaration {
  switch (schema.format) {
    case 'byte':
      return { type: BYTES, minSize: 2, maxElements: schema.maxLength === undefined ? MAX_TEXT : positive(schema.maxLength) };
    case 'duration':
      return { type: DURATION, minSize: 4, maxElements: 32 };
    case 'date':
      return { type: TIMESTAMP, minSize: 12, maxElements: 12 };
    case 'date-time':
      return { type: TIMESTAMP, minSize: 22, maxElements: 37 };
    default:
      break;
  }
  if (schema.maxLength !== undefined) return { type: STRING, minSize: 2, maxElements: positive(schema.maxLength) * 4 };
  const longest = schema.enum?.length ? Math.max(0, ...schema.enum.map((v) => (typeof v === 'string' ? Buffer.byteLength(v) : 0))) : MAX_TEXT;
  return { type: STRING, minSize: 2, maxElements: longest };
}

/** Sizes by the way from a variable. As upstream's, it takes every variable for the root and keys of maps for empty, so that some are too small. */
export function sizesOf(root: Declaration): SizeEstimator {
  return (path) => {
    if (!path?.length) return undefined;
    let current: Declaration | undefined = root;
    for (const step of path.slice(1)) {
      if (step === '@keys') return current?.element ? ZERO : undefined;
      current = step === '@items' || step === '@values' ? current.element : current.fields?.get(step);
      if (!current) return undefined;
    }
    return { min: 0, max: current.maxElements ?? 0 };
  };
}
/** How often a value of the type fits into a request: how often a rule runs whose place is not bounded. */
export function maxCardinality(declaration: Declaration): number {
  return Math.floor(MAX_REQUEST / (declaration.minSize + 1));
}
