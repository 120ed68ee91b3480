/**
 * Label selectors: the text form of `?labelSelector=` and `kubectl -l`, and the `LabelSelector` object. Field selectors: `field-selectors.ts`.
 * Source: the API reference, "Labels and Selectors"; grammar and error texts as upstream's `apimachinery/pkg/labels`.
 */
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import { fieldPath, FieldPath, invalidValue, notSupported, toAggregate, type FieldError } from './field-errors.ts';
import { goQuote } from './go-text.ts';
import { isQualifiedName, isValidLabelValue } from './names.ts';

export { parseFieldSelector, escapeFieldValue, type FieldMatcher } from './field-selectors.ts';

export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'gt' | 'lt' | 'exists' | '!';
export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  /** Sorted, without repeats. */
  readonly values: readonly string[];
}
export type Labels = Readonly<Record<string, string>>;

/** A selector that is wrong; the message is upstream's. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SelectorError';
  }
}

const BINARY_OPERATORS: readonly LabelOperator[] = ['in', 'notin', '=', '==', '!=', 'gt', 'lt'];
const ALL_OPERATORS: readonly LabelOperator[] = [...BINARY_OPERATORS, 'exists', '!'];
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** The value as Go's `strconv.ParseInt` reads it; undefined where it is no int64. */
export function parseInt64(text: string): bigint | undefined {
  if (!/^[-+]?[0-9]+$/.test(text)) return undefined;
  const value = BigInt(text.replace(/^\+/, ''));
  return value < INT64.min || value > INT64.max ? undefined : value;
}

function matchesRequirement({ key, operator, values }: LabelRequirement, labels: Labels | undefined): boolean {
  const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'in': case '=': case '==':
      return value !== undefined && values.includes(value);
    case 'notin': case '!=':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case '!':
      return value === undefined;
    case 'gt': case 'lt': {
      const have = value === undefined ? undefined : parseInt64(value);
      const want = parseInt64(values[0] ?? '');
      if (have === undefined || want === undefined) return false;
      return operator === 'gt' ? have > want : have < want;
    }
  }
}

function requirementText({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'exists': return key;
    case '!': return `!${key}`;
    case 'in': case 'notin': return `${key} ${operator} (${values.join(',')})`;
    case 'gt': return `${key}>${values.join(',')}`;
    case 'lt': return `${key}<${values.join(',')}`;
    default: return `${key}${operator}${values.join(',')}`;
  }
}

/** A compiled label selector. Immutable. */
export class LabelMatcher {
  /** Sorted by key; all must hold. */
  readonly requirements: readonly LabelRequirement[];
  /** Selects nothing at all: the meaning of an absent `LabelSelector`. */
  readonly nothing: boolean;

  constructor(requirements: readonly LabelRequirement[], nothing = false) {
    this.requirements = requirements.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.nothing = nothing;
  }
  /** True for the selector that selects everything. */
  get empty(): boolean {
    return !this.nothing && this.requirements.length === 0;
  }
  matches(labels: Labels | undefined): boolean {
    if (this.nothing) return false;
    for (const requirement of this.requirements) if (!matchesRequirement(requirement, labels)) return false;
    return true;
  }
  /** The value that the label must have, where the selector asks for a single one. */
  requiresExactMatch(key: string): string | undefined {
    const requirement = this.requirements.find((r) => r.key === key);
    return requirement && ['=', '==', 'in'].includes(requirement.operator) && requirement.values.length === 1 ? requirement.values[0] : undefined;
  }
  /** The text that {@link parseLabelSelector} reads back. */
  toString(): string {
    return this.requirements.map(requirementText).join(',');
  }
}

export const EVERYTHING = new LabelMatcher([]);
export const NOTHING = new LabelMatcher([], true);

function checkKey(key: string, path: FieldPath): FieldError[] {
  const messages = isQualifiedName(key);
  return messages.length ? [invalidValue(path, key, messages.join('; '))] : [];
}

