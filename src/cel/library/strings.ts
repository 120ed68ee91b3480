/** Strings: the standard tests and cel-go's strings extension, version 2, which counts in code points. */
import { CelError } from '../errors.ts';
import type { Frame } from '../frame.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { goQuote } from '#machinery/go-text.ts';
import { ArrayList, codePoints, ListValue, sizeOf, type Value } from '../values.ts';
import { formatString } from './format-string.ts';

const tenth: CallCost = (a) => Math.ceil(sizeOf(a) * 0.1);
const tenthOfPart: CallCost = (_a, b) => Math.ceil(sizeOf(b) * 0.1);
const scan: CallCost = (a) => Math.floor(Buffer.byteLength(a as string) * 0.1);
const fifth: CallCost = (a) => Math.ceil(sizeOf(a) * 0.2);

const isWide = (text: string): boolean => /[\ud800-\udfff]/.test(text);
/** The text as something that is indexed by code points. */
function points(text: string): string | readonly string[] {
  return isWide(text) ? [...text] : text;
}
const slice = (text: string | readonly string[], from: number, to?: number): string => (typeof text === 'string' ? text.slice(from, to) : text.slice(from, to).join(''));
function position(index: Value, size: number, name = 'index'): number {
  const i = index as bigint;
  if (i < 0n || i > BigInt(size)) throw new CelError(`${name} out of range: ${i}`);
  return Number(i);
}
/** An offset in UTF-16 units as one in code points. */
const toPoints = (text: string, at: number): bigint => BigInt(at < 0 ? -1 : isWide(text) ? codePoints(text.slice(0, at)) : at);
function toUnits(text: string, at: number): number {
  return isWide(text) ? [...text].slice(0, at).join('').length : at;
}

const charAt: Implementation = (_f, a, index) => {
  const text = points(a as string);
  const at = position(index, text.length);
  return at === text.length ? '' : text[at]!;
};
/** Where a search begins; undefined: behind the text, where nothing is. */
function searchFrom(offset: Value, size: number): number | undefined {
  const at = offset as bigint;
  if (at < 0n) throw new CelError(`index out of range: ${at}`);
  return at < BigInt(size) ? Number(at) : undefined;
}
const indexOf: Implementation = (_f, a, b, offset) => {
  const [text, part] = [a as string, b as string];
  if (part === '') return offset ?? 0n;
  const from = offset === null ? 0 : searchFrom(offset, codePoints(text));
  return from === undefined ? -1n : toPoints(text, text.indexOf(part, toUnits(text, from)));
};
const lastIndexOf: Implementation = (_f, a, b, offset) => {
  const [text, part] = [a as string, b as string];
  const size = codePoints(text);
  if (part === '') return offset ?? BigInt(size);
  const from = offset === null ? size : searchFrom(offset, size);
  return from === undefined ? -1n : toPoints(text, text.lastIndexOf(part, toUnits(text, from)));
};
const substring: Implementation = (_f, a, from, to) => {
  const text = points(a as string);
  const start = position(from, text.length);
  if (to === null) return slice(text, start);
  const end = position(to, text.length);
  if (start > end) throw new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  return slice(text, start, end);
};
const replace: Implementation = (f, a, from, to, limit) => {
  const [text, old, next] = [a as string, from as string, to as string];
  const most = limit === null || (limit as bigint) < 0n ? Infinity : Number(limit);
  if (most === 0) return text;
  let out = '';
  let rest = 0;
  const size = old === '' ? 0 : old.length;
  for (let count = 0, at = 0; count < most; count++) {
    const hit = old === '' ? at : text.indexOf(old, at);
    if (hit < 0 || hit > text.length) break;
    out += text.slice(rest, hit) + next;
    f.scribble(next.length);
    rest = hit + size;
    at = size === 0 ? hit + (isWide(text.slice(hit, hit + 2)) ? 2 : 1) : rest;
  }
  return out + text.slice(rest);
};
const split: Implementation = (f, a, separator, limit) => {
  const [text, by] = [a as string, separator as string];
  const most = limit === null || (limit as bigint) < 0n ? Infinity : Number(limit);
  if (most === 0) return new ArrayList([]);
  if (most === 1) return new ArrayList([text]);
  f.scribble(text.length);
  const parts = by === '' ? [...text] : text.split(by);
  return new ArrayList(parts.length <= most ? parts : [...parts.slice(0, most - 1), parts.slice(most - 1).join(by)]);
};
/** Charged for what comes out, before it is made. */
const join: Implementation = (f, a, separator) => {
  const by = (separator as string | null) ?? '';
  const parts: string[] = [];
  let size = 0;
  for (const item of a as ListValue) {
    if (typeof item !== 'string') throw new CelError('no such overload');
    parts.push(item);
    size += item.length + by.length;
    f.scribble(item.length);
  }
  f.charge(Math.ceil(Math.max(0, size - by.length) * 0.2));
  return parts.join(by);
};
const lower: Implementation = (_f, a) => (a as string).replace(/[A-Z]+/g, (s) => s.toLowerCase());
const upper: Implementation = (_f, a) => (a as string).replace(/[a-z]+/g, (s) => s.toUpperCase());
/** Unicode's white space, as Go trims it. */
const trim: Implementation = (_f, a) => (a as string).replace(/^[\p{White_Space}\u0085]+|[\p{White_Space}\u0085]+$/gu, '');
const format: Implementation = (f: Frame, a, args) => formatString(f, a as string, args as ListValue);

export const STRINGS: readonly FunctionDeclaration[] = [
  declare('contains', member('contains_string', 'string, string -> bool', (_f, a, b) => (a as string).includes(b as string), (a, b) => Math.ceil(sizeOf(a) * 0.1) * Math.ceil(sizeOf(b) * 0.1))),
  declare('startsWith', member('starts_with_string', 'string, string -> bool', (_f, a, b) => (a as string).startsWith(b as string), tenthOfPart)),
  declare('endsWith', member('ends_with_string', 'string, string -> bool', (_f, a, b) => (a as string).endsWith(b as string), tenthOfPart)),
  declare('charAt', member('string_char_at_int', 'string, int -> string', charAt)),
  declare('indexOf', member('string_index_of_string', 'string, string -> int', indexOf, scan), member('string_index_of_string_int', 'string, string, int -> int', indexOf, scan)),
  declare('lastIndexOf', member('string_last_index_of_string', 'string, string -> int', lastIndexOf, scan), member('string_last_index_of_string_int', 'string, string, int -> int', lastIndexOf, scan)),
  declare('lowerAscii', member('string_lower_ascii', 'string -> string', lower, tenth)),
  declare('upperAscii', member('string_upper_ascii', 'string -> string', upper, tenth)),
  declare('replace', member('string_replace_string_string', 'string, string, string -> string', replace, fifth), member('string_replace_string_string_int', 'string, string, string, int -> string', replace, fifth)),
  declare('split', member('string_split_string', 'string, string -> list<string>', split, fifth), member('string_split_string_int', 'string, string, int -> list<string>', split, fifth)),
  declare('substring', member('string_substring_int', 'string, int -> string', substring, tenth), member('string_substring_int_int', 'string, int, int -> string', substring, tenth)),
  declare('trim', member('string_trim', 'string -> string', trim, tenth)),
  declare('join', member('list_join', 'list<string> -> string', join, 0), member('list_join_string', 'list<string>, string -> string', join, 0)),
  declare('format', member('string_format', 'string, list<dyn> -> string', format, tenth)),
  declare('strings.quote', plain('strings_quote', 'string -> string', (_f, a) => goQuote(a as string), tenth)),
];
