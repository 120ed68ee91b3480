/**
 * YAML as kubectl prints it: keys sorted, lists not indented under their key, plain text where it reads back as the same string, lines
 * folded past 80 columns. The layout is libyaml's; checked against kubectl 1.32.
 */
import { needsQuotes } from './yaml-scalars.ts';

const BEST_WIDTH = 80;
const INDENT = 2;
/** A longer key is written with a question mark in front. */
const MAX_SIMPLE_KEY = 128;

type Style = 'plain' | 'single' | 'double' | 'literal';

/** True for a character that may stand as it is. Those beyond the Basic Multilingual Plane may not, by libyaml's rules. */
function isPrintable(code: number): boolean {
  return code === 0x0a || (code >= 0x20 && code <= 0x7e) || (code >= 0xa0 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd && code !== 0xfeff);
}
/** Unicode's own line ends always get an escape here: libyaml breaks the line at them, which YAML 1.2 readers no longer undo. */
const isLineSeparator = (code: number): boolean => code === 0x2028 || code === 0x2029;
const isBreak = (char: string | undefined): boolean => char === '\n' || char === '\r';
const isBlank = (char: string | undefined): boolean => char === ' ' || char === '\t';

interface Allowed {
  plain: boolean;
  single: boolean;
  literal: boolean;
  readonly multiline: boolean;
}

/** Texts that need no closer look: no indicator, blank or break in them. */
const SIMPLE = /^[A-Za-z0-9_/()+=^$;~<][A-Za-z0-9_./@()+=^$;~<>-]*$/;

/** Which styles can hold a text. */
function analyse(text: string): Allowed {
  const chars = [...text];
  let indicators = text.startsWith('---') || text.startsWith('...');
  let special = false;
  let breaks = false;
  let breakSpace = false;
  let spaceBreak = false;
  chars.forEach((char, i) => {
    const next = chars[i + 1];
    const before = chars[i - 1];
    const followed = next === undefined || isBlank(next);
    if (i === 0 ? ',#[]{}&*!|>\'"%@`'.includes(char) || ('?:-'.includes(char) && followed) : (char === ':' && followed) || (char === '#' && (isBlank(before) || isBreak(before)))) indicators = true;
    if (!isPrintable(char.codePointAt(0)!) || isLineSeparator(char.codePointAt(0)!)) special = true;
    if (isBreak(char)) {
      breaks = true;
      if (before === ' ') spaceBreak = true;
    }
    if (char === ' ' && isBreak(before)) breakSpace = true;
  });
  const edge = (char: string | undefined): boolean => char === ' ' || isBreak(char);
  const bad = spaceBreak || special;
  return {
    plain: !bad && !breakSpace && !breaks && !indicators && !edge(chars[0]) && !edge(chars.at(-1)),
    single: !bad && !breakSpace,
    literal: !bad && chars.at(-1) !== ' ',
    multiline: breaks,
  };
}

const SIMPLE_ESCAPES = new Map([
  [0, '0'], [7, 'a'], [8, 'b'], [9, 't'], [10, 'n'], [11, 'v'], [12, 'f'], [13, 'r'], [0x1b, 'e'], [0x22, '"'], [0x5c, '\\'], [0x85, 'N'], [0xa0, '_'], [0x2028, 'L'], [0x2029, 'P'],
]);
function escapeOf(code: number): string {
  const simple = SIMPLE_ESCAPES.get(code);
  if (simple !== undefined) return `\\${simple}`;
  const [letter, width] = code <= 0xff ? ['x', 2] : code <= 0xffff ? ['u', 4] : ['U', 8];
  return `\\${letter}${code.toString(16).toUpperCase().padStart(width as number, '0')}`;
}