function checkValues(operator: LabelOperator, values: readonly string[], path: FieldPath): FieldError[] {
  switch (operator) {
    case 'in': case 'notin':
      return values.length === 0 ? [invalidValue(path, values, "for 'in', 'notin' operators, values set can't be empty")] : [];
    case '=': case '==': case '!=':
      return values.length === 1 ? [] : [invalidValue(path, values, 'exact-match compatibility requires one single value')];
    case 'exists': case '!':
      return values.length === 0 ? [] : [invalidValue(path, values, 'values set must be empty for exists and does not exist')];
    case 'gt': case 'lt': {
      const count = values.length === 1 ? [] : [invalidValue(path, values, "for 'Gt', 'Lt' operators, exactly one value is required")];
      const bad = values.flatMap((v, i) => (parseInt64(v) === undefined ? [invalidValue(path.index(i), v, "for 'Gt', 'Lt' operators, the value must be an integer")] : []));
      return [...count, ...bad];
    }
  }
}

/** A checked requirement. Throws {@link SelectorError} with what is wrong in it. */
export function labelRequirement(key: string, operator: LabelOperator, given: readonly string[]): LabelRequirement {
  const errors = checkKey(key, fieldPath('key'));
  const path = fieldPath('values');
  if (ALL_OPERATORS.includes(operator)) errors.push(...checkValues(operator, given, path));
  else errors.push(notSupported(fieldPath('operator'), operator, ALL_OPERATORS));
  given.forEach((value, i) => {
    const messages = isValidLabelValue(value);
    if (messages.length) errors.push(invalidValue(path.index(i).key(key), value, messages.join('; ')));
  });
  if (errors.length) throw new SelectorError(toAggregate(errors));
  return { key, operator, values: [...new Set(given)].toSorted() };
}

const OBJECT_OPERATORS: Readonly<Record<string, LabelOperator>> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' };

/** The matcher of a `LabelSelector` object: absent selects nothing, empty everything. Throws {@link SelectorError} where it is invalid. */
export function labelMatcherOf(selector: LabelSelector | null | undefined): LabelMatcher {
  if (selector === undefined || selector === null) return NOTHING;
  const requirements = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => labelRequirement(key, '=', [value]));
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const op = Object.hasOwn(OBJECT_OPERATORS, operator) ? OBJECT_OPERATORS[operator]! : undefined;
    if (op === undefined) throw new SelectorError(`${goQuote(operator)} is not a valid label selector operator`);
    requirements.push(labelRequirement(key, op, values ?? []));
  }
  return requirements.length === 0 ? EVERYTHING : new LabelMatcher(requirements);
}

/** The matcher of a plain map of labels (`spec.selector` of a Service); absent or empty selects everything, as upstream's `SelectorFromSet`. */
export function labelMatcherOfSet(set: Labels | undefined): LabelMatcher {
  const requirements = Object.entries(set ?? {}).map(([key, value]): LabelRequirement => ({ key, operator: '=', values: [value] }));
  return requirements.length === 0 ? EVERYTHING : new LabelMatcher(requirements);
}

type TokenKind = 'end' | 'identifier' | 'in' | 'notin' | ')' | ',' | '!' | '==' | '=' | '>' | '<' | '!=' | '(';
interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}
const TOKENS: Readonly<Partial<Record<TokenKind, LabelOperator>>> = { in: 'in', notin: 'notin', '=': '=', '==': '==', '!=': '!=', '>': 'gt', '<': 'lt' };

/** The longest operator that `symbols` begins with; each of the characters is one by itself. */
function symbolToken(symbols: string): Token {
  const two = symbols.slice(0, 2);
  const text = two === '==' || two === '!=' ? two : symbols.slice(0, 1);
  return { kind: text as TokenKind, text };
}

