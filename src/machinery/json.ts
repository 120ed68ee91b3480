/**
 * JSON text as the API server reads it: Go's syntax errors, and duplicate keys, which `JSON.parse` keeps quiet about.
 * The fast path is `JSON.parse`; the scanner here runs only on text that is broken, or when duplicates are asked for.
 *
 * An integer of 64 bits whose digits a double would lose is a `bigint`, and is written with all its digits again: see [decision 10](../../docs/decisions/0010-integers-of-64-bits.md).
 */

/** Text that is no JSON; the message is that of Go's `encoding/json`. */
export class JsonSyntaxError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'JsonSyntaxError';
  }
}

/** Deepest nesting that is taken; Go's decoder stops at 10,000, where our recursion would have overflowed. */
export const MAX_DEPTH = 1000;
const TOO_DEEP = 'exceeded max depth';

const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
// oxlint-disable-next-line no-extend-native -- the one hook that JSON.stringify has for bigints
Object.defineProperty(BigInt.prototype, 'toJSON', {
  value(this: bigint) {
    return rawJSON(this.toString());
  },
  configurable: true,
  writable: true,
});

/** No double loses fewer digits. */
const LONG = 16;
/** Whether so many digits come in a row. Looks at every sixteenth character alone: a row that long covers one. */
function hasLongNumber(text: string): boolean {
  const isDigit = (at: number): boolean => {
    const c = text.charCodeAt(at);
    return c >= 48 && c <= 57;
  };
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(at)) continue;
    let [from, to] = [at, at + 1];
    while (at - from < LONG && isDigit(from - 1)) from--;
    while (to - from < LONG && isDigit(to)) to++;
    if (to - from >= LONG) return true;
  }
  return false;
}
const INT64_MAX = 2n ** 63n - 1n;
/** An integer of JSON as it is kept: a number where that prints the same digits, else a bigint; beyond 64 bits it is a double, as in Go. */
export function jsonInteger(value: bigint): number | bigint {
  const double = Number(value);
  return value > INT64_MAX || value < -INT64_MAX - 1n || String(double) === value.toString() ? double : value;
}
type Revive = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
const revive: Revive = (_key, value, { source }) => (typeof value === 'number' && source !== undefined && /^-?[0-9]{16,}$/.test(source) ? jsonInteger(BigInt(source)) : value);

/** `JSON.parse` that loses no digits. */
export function readJson(text: string): unknown {
  return hasLongNumber(text) ? (JSON.parse(text, revive as (key: string, value: unknown) => unknown) as unknown) : (JSON.parse(text) as unknown);
}
/** {@link readJson} with Go's error messages. */
export function parseJson(text: string): unknown {
  try {
    return readJson(text);
  } catch (err) {
    new Scanner(text).document();
    throw new JsonSyntaxError(err instanceof Error ? err.message : String(err), err); // what only JSON.parse refuses
  }
}

