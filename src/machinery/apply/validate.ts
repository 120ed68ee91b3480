/** Checks that a value conforms to its schema, in structured-merge-diff's words. */
import { isArray, isObject, type JsonObject } from '../patch/json.ts';
import { goType, goValue } from '../patch/go-format.ts';
import { itemElement } from './list-items.ts';
import { fieldElement, printElement } from './path-element.ts';
import { schemaFor, type ApplySchema, type ListSchema, type MapSchema, type ScalarSchema } from './schema.ts';

interface Violation {
  readonly path: string;
  readonly message: string;
}

/**
 * What is wrong with the value, as one message; undefined when nothing is: `.spec.x: field not declared in schema`, or a
 * list of such lines under `errors:`. Repeated items of lists with keys are wrong unless `allowDuplicates`.
 */
export function violationsOf(value: unknown, schema: ApplySchema, allowDuplicates = false): string | undefined {
  const found: Violation[] = [];
  check(value, schema, '', { found, allowDuplicates });
  if (found.length === 0) return undefined;
  const lines = found.map((v) => (v.path === '' ? v.message : `${v.path}: ${v.message}`));
  return lines.length === 1 ? lines[0] : ['errors:', ...lines.map((line) => `  ${line}`)].join('\n');
}

interface Context {
  readonly found: Violation[];
  readonly allowDuplicates: boolean;
}

function check(value: unknown, schema: ApplySchema, path: string, ctx: Context): void {
  if (value === null || value === undefined) return;
  const shape = schemaFor(schema, value);
  if (shape.kind === 'map') checkMap(value, shape, path, ctx);
  else if (shape.kind === 'list') checkList(value, shape, path, ctx);
  else checkScalar(value, shape, path, ctx);
}

function checkMap(value: unknown, schema: MapSchema, path: string, ctx: Context): void {
  if (!isObject(value)) {
    ctx.found.push({ path, message: `expected map, got &{${goValue(value)}}` });
    return;
  }
  for (const key of Object.keys(value)) {
    const at = path + printElement(fieldElement(key));
    const inner = schema.fields.get(key) ?? schema.element;
    if (!inner) {
      ctx.found.push({ path: at, message: 'field not declared in schema' });
      return;
    }
    check(value[key], inner, at, ctx);
  }
}

function checkList(value: unknown, schema: ListSchema, path: string, ctx: Context): void {
  if (!isArray(value)) {
    ctx.found.push({ path, message: `expected list, got &{${goValue(value)}}` });
    return;
  }
  const seen = new Set<string>();
  for (const [i, item] of value.entries()) {
    let element = `i:${i}`;
    if (schema.relationship !== 'atomic') {
      try {
        element = itemElement(schema, item);
      } catch (err) {
        ctx.found.push({ path, message: `element ${i}: ${(err as Error).message}` });
        return;
      }
      if (seen.has(element) && !ctx.allowDuplicates) ctx.found.push({ path, message: `duplicate entries for key ${printElement(element)}` });
      seen.add(element);
    }
    check(item, schema.element, path + printElement(element), ctx);
  }
}

function checkScalar(value: unknown, schema: ScalarSchema, path: string, ctx: Context): void {
  const type = typeof value;
  const bad = (message: string) => void ctx.found.push({ path, message });
  if (schema.scalar === 'numeric' && type !== 'number' && type !== 'bigint') bad(`expected numeric (int or float), got ${goType(value)}`);
  else if (schema.scalar === 'string' && type !== 'string') bad(`expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`);
  else if (schema.scalar === 'boolean' && type !== 'boolean') bad(`expected boolean, got &{${goValue(value)}}`);
  else if (schema.scalar === 'untyped' && type === 'object') bad(`expected any scalar, got &{${goValue(value)}}`);
}

/** `%#v` of a decoded JSON value. */
function goSyntax(value: unknown): string {
  if (value === null || value === undefined) return 'interface {}(nil)';
  if (isArray(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`;
  if (!isObject(value)) return JSON.stringify(value);
  const parts = Object.keys(value as JsonObject).sort().map((k) => `${JSON.stringify(k)}:${goSyntax(value[k])}`);
  return `map[string]interface {}{${parts.join(', ')}}`;
}
