/**
 * What a plain YAML scalar means to kubectl: YAML 1.1 words for booleans, numbers in any base, dates left as text.
 * Source: the YAML 1.1 type repository, as narrowed by the Go library that kubectl uses; checked against kubectl 1.32 and 1.36.
 */

import { jsonInteger } from './json.ts';

export type Scalar = string | number | bigint | boolean | null;

const WORDS = new Map<string, Scalar>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((w): [string, Scalar] => [w, true]),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map((w): [string, Scalar] => [w, false]),
  ...['', '~', 'null', 'Null', 'NULL'].map((w): [string, Scalar] => [w, null]),
  ...['.nan', '.NaN', '.NAN'].map((w): [string, Scalar] => [w, NaN]),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((w): [string, Scalar] => [w, Infinity]),
  ...['-.inf', '-.Inf', '-.INF'].map((w): [string, Scalar] => [w, -Infinity]),
]);
const FIRST_OF_WORD = new Set('yYnNtTfFoO~.+-');
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const INTEGER = /^([-+]?)(?:(0[xX][0-9a-fA-F]+)|(0[bB][01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))$/;
const TIMESTAMP = /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})| ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?)?$/;
const UINT64 = 2n ** 64n;

/** Dates and times, which kubectl reads as text and prints in quotes. */
function isTimestamp(text: string): boolean {
  const match = TIMESTAMP.exec(text);
  if (!match) return false;
  const [year, month, day, ...clock] = match.slice(1).map((part) => (part === undefined ? 0 : Number(part))) as [number, number, number, ...number[]];
  const [h1 = 0, m1 = 0, s1 = 0, h2 = 0, m2 = 0, s2 = 0] = clock;
  const date = new Date(Date.UTC(2000, 0, 1));
  date.setUTCFullYear(year, month - 1, day);
  return month >= 1 && month <= 12 && day >= 1 && date.getUTCDate() === day && Math.max(h1, h2) < 24 && Math.max(m1, m2) < 60 && Math.max(s1, s2) < 60;
}

function parseInteger(text: string): number | bigint | undefined {
  const match = INTEGER.exec(text);
  if (!match) return undefined;
  const [, sign, hex, binary, octal, decimal] = match;
  const digits = hex ?? binary ?? (octal === undefined ? decimal! : `0o${octal}`);
  const value = BigInt(digits);
  // Beyond 64 bits only decimal digits still make a number, a float.
  if (value >= UINT64 || (sign === '-' && value > UINT64 / 2n)) return decimal === undefined ? undefined : Number(text);
  return jsonInteger(sign === '-' ? -value : value);
}

/** The value of a plain scalar; integers as `json.ts` keeps them. */
export function resolvePlain(text: string): Scalar {
  const first = text[0];
  if (first === undefined) return null;
  const isDigit = first >= '0' && first <= '9';
  if (!isDigit && !FIRST_OF_WORD.has(first)) return text;
  const word = isDigit ? undefined : WORDS.get(text);
  if (word !== undefined) return word;
  if (first === '.') return FLOAT.test(text) ? finite(text, text) : text;
  if (!isDigit && first !== '+' && first !== '-') return text;
  if (isTimestamp(text)) return text;
  const plain = text.replaceAll('_', '');
  const integer = parseInteger(plain);
  if (integer !== undefined) return integer;
  return FLOAT.test(plain) ? finite(plain, text) : text;
}
function finite(number: string, text: string): Scalar {
  const value = Number(number);
  return Number.isFinite(value) ? value : text;
}

/** True when a plain scalar with this text would be read as something else than the same string: `<<` is the key of a merge. */
export function needsQuotes(text: string): boolean {
  return text === '<<' || resolvePlain(text) !== text || isTimestamp(text) || BASE60.test(text);
}
/** Numbers in base 60, which other readers of YAML 1.1 still know. */
const BASE60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
