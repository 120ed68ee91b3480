/** JSON as CEL values, seen through a type: nothing is copied, items and fields are converted when they are read. */
import { parseDuration } from '#machinery/duration.ts';
import { CelError } from './errors.ts';
import { offsetOf, parseTimestamp } from './timestamps.ts';
import { DYN, STRING, type CelType } from './types.ts';
import { ArrayList, Duration, ListValue, MapValue, OptionalValue, Timestamp, Uint, type Value } from './values.ts';

type Json = Readonly<Record<string, unknown>>;
const own = (json: Json, key: string): unknown => (Object.hasOwn(json, key) ? json[key] : undefined);

export class JsonList extends ListValue {
  readonly json: readonly unknown[];
  readonly #type: CelType;
  readonly #item: CelType;
  constructor(json: readonly unknown[], type: CelType) {
    super();
    this.json = json;
    this.#type = type;
    this.#item = type.kind === 'list' ? type.item : DYN;
  }
  override get type(): CelType {
    return this.#type;
  }
  get size(): number {
    return this.json.length;
  }
  get(index: number): Value {
    return fromJson(this.json[index], this.#item);
  }
}
/** A map, or an object with declared fields. */
export class JsonMap extends MapValue {
  readonly json: Json;
  readonly #type: CelType;
  constructor(json: Json, type: CelType) {
    super();
    this.json = json;
    this.#type = type;
  }
  override get type(): CelType {
    return this.#type;
  }
  get size(): number {
    return Object.keys(this.json).length;
  }
  get(key: Value): Value | undefined {
    if (typeof key !== 'string') return undefined;
    const type = this.#type;
    if (type.kind === 'object') {
      const field = type.fields.get(key);
      if (!field) return type.open ? defined(own(this.json, key), DYN) : undefined;
      return defined(own(this.json, field.jsonName), field.type);
    }
    return defined(own(this.json, key), type.kind === 'map' ? type.value : DYN);
  }
  *keys(): Generator<Value> {
    const type = this.#type;
    if (type.kind !== 'object' || type.open) return yield* Object.keys(this.json);
    for (const [name, field] of type.fields) if (own(this.json, field.jsonName) !== undefined) yield name;
  }
}
function defined(json: unknown, type: CelType): Value | undefined {
  return json === undefined ? undefined : fromJson(json, type);
}

/** A JSON value as the type says; without a type whole numbers are int. Absent is null. */
export function fromJson(json: unknown, type: CelType): Value {
  switch (typeof json) {
    case 'string':
      return type === STRING || type.kind === 'dyn' ? json : fromText(json, type);
    case 'boolean':
      return json;
    case 'number':
      return type.kind !== 'double' && Number.isInteger(json) ? BigInt(json) : json;
    case 'bigint':
      return json;
    case 'object':
      break;
    default:
      return null;
  }
  if (json === null) return null;
  return Array.isArray(json) ? new JsonList(json, type.kind === 'list' ? type : LIST) : new JsonMap(json as Json, type.kind === 'object' || type.kind === 'map' ? type : MAP);
}
const LIST: CelType = { kind: 'list', item: DYN };
const MAP: CelType = { kind: 'map', key: STRING, value: DYN };

function fromText(text: string, type: CelType): Value {
  try {
    if (type.kind === 'timestamp') return new Timestamp(parseTimestamp(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text), offsetOf(text));
    if (type.kind === 'duration') return new Duration(parseDuration(text));
    if (type.kind === 'bytes') return Buffer.from(text, 'base64');
  } catch (err) {
    throw new CelError(`Invalid ${type.kind} ${text}: ${err instanceof Error ? err.message : String(err)}`);
  }
  return text;
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
/** A value as JSON, for patches and results; of integers that JSON's numbers do not hold the text, as cel-go gives them. Throws for what JSON has no form for. */
export function toJson(value: Value): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return value <= MAX_SAFE && value >= -MAX_SAFE ? Number(value) : value.toString();
  if (value instanceof Uint) return toJson(value.value);
  if (value instanceof JsonList || value instanceof JsonMap) return value.json;
  if (value instanceof ArrayList || value instanceof ListValue) return [...value].map(toJson);
  if (value instanceof MapValue) return Object.fromEntries([...value.keys()].map((key) => [String(key), toJson(value.get(key)!)]));
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof OptionalValue) return value.value === undefined ? null : toJson(value.value);
  throw new CelError('unsupported type conversion to JSON');
}