/** Go's order of keys: letters after everything else, runs of digits by their value. */
export function compareKeys(a: string, b: string): number {
  const x = [...a];
  const y = [...b];
  const isLetter = (c: string): boolean => /\p{L}/u.test(c);
  const isDigit = (c: string | undefined): boolean => c !== undefined && /\p{Nd}/u.test(c);
  for (let i = 0; i < x.length && i < y.length; i++) {
    const left = x[i]!;
    const right = y[i]!;
    if (left === right) continue;
    if (isLetter(left) || isLetter(right)) return isLetter(left) && isLetter(right) ? left.codePointAt(0)! - right.codePointAt(0)! : isLetter(right) ? -1 : 1;
    const leading = left === '0' || right === '0' ? leadingOne(x, i) : 0;
    const [leftNumber, leftEnd] = numberAt(x, i, leading, isDigit);
    const [rightNumber, rightEnd] = numberAt(y, i, leading, isDigit);
    if (leftNumber !== rightNumber) return leftNumber - rightNumber;
    return leftEnd !== rightEnd ? leftEnd - rightEnd : left.codePointAt(0)! - right.codePointAt(0)!;
  }
  return x.length - y.length;
}
/** 1 when digits other than 0 stand right before `at`: then a 0 there is not a leading one. */
function leadingOne(chars: readonly string[], at: number): number {
  for (let j = at - 1; j >= 0 && /\p{Nd}/u.test(chars[j]!); j--) if (chars[j] !== '0') return 1;
  return 0;
}
function numberAt(chars: readonly string[], at: number, start: number, isDigit: (c: string | undefined) => boolean): [value: number, end: number] {
  let value = start;
  let end = at;
  for (; isDigit(chars[end]); end++) value = value * 10 + (chars[end]!.codePointAt(0)! - 48);
  return [value, end];
}

/** An integer of 64 bits in digits, anything else as Go's `strconv.FormatFloat(…, 'g', -1, 64)`. */
function numberText(value: number): string {
  if (Number.isInteger(value) && value < 2 ** 64 && value >= -(2 ** 63)) return BigInt(value).toString();
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const e = Number(exponent);
  if (e >= -4 && e < 6) return String(value);
  return `${mantissa}e${e < 0 ? '-' : '+'}${String(Math.abs(e)).padStart(2, '0')}`;
}

class Emitter {
  #parts: string[] = [];
  #column = 0;