function tokenize(text: string): Token[] {
  const out: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const blank = /^[ \t\r\n]+/.exec(rest);
    const symbols = /^[=!(),><]+/.exec(rest);
    if (blank) at += blank[0].length;
    else if (symbols) {
      const token = symbolToken(symbols[0]);
      out.push(token);
      at += token.text.length;
    } else {
      const word = /^[^ \t\r\n=!(),><]+/.exec(rest)![0];
      out.push({ kind: word === 'in' || word === 'notin' ? word : 'identifier', text: word });
      at += word.length;
    }
  }
  out.push({ kind: 'end', text: '' });
  return out;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  parse(): LabelRequirement[] {
    const out: LabelRequirement[] = [];
    for (;;) {
      const token = this.#peek();
      if (token.kind === 'end') return out;
      if (token.kind !== 'identifier' && token.kind !== '!') throw new SelectorError(`found '${token.text}', expected: !, identifier, or 'end of string'`);
      out.push(this.#wrappedRequirement());
      const next = this.#take();
      if (next.kind === 'end') return out;
      if (next.kind !== ',') throw new SelectorError(`found '${next.text}', expected: ',' or 'end of string'`);
      const after = this.#peek();
      if (after.kind !== 'identifier' && after.kind !== '!') throw new SelectorError(`found '${after.text}', expected: identifier after ','`);
    }
  }

  /** `in` and `notin` are words like any other except where an operator must stand. */
  #peek(): Token {
    const token = this.#tokens[this.#at] ?? this.#tokens.at(-1)!;
    return token.kind === 'in' || token.kind === 'notin' ? { kind: 'identifier', text: token.text } : token;
  }
  #take(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }
  #wrappedRequirement(): LabelRequirement {
    try {
      return this.#requirement();
    } catch (err) {
      if (err instanceof SelectorError) throw new SelectorError(`unable to parse requirement: ${err.message}`);
      throw err;
    }
  }
  #requirement(): LabelRequirement {
    let token = this.#take();
    const negated = token.kind === '!';
    if (negated) token = this.#take();
    if (token.kind !== 'identifier') throw new SelectorError(`found '${token.text}', expected: identifier`);
    const keyErrors = checkKey(token.text, new FieldPath());
    if (keyErrors.length) throw new SelectorError(toAggregate(keyErrors));
    const next = this.#peek().kind;
    if (negated) return labelRequirement(token.text, '!', []);
    if (next === 'end' || next === ',') return labelRequirement(token.text, 'exists', []);
    const operator = this.#operator();
    const values = operator === 'in' || operator === 'notin' ? this.#valueSet() : [this.#exactValue()];
    return labelRequirement(token.text, operator, [...new Set(values)].toSorted());
  }
  #operator(): LabelOperator {
    const token = this.#tokens[this.#at++]!;
    const operator = TOKENS[token.kind];
    if (operator === undefined) throw new SelectorError(`found '${token.text}', expected: ${BINARY_OPERATORS.join(', ')}`);
    return operator;
  }
  #exactValue(): string {
    const next = this.#peek();
    if (next.kind === 'end' || next.kind === ',') return '';
    this.#at++;
    if (next.kind !== 'identifier') throw new SelectorError(`found '${next.text}', expected: identifier`);
    return next.text;
  }
  #valueSet(): string[] {
    const open = this.#take();
    if (open.kind !== '(') throw new SelectorError(`found '${open.text}' expected: '('`);
    const first = this.#peek();
    if (first.kind === ')') {
      this.#at++;
      return [''];
    }
    if (first.kind !== 'identifier' && first.kind !== ',') throw new SelectorError(`found '${first.text}', expected: ',', ')' or identifier`);
    const values = this.#values();
    this.#at++; // the list ends only before a closing parenthesis
    return values;
  }
  /** Identifiers that commas part; an empty place is the empty value. */
  #values(): string[] {
    const out: string[] = [];
    for (;;) {
      const token = this.#take();
      const next = this.#peek();
      if (token.kind === 'identifier') {
        out.push(token.text);
        if (next.kind === ')') return out;
        if (next.kind !== ',') throw new SelectorError(`found '${next.text}', expected: ',' or ')'`);
      } else if (token.kind === ',') {
        if (out.length === 0 || next.kind === ',') out.push('');
        if (next.kind === ')') return [...out, ''];
      } else throw new SelectorError(`found '${token.text}', expected: ',', or identifier`);
    }
  }
}

/** Reads a selector such as `app=web,tier in (a,b),!legacy`. Throws {@link SelectorError} in upstream's words. */
export function parseLabelSelector(text: string): LabelMatcher {
  const requirements = new Parser(text).parse();
  return requirements.length === 0 ? EVERYTHING : new LabelMatcher(requirements);
}

/** A label selector as upstream's messages have it, which is how Go prints the struct; `nil` for none. */
export function labelSelectorText(selector: LabelSelector | undefined): string {
  if (!selector) return 'nil';
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const labels = Object.keys(matchLabels).toSorted().map((key) => `${key}: ${matchLabels[key]},`).join('');
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`).join('');
  return `&LabelSelector{MatchLabels:map[string]string{${labels}},MatchExpressions:[]LabelSelectorRequirement{${expressions}},}`;
}
