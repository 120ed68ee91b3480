/** What mutations are made of: `JSONPatch{…}`, `Object{…}` and `jsonpatch.escapeKey`. Source: KEP-3962. */
import type { StructMaker } from '../environment.ts';
import { CelError } from '../errors.ts';
import { declare, plain, type FunctionDeclaration } from '../functions.ts';
import { DYN, objectType, STRING, type CelType } from '../types.ts';
import { MapValue, sizeOf, type Value } from '../values.ts';

export const JSON_PATCH_TYPE = objectType('JSONPatch', { op: STRING, path: STRING, from: STRING, value: DYN });

/** An object that an expression constructed. */
export class StructValue extends MapValue {
  readonly #type: CelType;
  readonly #fields: ReadonlyMap<string, Value>;
  constructor(type: CelType, fields: ReadonlyMap<string, Value>) {
    super();
    this.#type = type;
    this.#fields = fields;
  }
  override get type(): CelType {
    return this.#type;
  }
  get size(): number {
    return this.#fields.size;
  }
  get(key: Value): Value | undefined {
    return typeof key === 'string' ? this.#fields.get(key) : undefined;
  }
  keys(): Iterable<Value> {
    return this.#fields.keys();
  }
}
const patchMaker: StructMaker = {
  type: JSON_PATCH_TYPE,
  field: (name) => (JSON_PATCH_TYPE.kind === 'object' ? JSON_PATCH_TYPE.fields.get(name)?.type : undefined),
  make: (fields) => new StructValue(JSON_PATCH_TYPE, fields),
};
/** A field of an `Object` holds an object whose type is named after the way to it: `Object.spec`. */
function checkNames(typeName: string, fields: ReadonlyMap<string, Value>): void {
  for (const [name, value] of fields) {
    if (!(value instanceof StructValue) || value.type.kind !== 'object') continue;
    const expected = `${typeName}.${name}`;
    if (value.type.name.startsWith('Object') && value.type.name !== expected) throw new CelError(`unexpected type name "${value.type.name}", expected "${expected}", which matches field name path from root Object type`);
  }
}
function objectMaker(name: string): StructMaker {
  const type: CelType = { kind: 'object', name, fields: new Map(), open: true };
  return {
    type,
    field: () => DYN,
    make: (fields) => {
      checkNames(name, fields);
      return new StructValue(type, fields);
    },
  };
}
export function mutationStructs(name: string): StructMaker | undefined {
  if (name === 'JSONPatch') return patchMaker;
  return name === 'Object' || name.startsWith('Object.') ? objectMaker(name) : undefined;
}
export const JSON_PATCH_FUNCTIONS: readonly FunctionDeclaration[] = [
  declare('jsonpatch.escapeKey', plain('string_jsonpatch_escapeKey_string', 'string -> string', (_f, a) => (a as string).replaceAll('~', '~0').replaceAll('/', '~1'), (a) => Math.ceil(sizeOf(a) * 0.1))),
];