/** JSON text with the characters escaped that Go escapes in strings for the sake of HTML and JavaScript. */
export function escapeJson(text: string): string {
  // Each look for one character costs next to nothing; most texts have none.
  const has = text.includes('<') || text.includes('>') || text.includes('&') || text.includes('\u2028') || text.includes('\u2029');
  return has ? text.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`) : text;
}
/** `JSON.stringify` as Go's encoder writes. `indent`: blanks for each level; absent: no blanks at all. */
export function writeJson(value: unknown, indent?: number): string {
  // The engine is quick only where it is given nothing but the value.
  return escapeJson(indent === undefined ? JSON.stringify(value) : JSON.stringify(value, null, indent));
}

/** Throws a {@link JsonSyntaxError} when a value nests deeper than {@link MAX_DEPTH}. */
export function checkDepth(value: unknown, depth = 0): void {
  if (value === null || typeof value !== 'object') return;
  if (depth >= MAX_DEPTH) throw new JsonSyntaxError(TOO_DEEP);
  if (Array.isArray(value)) for (const item of value) checkDepth(item, depth + 1);
  else for (const key in value) checkDepth((value as Record<string, unknown>)[key], depth + 1);
}

/**
 * What a scan for duplicates should look into: the shape of an object, of the items of a list, or nothing at all.
 * `child` gives the shape under a key; undefined skips the value. `known` tells whether the key itself counts.
 */
export interface Shape {
  child(key: string): Shape | undefined;
  known(key: string): boolean;
  item(): Shape | undefined;
}
/** Every key at every depth. */
export const ANY_SHAPE: Shape = { child: () => ANY_SHAPE, known: () => true, item: () => ANY_SHAPE };

/**
 * Whether a key comes twice in an object anywhere in the text; `value` is what {@link parseJson} made of it. It counts the keys of both:
 * a repeated one is in the value once. Much quicker than {@link duplicateFields}, which tells where.
 */
export function hasRepeatedKeys(text: string, value: unknown): boolean {
  return keysInText(text) !== keysOf(value);
}
function keysOf(value: unknown): number {
  let keys = 0;
  if (value === null || typeof value !== 'object') return keys;
  if (Array.isArray(value)) for (const item of value) keys += keysOf(item);
  else for (const key in value) keys += 1 + keysOf((value as Record<string, unknown>)[key]);
  return keys;
}
/** Strings with a colon behind them. The text must be JSON. */
function keysInText(text: string): number {
  let keys = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    do at = text.indexOf('"', at + 1); while (isEscaped(text, at));
    at++;
    let c = text.charCodeAt(at);
    while (c === 32 || c === 10 || c === 13 || c === 9) c = text.charCodeAt(++at);
    if (c === 58) keys++;
  }
  return keys;
}
/** An odd number of backslashes stands before the character. */
function isEscaped(text: string, at: number): boolean {
  let from = at;
  while (text.charCodeAt(from - 1) === 92) from--;
  return (at - from) % 2 === 1;
}

const MAX_DUPLICATES = 100;
/** Paths of keys that come twice in one object, in the order of the text: `spec.containers[0].name`. Throws on broken text. */
export function duplicateFields(text: string, shape: Shape = ANY_SHAPE): string[] {
  const scanner = new Scanner(text);
  scanner.document(shape);
  return [...scanner.duplicates];
}

/** A character as Go's syntax errors show it. */
function quoteChar(char: string): string {
  if (char === "'") return "'\\''";
  if (char === '"') return `'"'`;
  return `'${JSON.stringify(char).slice(1, -1)}'`;
}

const ESCAPES = new Set('"\\/bfnrt');

class Scanner {
  readonly #text: string;
  readonly duplicates = new Set<string>();
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(shape?: Shape): void {
    this.#space();
    this.#value(shape, '');
    this.#space();
    if (this.#at < this.#text.length) throw this.#bad('after top-level value');
  }

  #bad(context: string): JsonSyntaxError {
    if (this.#at >= this.#text.length) return new JsonSyntaxError('unexpected end of JSON input');
    const char = String.fromCodePoint(this.#text.codePointAt(this.#at)!);
    return new JsonSyntaxError(`invalid character ${quoteChar(char)} ${context}`);
  }
  #space(): void {
    for (;;) {
      const c = this.#text.charCodeAt(this.#at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      this.#at++;
    }
  }

  #value(shape: Shape | undefined, path: string): void {
    const c = this.#text[this.#at];
    if (c === '{') this.#nested(() => this.#object(shape, path));
    else if (c === '[') this.#nested(() => this.#array(shape, path));
    else if (c === '"') this.#string();
    else if (c === 't') this.#literal('true');
    else if (c === 'f') this.#literal('false');
    else if (c === 'n') this.#literal('null');
    else if (c === '-' || (c !== undefined && c >= '0' && c <= '9')) this.#number();
    else throw this.#bad('looking for beginning of value');
  }
  #nested(body: () => void): void {
    if (++this.#depth > MAX_DEPTH) throw new JsonSyntaxError(TOO_DEEP);
    this.#at++;
    body();
    this.#depth--;
  }

  #object(shape: Shape | undefined, path: string): void {
    const seen = new Set<string>();
    this.#space();
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return;
    }
    for (;;) {
      if (this.#text[this.#at] !== '"') throw this.#bad('looking for beginning of object key string');
      const key = this.#string();
      const childPath = path === '' ? key : `${path}.${key}`;
      if (shape?.known(key) && seen.has(key) && this.duplicates.size < MAX_DUPLICATES) this.duplicates.add(childPath);
      seen.add(key);
      this.#space();
      if (this.#text[this.#at] !== ':') throw this.#bad('after object key');
      this.#at++;
      this.#space();
      this.#value(shape?.child(key), childPath);
      this.#space();
      if (this.#text[this.#at] === '}') {
        this.#at++;
        return;
      }
      if (this.#text[this.#at] !== ',') throw this.#bad('after object key:value pair');
      this.#at++;
      this.#space();
    }
  }

  #array(shape: Shape | undefined, path: string): void {
    this.#space();
    if (this.#text[this.#at] === ']') {
      this.#at++;
      return;
    }
    for (let i = 0; ; i++) {
      this.#value(shape?.item(), `${path}[${i}]`);
      this.#space();
      if (this.#text[this.#at] === ']') {
        this.#at++;
        return;
      }
      if (this.#text[this.#at] !== ',') throw this.#bad('after array element');
      this.#at++;
      this.#space();
    }
  }

  #string(): string {
    const start = this.#at++;
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || c < ' ') throw this.#bad('in string literal');
      this.#at++;
      if (c === '"') return JSON.parse(this.#text.slice(start, this.#at)) as string;
      if (c === '\\') this.#escape();
    }
  }
  #escape(): void {
    const c = this.#text[this.#at];
    if (c === 'u') {
      this.#at++;
      for (let i = 0; i < 4; i++, this.#at++) {
        if (!/[0-9a-fA-F]/.test(this.#text[this.#at] ?? '')) throw this.#bad('in \\u hexadecimal character escape');
      }
      return;
    }
    if (c === undefined || !ESCAPES.has(c)) throw this.#bad('in string escape code');
    this.#at++;
  }

  #literal(word: string): void {
    for (let i = 0; i < word.length; i++, this.#at++) {
      if (this.#text[this.#at] !== word[i]) throw this.#bad(`in literal ${word} (expecting ${quoteChar(word[i]!)})`);
    }
  }

  #digits(context: string): void {
    if (!/[0-9]/.test(this.#text[this.#at] ?? '')) throw this.#bad(context);
    while (/[0-9]/.test(this.#text[this.#at] ?? '')) this.#at++;
  }
  #number(): void {
    if (this.#text[this.#at] === '-') this.#at++;
    if (this.#text[this.#at] === '0') this.#at++;
    else this.#digits('in numeric literal');
    if (this.#text[this.#at] === '.') {
      this.#at++;
      this.#digits('after decimal point in numeric literal');
    }
    const e = this.#text[this.#at];
    if (e === 'e' || e === 'E') {
      this.#at++;
      if (this.#text[this.#at] === '+' || this.#text[this.#at] === '-') this.#at++;
      this.#digits('in exponent of numeric literal');
    }
  }
}