  text(): string {
    return this.#parts.join('');
  }
  #put(text: string): void {
    this.#parts.push(text);
    this.#column += text.length;
  }
  #newLine(indent: number): void {
    this.#parts.push('\n', ' '.repeat(indent));
    this.#column = indent;
  }

  /** A value after `key:`, after `-`, or at the root; `indent` is that of the enclosing block. */
  value(value: unknown, indent: number, place: 'root' | 'key' | 'item'): void {
    if (Array.isArray(value) && value.length > 0) this.#list(value, indent, place);
    else if (isMap(value) && hasKeys(value)) this.#map(value, indent, place);
    else {
      if (place !== 'root') this.#put(' ');
      this.#scalar(value, indent + INDENT);
    }
  }

  #list(items: readonly unknown[], indent: number, place: 'root' | 'key' | 'item'): void {
    const own = place === 'item' ? indent + INDENT : indent;
    items.forEach((item, i) => {
      if (i === 0 && place === 'item') this.#put(' ');
      else if (i > 0 || place === 'key') this.#newLine(own);
      this.#put('-');
      this.value(item === undefined ? null : item, own, 'item');
    });
  }

  #map(map: Readonly<Record<string, unknown>>, indent: number, place: 'root' | 'key' | 'item'): void {
    const own = place === 'root' ? 0 : indent + INDENT;
    let first = true;
    for (const key of Object.keys(map).toSorted(compareKeys)) {
      const value = map[key];
      if (value === undefined) continue;
      if (first && place === 'item') this.#put(' ');
      else if (!first || place === 'key') this.#newLine(own);
      first = false;
      this.value(value, own, this.#key(key, own));
    }
  }
  /** Writes a key with its colon; gives the place of its value: after a question mark that starts on the same line, as in a list. */
  #key(key: string, indent: number): 'key' | 'item' {
    const allowed = analyse(key);
    if (!allowed.multiline && Buffer.byteLength(key) <= MAX_SIMPLE_KEY) {
      this.#string(key, this.#style(key, true), indent, false);
      this.#put(':');
      return 'key';
    }
    this.#put('? ');
    this.#scalar(key, indent + INDENT);
    this.#newLine(indent);
    this.#put(':');
    return 'item';
  }

  #scalar(value: unknown, indent: number): void {
    if (typeof value === 'string') this.#string(value, this.#style(value, false), indent, true);
    else if (typeof value === 'number') this.#put(numberText(value));
    else if (Array.isArray(value)) this.#put('[]');
    else if (isMap(value)) this.#put('{}');
    else this.#put(value === undefined ? 'null' : String(value));
  }

  #style(text: string, isKey: boolean): Style {
    if (SIMPLE.test(text)) return needsQuotes(text) ? 'double' : 'plain';
    const allowed = analyse(text);
    if (text.includes('\n')) return allowed.literal && !isKey ? 'literal' : 'double';
    if (needsQuotes(text)) return 'double';
    if (allowed.plain) return 'plain';
    return allowed.single && !(isKey && allowed.multiline) ? 'single' : 'double';
  }

  #string(text: string, style: Style, indent: number, folds: boolean): void {
    switch (style) {
      case 'plain': return folds ? this.#folded(text, indent, false) : this.#put(text);
      case 'single': {
        this.#put("'");
        this.#folded(text, indent, true, folds);
        return this.#put("'");
      }
      case 'double': return this.#double(text, indent, folds);
      case 'literal': return this.#literal(text, indent);
    }
  }

  /** Plain or single-quoted text, broken at single spaces past the best width. */
  #folded(text: string, indent: number, quoted: boolean, folds = true): void {
    if (!folds || this.#column + text.length <= BEST_WIDTH) return this.#put(quoted ? text.replaceAll("'", "''") : text);
    let afterSpace = false;
    for (let i = 0; i < text.length; i++) {
      const char = text[i]!;
      const inside = !quoted || (i > 0 && i < text.length - 1);
      if (char === ' ' && !afterSpace && this.#column > BEST_WIDTH && inside && text[i + 1] !== ' ') this.#newLine(indent);
      else this.#put(quoted && char === "'" ? "''" : char);
      afterSpace = char === ' ';
    }
  }

  #double(text: string, indent: number, folds: boolean): void {
    this.#put('"');
    const chars = [...text];
    let afterSpace = false;
    chars.forEach((char, i) => {
      const code = char.codePointAt(0)!;
      if (!isPrintable(code) || isBreak(char) || isLineSeparator(code) || char === '"' || char === '\\') this.#put(escapeOf(code));
      else if (char === ' ' && folds && !afterSpace && this.#column > BEST_WIDTH && i > 0 && i < chars.length - 1) {
        this.#newLine(indent);
        if (chars[i + 1] === ' ') this.#put('\\');
      } else this.#put(char);
      afterSpace = char === ' ';
    });
    this.#put('"');
  }

  #literal(text: string, indent: number): void {
    const keep = text === '\n' || text.endsWith('\n\n');
    this.#put(`|${/^[ \n]/.test(text) ? INDENT : ''}${keep ? '+' : text.endsWith('\n') ? '' : '-'}`);
    const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
    for (const line of lines) {
      if (line === '') this.#parts.push('\n');
      else {
        this.#newLine(indent);
        this.#put(line);
      }
    }
    this.#column = 0;
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
function hasKeys(map: Readonly<Record<string, unknown>>): boolean {
  return Object.values(map).some((value) => value !== undefined);
}

/** The YAML text of a JSON value, with a line end. Fields that are undefined are left out. */
export function dumpYaml(value: unknown): string {
  const emitter = new Emitter();
  emitter.value(value, 0, 'root');
  return `${emitter.text()}\n`;
}
