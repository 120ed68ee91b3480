/** Conversions between types, and the parts of timestamps and durations. Source: the CEL language definition, "List of Standard Definitions". */
import { parseDuration } from '#machinery/duration.ts';
import { CelError } from '../errors.ts';
import { declare, member, plain, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { checkedNanos, floorDiv, offsetOf, parseTimestamp, timestampText, wallClock } from '../timestamps.ts';
import { runtimeName } from '../types.ts';
import { Duration, sizeOf, Timestamp, typeOf, TypeValue, Uint, type Value } from '../values.ts';

const NANOS = 1_000_000_000n;
const MAX_INT = 2n ** 63n - 1n;
const MIN_INT = -(2n ** 63n);
const tenth = (a: Value): number => Math.ceil(sizeOf(a) * 0.1);

/** A double as CEL prints it: like Go's `strconv.FormatFloat` by 'g' with as many digits as are needed, an exponent from a million on. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const abs = Math.abs(value);
  if (value !== 0 && (abs < 1e-4 || abs >= 1e6)) {
    const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
    return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
  }
  return Object.is(value, -0) ? '-0' : String(value);
}
function durationText(nanos: bigint): string {
  const negative = nanos < 0n;
  const abs = negative ? -nanos : nanos;
  const fraction = (abs % NANOS).toString().padStart(9, '0').replace(/0+$/, '');
  return `${negative ? '-' : ''}${abs / NANOS}${fraction === '' ? '' : `.${fraction}`}s`;
}
export function textOf(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return doubleText(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return timestampText(value.nanos, value.offset);
  if (value instanceof Duration) return durationText(value.nanos);
  if (value instanceof Uint8Array) {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    try {
      return text.decode(value);
    } catch {
      throw new CelError('invalid UTF-8 in bytes, cannot convert to string');
    }
  }
  return String(value);
}
/** A text that says nothing of the wanted type. */
const unreadable = (wanted: string): CelError => new CelError(`type conversion error from 'string' to '${wanted}'`);
function parseInteger(text: string, low: bigint, high: bigint, wanted: 'int' | 'uint'): bigint {
  const syntax = wanted === 'int' ? /^[+-]?[0-9]+$/ : /^[0-9]+$/;
  if (!syntax.test(text) || text.length > 64) throw unreadable(wanted);
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  if (value < low || value > high) throw unreadable(wanted);
  return value;
}
function intInRange(value: bigint): bigint {
  if (value > MAX_INT || value < MIN_INT) throw new CelError('integer overflow');
  return value;
}
function uintInRange(value: bigint): Uint {
  if (value < 0n || value >= 2n ** 64n) throw new CelError('unsigned integer overflow');
  return new Uint(value);
}
function whole(value: number, what: string): bigint {
  if (!Number.isFinite(value)) throw new CelError(what);
  return BigInt(Math.trunc(value));
}
function parseDouble(text: string): number {
  if (/^[+-]?(?:inf|infinity)$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return NaN;
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) throw unreadable('double');
  const value = Number(text);
  if (!Number.isFinite(value)) throw unreadable('double');
  return value;
}
const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);
function parseBool(text: string): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw unreadable('bool');
}
function durationOf(text: string): Duration {
  try {
    return new Duration(parseDuration(text));
  } catch {
    throw unreadable('google.protobuf.Duration');
  }
}
const same: Implementation = (_f, a) => a;
const toText: Implementation = (_f, a) => textOf(a);

