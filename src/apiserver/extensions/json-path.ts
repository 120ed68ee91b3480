/**
 * The JSONPath of printer columns and selectable fields: `.spec.a`, `['a.b']`, `.a\.b`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `..name` and filters such as
 * `[?(@.type=="Ready")]`. Source: the Kubernetes page "JSONPath Support". Missing keys give nothing.
 */
import { isObject } from './schema.ts';

type Step = (values: readonly unknown[]) => unknown[];
export type JsonPath = (value: unknown) => readonly unknown[];

/** Throws an Error for a path that cannot be read. */
export function parseJsonPath(text: string): JsonPath {
  const steps = new PathParser(text).parse();
  return (value) => steps.reduce<unknown[]>((values, step) => step(values), [value]);
}

const field = (name: string): Step => (values) => values.flatMap((v) => (isObject(v) && Object.hasOwn(v, name) ? [v[name]] : []));
const children = (value: unknown): unknown[] => (Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []);
const everything: Step = (values) => values.flatMap(children);
function index(at: number): Step {
  return (values) => values.flatMap((v) => (Array.isArray(v) && v.at(at) !== undefined ? [v.at(at) as unknown] : []));
}
function slice(from: number | undefined, to: number | undefined, step: number): Step {
  return (values) => values.flatMap((v) => (Array.isArray(v) ? v.slice(from ?? 0, to).filter((_, i) => i % step === 0) : []));
}
/** Depth is bounded by the body's own limit. */
function descendants(value: unknown): unknown[] {
  return [value, ...children(value).flatMap(descendants)];
}
const union = (steps: readonly Step[]): Step => (values) => values.flatMap((v) => steps.flatMap((step) => step([v])));

class PathParser {
  readonly #text: string;
  #at = 0;
  constructor(text: string) {
    this.#text = text.startsWith('$') ? text.slice(1) : text;
  }
  parse(): Step[] {
    const steps: Step[] = [];
    while (this.#at < this.#text.length) {
      const c = this.#text[this.#at];
      if (c === '.') steps.push(...this.#dot());
      else if (c === '[') steps.push(this.#bracket());
      else if (steps.length === 0) steps.push(field(this.#name()));
      else throw this.#bad();
    }
    return steps;
  }
  #bad(): Error {
    return new Error(`unexpected character ${JSON.stringify(this.#text[this.#at] ?? 'EOF')} at ${this.#at} in JSONPath ${JSON.stringify(this.#text)}`);
  }
  #dot(): Step[] {
    this.#at++;
    if (this.#text[this.#at] === '.') {
      this.#at++;
      const deep: Step = (values) => values.flatMap(descendants);
      return this.#text[this.#at] === '[' ? [deep] : [deep, this.#text[this.#at] === '*' ? this.#star() : field(this.#name())];
    }
    if (this.#text[this.#at] === '[' || this.#at >= this.#text.length) return [];
    return [this.#text[this.#at] === '*' ? this.#star() : field(this.#name())];
  }
  #star(): Step {
    this.#at++;
    return everything;
  }
  /** A backslash takes the meaning from the character behind it. */
  #name(): string {
    let out = '';
    while (this.#at < this.#text.length && !'.[]'.includes(this.#text[this.#at]!)) {
      if (this.#text[this.#at] === '\\') this.#at++;
      out += this.#text[this.#at++] ?? '';
    }
    if (out === '') throw this.#bad();
    return out;
  }
  #bracket(): Step {
    const end = this.#close();
    const inner = this.#text.slice(this.#at + 1, end).trim();
    this.#at = end + 1;
    if (inner === '*') return everything;
    const filter = /^\?\((.*)\)$/s.exec(inner);
    if (filter) return filterStep(filter[1]!);
    return union(splitUnion(inner).map((part) => this.#subscript(part.trim())));
  }
  #close(): number {
    let depth = 0;
    let quote = '';
    for (let i = this.#at; i < this.#text.length; i++) {
      const c = this.#text[i]!;
      if (quote) {
        if (c === '\\') i++;
        else if (c === quote) quote = '';
      } else if (c === '"' || c === "'") quote = c;
      else if (c === '[') depth++;
      else if (c === ']' && --depth === 0) return i;
    }
    throw new Error(`unterminated array in JSONPath ${JSON.stringify(this.#text)}`);
  }
  #subscript(text: string): Step {
    const quoted = /^(['"])(.*)\1$/s.exec(text);
    if (quoted) return field(quoted[2]!.replace(/\\(.)/g, '$1'));
    if (/^-?\d+$/.test(text)) return index(Number(text));
    const range = /^(-?\d*):(-?\d*)(?::(\d+))?$/.exec(text);
    if (!range) throw new Error(`invalid array index ${text}`);
    const number = (s: string | undefined): number | undefined => (s ? Number(s) : undefined);
    return slice(number(range[1]), number(range[2]), Math.max(1, number(range[3]) ?? 1));
  }
}
function splitUnion(text: string): string[] {
  return /['"]/.test(text) ? (text.match(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]+/g) ?? []) : text.split(',');
}

const OPERATORS: Readonly<Record<string, (a: unknown, b: unknown) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => ordered(a, b) && (a as number) < (b as number),
  '<=': (a, b) => ordered(a, b) && (a as number) <= (b as number),
  '>': (a, b) => ordered(a, b) && (a as number) > (b as number),
  '>=': (a, b) => ordered(a, b) && (a as number) >= (b as number),
};
const isNumber = (value: unknown): boolean => typeof value === 'number' || typeof value === 'bigint';
const ordered = (a: unknown, b: unknown): boolean => (isNumber(a) && isNumber(b)) || (typeof a === 'string' && typeof b === 'string');

/** `@.a`, `@.a == "x"`. */
function filterStep(text: string): Step {
  const match = /^\s*(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*$/s.exec(text);
  const left = operand(match ? match[1]! : text.trim());
  if (!match) return (values) => values.flatMap((v) => children(v).filter((item) => left(item).length > 0));
  const right = operand(match[3]!);
  const holds = OPERATORS[match[2]!]!;
  return (values) =>
    values.flatMap((v) =>
      children(v).filter((item) => {
        const [a, b] = [left(item), right(item)];
        return a.length === 1 && b.length === 1 && holds(a[0], b[0]);
      }),
    );
}
function operand(text: string): JsonPath {
  if (text.startsWith('@')) return parseJsonPath(text.slice(1));
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  const literal: unknown = quoted ? quoted[2]!.replace(/\\(.)/g, '$1') : text === 'true' ? true : text === 'false' ? false : Number(text);
  if (typeof literal === 'number' && Number.isNaN(literal)) throw new Error(`unrecognized identifier ${text}`);
  return () => [literal];
}

/** A value as kubectl prints it: strings bare, objects and lists as JSON. */
export function pathText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '<nil>' : typeof value === 'object' ? JSON.stringify(inOrder(value)) : String(value);
}
/** With keys in their order, as Go prints maps. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, child]) => [key, inOrder(child)]));
}
