/** `"%s".format([…])` of cel-go's strings extension. */
import { goQuote } from '#machinery/go-text.ts';
import { CelError } from '../errors.ts';
import type { Frame } from '../frame.ts';
import { runtimeName } from '../types.ts';
import { Duration, isNumber, ListValue, MapValue, OptionalValue, Timestamp, typeOf, TypeValue, Uint, type Value } from '../values.ts';
import { doubleText, textOf } from './conversions.ts';

function listText(f: Frame, list: ListValue): string {
  return `[${[...list].map((item) => nested(f, item)).join(', ')}]`;
}
function mapText(f: Frame, map: MapValue): string {
  const entries = [...map.keys()].map((key) => [nested(f, key), nested(f, map.get(key)!)] as const);
  return `{${entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}:${value}`).join(', ')}}`;
}
/** Inside of lists and maps values look as they would be written. */
function nested(f: Frame, value: Value): string {
  if (typeof value === 'string') {
    f.scribble(value.length);
    return goQuote(value);
  }
  if (typeof value === 'number') return Number.isFinite(value) ? roundedToEven(value, 6) : fixed(value, 6);
  if (value instanceof Uint8Array) return `b${goQuote(Buffer.from(value).toString('latin1'))}`;
  if (value instanceof Timestamp) return `timestamp(${goQuote(textOf(value))})`;
  if (value instanceof Duration) return `duration(${goQuote(textOf(value))})`;
  if (value instanceof TypeValue) return `type(${value.name})`;
  return shown(f, value);
}
/** `%s`: any value. */
function shown(f: Frame, value: Value): string {
  f.scribble(typeof value === 'string' ? value.length : 0);
  if (value === null) return 'null';
  if (value instanceof ListValue) return listText(f, value);
  if (value instanceof MapValue) return mapText(f, value);
  if (value instanceof TypeValue) return value.name;
  if (value instanceof OptionalValue || (typeof value === 'object' && !(value instanceof Uint || value instanceof Timestamp || value instanceof Duration || value instanceof Uint8Array))) {
    throw new CelError(`error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${runtimeName(typeOf(value))}`);
  }
  return textOf(value);
}
const bad = (clause: string, takes: string, value: Value): CelError => new CelError(`error during formatting: ${clause} clause can only be used on ${takes}, was given ${runtimeName(typeOf(value))}`);
const integerOf = (value: Value): bigint | undefined => (typeof value === 'bigint' ? value : value instanceof Uint ? value.value : undefined);

function decimal(value: Value): string {
  const int = integerOf(value);
  if (int !== undefined) return int.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  throw bad('decimal', 'integers', value);
}
/** More than `toFixed` gives nobody can have. */
const MOST_DIGITS = 100;
/** Like `toFixed`, but a tie goes to the even digit, as Go rounds. */
function roundedToEven(value: number, digits: number): string {
  const up = value.toFixed(digits);
  if (digits >= MOST_DIGITS) return up;
  const exact = value.toFixed(MOST_DIGITS);
  const kept = exact.slice(0, digits - MOST_DIGITS);
  const isTie = /^50*$/.test(exact.slice(digits - MOST_DIGITS));
  return isTie && /[02468]\.?$/.test(kept) ? kept.replace(/\.$/, '') : up;
}
/** Thousands are set apart, as in English. */
const grouped = (text: string): string => text.replace(/^(-?)(\d+)/, (_, sign: string, whole: string) => sign + whole.replace(/\B(?=(?:\d{3})+$)/g, ','));
function fixed(value: Value, digits: number): string {
  if (typeof value !== 'number') {
    if (isNumber(value)) return grouped(Number(integerOf(value)).toFixed(Math.min(digits, MOST_DIGITS)));
    throw bad('fixed-point', 'doubles', value);
  }
  return Number.isFinite(value) ? grouped(roundedToEven(value, Math.min(digits, MOST_DIGITS))) : doubleText(value).replace('Inf', '\u221e').replace('+', '');
}
/** What stands for the precision is a width to upstream: the digits are always six. */
function scientific(value: Value, width: number): string {
  const number = typeof value === 'number' ? value : Number(integerOf(value) ?? NaN);
  if (typeof value !== 'number' && integerOf(value) === undefined) throw bad('scientific', 'doubles', value);
  if (!Number.isFinite(number)) return doubleText(number).replace('Inf', '\u221e').replace('+', '').padStart(width);
  const [mantissa, exponent] = number.toExponential(6).split('e') as [string, string];
  const power = [...exponent.slice(1).padStart(2, '0')].map((digit) => SUPERSCRIPT[Number(digit)]).join('');
  return `${mantissa}\u00d710${exponent.startsWith('-') ? '\u207b' : ''}${power}`.padStart(Math.min(width, 1_000));
}
/** As Go's `x/text` writes exponents. */
const SUPERSCRIPT = ['\u2070', '\u00b9', '\u00b2', '\u00b3', '\u2074', '\u2075', '\u2076', '\u2077', '\u2078', '\u2079'];
function hexadecimal(value: Value, isUpper: boolean): string {
  const int = integerOf(value);
  let text: string;
  if (int !== undefined) text = int.toString(16);
  else if (typeof value === 'string') text = Buffer.from(value).toString('hex');
  else if (value instanceof Uint8Array) text = Buffer.from(value).toString('hex');
  else throw bad('hex', 'integers, byte buffers, and strings', value);
  return isUpper ? text.toUpperCase() : text;
}
function clause(f: Frame, verb: string, precision: number | undefined, value: Value): string {
  switch (verb) {
    case 's':
      return shown(f, value);
    case 'd':
      return decimal(value);
    case 'f':
      return fixed(value, precision ?? 6);
    case 'e':
      return scientific(value, precision ?? 6);
    case 'b': {
      if (typeof value === 'boolean') return value ? '1' : '0';
      const int = integerOf(value);
      if (int === undefined) throw bad('binary', 'integers and bools', value);
      return int.toString(2);
    }
    case 'x':
    case 'X':
      return hexadecimal(value, verb === 'X');
    case 'o': {
      const int = integerOf(value);
      if (int === undefined) throw bad('octal', 'integers', value);
      return int.toString(8);
    }
    default:
      throw new CelError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
  }
}

export function formatString(f: Frame, template: string, args: ListValue): string {
  let next = 0;
  const out = template.replace(/%(?:%|(?:\.(\d*))?([^]|$))/g, (all, precision: string | undefined, verb: string | undefined) => {
    if (all === '%%') return '%';
    if (verb === undefined || verb === '') throw new CelError('unexpected end of string');
    if (next >= args.size) throw new CelError(`index ${next} out of range`);
    return clause(f, verb, precision === undefined ? undefined : Number(precision), args.get(next++));
  });
  if (next < args.size) throw new CelError(`too many arguments supplied to string.format (expected ${next}, got ${args.size})`);
  return out;
}