const conversions: readonly FunctionDeclaration[] = [
  declare('int',
    plain('int64_to_int64', 'int -> int', same), plain('uint64_to_int64', 'uint -> int', (_f, a) => intInRange((a as Uint).value)), plain('double_to_int64', 'double -> int', (_f, a) => intInRange(whole(a as number, 'integer overflow'))),
    plain('string_to_int64', 'string -> int', (_f, a) => parseInteger(a as string, MIN_INT, MAX_INT, 'int')), plain('timestamp_to_int64', 'timestamp -> int', (_f, a) => floorDiv((a as Timestamp).nanos, NANOS)),
    plain('duration_to_int64', 'duration -> int', (_f, a) => (a as Duration).nanos)),
  declare('uint',
    plain('uint64_to_uint64', 'uint -> uint', same), plain('int64_to_uint64', 'int -> uint', (_f, a) => uintInRange(a as bigint)), plain('double_to_uint64', 'double -> uint', (_f, a) => uintInRange(whole(a as number, 'unsigned integer overflow'))),
    plain('string_to_uint64', 'string -> uint', (_f, a) => new Uint(parseInteger(a as string, 0n, 2n ** 64n - 1n, 'uint')))),
  declare('double',
    plain('double_to_double', 'double -> double', same), plain('int64_to_double', 'int -> double', (_f, a) => Number(a)), plain('uint64_to_double', 'uint -> double', (_f, a) => Number((a as Uint).value)),
    plain('string_to_double', 'string -> double', (_f, a) => parseDouble(a as string))),
  declare('bool', plain('bool_to_bool', 'bool -> bool', same), plain('string_to_bool', 'string -> bool', (_f, a) => parseBool(a as string))),
  declare('string',
    plain('string_to_string', 'string -> string', same), plain('bool_to_string', 'bool -> string', toText), plain('bytes_to_string', 'bytes -> string', toText, tenth), plain('double_to_string', 'double -> string', toText),
    plain('int64_to_string', 'int -> string', toText), plain('uint64_to_string', 'uint -> string', toText), plain('timestamp_to_string', 'timestamp -> string', toText), plain('duration_to_string', 'duration -> string', toText)),
  declare('bytes', plain('bytes_to_bytes', 'bytes -> bytes', same), plain('string_to_bytes', 'string -> bytes', (_f, a) => Buffer.from(a as string), tenth)),
  declare('timestamp',
    plain('timestamp_to_timestamp', 'timestamp -> timestamp', same), plain('string_to_timestamp', 'string -> timestamp', (_f, a) => new Timestamp(parseTimestamp(a as string), offsetOf(a as string))),
    plain('int64_to_timestamp', 'int -> timestamp', (_f, a) => new Timestamp(checkedNanos((a as bigint) * NANOS)))),
  declare('duration', plain('duration_to_duration', 'duration -> duration', same), plain('string_to_duration', 'string -> duration', (_f, a) => durationOf(a as string)), plain('int64_to_duration', 'int -> duration', (_f, a) => new Duration(a as bigint))),
  declare('dyn', plain('to_dyn', 'A -> dyn', same, 0)),
  declare('type', plain('type', 'A -> type<A>', (_f, a) => new TypeValue(runtimeName(typeOf(a))))),
];

const DAY_MS = 86_400_000;
const dayOfYear = (d: Date): number => Math.floor((Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate()) - Date.UTC(d.getUTCFullYear(), 0, 1)) / DAY_MS);
function part(name: string, read: (date: Date) => number, ofDuration?: (nanos: bigint) => bigint): FunctionDeclaration {
  const at: Implementation = (_f, a, zone) => BigInt(read(wallClock((a as Timestamp).nanos, (zone as string | null) ?? '')));
  return declare(name,
    member(`timestamp_to_${name}`, 'timestamp -> int', at), member(`timestamp_to_${name}_with_tz`, 'timestamp, string -> int', at),
    ...(ofDuration ? [member(`duration_to_${name}`, 'duration -> int', (_f, a) => ofDuration((a as Duration).nanos))] : []));
}
const parts: readonly FunctionDeclaration[] = [
  part('getFullYear', (d) => d.getUTCFullYear()),
  part('getMonth', (d) => d.getUTCMonth()),
  part('getDayOfYear', dayOfYear),
  part('getDayOfMonth', (d) => d.getUTCDate() - 1),
  part('getDate', (d) => d.getUTCDate()),
  part('getDayOfWeek', (d) => d.getUTCDay()),
  part('getHours', (d) => d.getUTCHours(), (n) => n / (3600n * NANOS)),
  part('getMinutes', (d) => d.getUTCMinutes(), (n) => n / (60n * NANOS)),
  part('getSeconds', (d) => d.getUTCSeconds(), (n) => n / NANOS),
  part('getMilliseconds', (d) => d.getUTCMilliseconds(), (n) => n / 1_000_000n),
];
export const CONVERSIONS: readonly FunctionDeclaration[] = [...conversions, ...parts];
