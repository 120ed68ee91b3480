/**
 * From tokens to a tree, macros expanded. Positions and messages are those of cel-go. Source: the CEL language definition, "Syntax";
 * the optional syntax of cel-go (`a.?b`, `a[?b]`, `[?x]`, `{?k: v}`).
 */
import { ACCUMULATOR, type Expr, type MapEntryExpr, type StructFieldExpr } from './ast.ts';
import { CelSyntaxError } from './issues.ts';
import { Lexer, type Token } from './lexer.ts';
import type { Fold, Macro, MacroFactory } from './macros.ts';
import { Uint, type Value } from './values.ts';

/** As cel-go. */
const MAX_DEPTH = 250;
const MAX_CODE_POINTS = 100_000;
const RESERVED: ReadonlySet<string> = new Set(['as', 'break', 'const', 'continue', 'else', 'false', 'for', 'function', 'if', 'import', 'in', 'let', 'loop', 'package', 'namespace', 'null', 'return', 'true', 'var', 'void', 'while']);
const START = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const RELATIONS: Readonly<Record<string, string>> = { '<': '_<_', '<=': '_<=_', '>': '_>_', '>=': '_>=_', '==': '_==_', '!=': '_!=_', in: '@in' };
const ADDITIONS: Readonly<Record<string, string>> = { '+': '_+_', '-': '_-_' };
const MULTIPLICATIONS: Readonly<Record<string, string>> = { '*': '_*_', '/': '_/_', '%': '_%_' };

export interface ParserOptions {
  readonly macros: readonly Macro[];
}

/** Throws {@link CelSyntaxError}. */
export function parse(source: string, options: ParserOptions): Expr {
  const size = source.length > MAX_CODE_POINTS ? [...source].length : source.length;
  if (size > MAX_CODE_POINTS) throw new CelSyntaxError(-1, `expression code point size exceeds limit: size: ${size}, limit ${MAX_CODE_POINTS}`);
  return new Parser(source, options).parse();
}

class Parser {
  readonly #lexer: Lexer;
  readonly #macros = new Map<string, Macro>();
  #token: Token;
  #next: Token | undefined;
  #ids = 0;
  #depth = 0;

  constructor(source: string, options: ParserOptions) {
    this.#lexer = new Lexer(source);
    for (const m of options.macros) this.#macros.set(`${m.name}:${m.argCount}:${m.isMember}`, m);
    this.#token = this.#lexer.next();
  }
  parse(): Expr {
    const expr = this.#expr();
    if (this.#token.kind !== 'end') throw this.#unexpected(this.#peek().kind === 'end' ? 'extraneous' : 'mismatched', '<EOF>');
    return expr;
  }

  #advance(): Token {
    const token = this.#token;
    this.#token = this.#next ?? this.#lexer.next();
    this.#next = undefined;
    return token;
  }
  #peek(): Token {
    return (this.#next ??= this.#lexer.next());
  }
  #is(symbol: string): boolean {
    return this.#token.kind === 'symbol' && this.#token.text === symbol;
  }
  #accept(symbol: string): Token | undefined {
    return this.#is(symbol) ? this.#advance() : undefined;
  }
  #expect(symbol: string, others = ''): Token {
    return this.#accept(symbol) ?? this.#throw(this.#unexpected('mismatched', others === '' ? `'${symbol}'` : `{${others}'${symbol}'}`));
  }
  #throw(err: Error): never {
    throw err;
  }
  #unexpected(how: 'mismatched' | 'extraneous', expecting: string): CelSyntaxError {
    const { text, offset } = this.#token;
    return new CelSyntaxError(offset, `Syntax error: ${how} input '${text}' expecting ${expecting}`);
  }
  #node(offset: number): { readonly id: number; readonly offset: number } {
    return { id: ++this.#ids, offset };
  }
  #call(offset: number, name: string, ...args: readonly Expr[]): Expr {
    return { ...this.#node(offset), kind: 'call', name, target: undefined, args };
  }

  #expr(): Expr {
    if (++this.#depth > MAX_DEPTH) throw new CelSyntaxError(-1, `expression recursion limit exceeded: ${MAX_DEPTH}`);
    const condition = this.#logical('||', '_||_', () => this.#logical('&&', '_&&_', () => this.#relation()));
    const op = this.#accept('?');
    let out = condition;
    if (op) {
      const yes = this.#logical('||', '_||_', () => this.#logical('&&', '_&&_', () => this.#relation()));
      this.#expect(':');
      out = this.#call(op.offset, '_?_:_', condition, yes, this.#expr());
    }
    this.#depth--;
    return out;
  }
  /** A chain of `&&` or `||` as a balanced tree. */
  #logical(symbol: string, name: string, operand: () => Expr): Expr {
    const terms = [operand()];
    const offsets: number[] = [];
    for (let op = this.#accept(symbol); op; op = this.#accept(symbol)) {
      offsets.push(op.offset);
      terms.push(operand());
    }
    const balance = (from: number, to: number): Expr => {
      if (from === to) return terms[from]!;
      const middle = (from + to) >> 1;
      return this.#call(offsets[middle]!, name, balance(from, middle), balance(middle + 1, to));
    };
    return balance(0, terms.length - 1);
  }
  #binary(names: Readonly<Record<string, string>>, operand: () => Expr): Expr {
    let left = operand();
    const depth = this.#depth;
    while ((this.#token.kind === 'symbol' || this.#token.text === 'in') && Object.hasOwn(names, this.#token.text)) {
      if (++this.#depth > MAX_DEPTH) throw new CelSyntaxError(-1, `expression recursion limit exceeded: ${MAX_DEPTH}`);
      const op = this.#advance();
      left = this.#call(op.offset, names[op.text]!, left, operand());
    }
    this.#depth = depth;
    return left;
  }
  #relation(): Expr {
    return this.#binary(RELATIONS, () => this.#binary(ADDITIONS, () => this.#binary(MULTIPLICATIONS, () => this.#unary())));
  }
  /** An even number of signs cancels out, as in cel-go. */
  #unary(): Expr {
    for (const [symbol, name] of [['!', '!_'], ['-', '-_']] as const) {
      const op = this.#accept(symbol);
      if (!op) continue;
      let odd = true;
      while (this.#is(symbol)) {
        this.#advance();
        odd = !odd;
      }
      if (symbol === '-' && odd && (this.#token.kind === 'int' || this.#token.kind === 'double') && this.#token.offset === op.offset + 1) {
        return this.#member(this.#number(this.#advance(), op.offset, true));
      }
      const operand = this.#member(this.#primary());
      return odd ? this.#call(op.offset, name, operand) : operand;
    }
    return this.#member(this.#primary());
  }

  #member(primary: Expr): Expr {
    let left = primary;
    const depth = this.#depth;
    for (;;) {
      const op = this.#accept('.') ?? this.#accept('[');
      if (!op) break;
      if (++this.#depth > MAX_DEPTH) throw new CelSyntaxError(-1, `expression recursion limit exceeded: ${MAX_DEPTH}`);
      left = op.text === '.' ? this.#selection(left, op) : this.#index(left, op);
    }
    this.#depth = depth;
    return left;
  }
  #selection(operand: Expr, op: Token): Expr {
    const optional = this.#accept('?');
    const name = this.#fieldName();
    if (optional) return this.#call(op.offset, '_?._', operand, { ...this.#node(op.offset), kind: 'literal', value: name.text });
    const open = name.kind === 'ident' ? this.#accept('(') : undefined;
    if (!open) return { ...this.#node(op.offset), kind: 'select', operand, field: name.text, testOnly: false };
    return this.#finishCall(name.text, operand, this.#arguments(), open.offset);
  }
  #index(operand: Expr, op: Token): Expr {
    const optional = this.#accept('?');
    const index = this.#expr();
    this.#expect(']');
    return this.#call(op.offset, optional ? '_[?_]' : '_[_]', operand, index);
  }
  #fieldName(): Token {
    const { kind, text, offset } = this.#token;
    // Kubernetes does not turn escaped names of fields on.
    if (kind === 'quoted') throw new CelSyntaxError(offset, "unsupported syntax: '`'");
    if (kind !== 'ident' || ['true', 'false', 'null', 'in'].includes(text)) throw this.#unexpected(kind === 'end' ? 'mismatched' : 'mismatched', kind === 'end' ? 'IDENTIFIER' : "{'?', IDENTIFIER}");
    return this.#advance();
  }
  #arguments(): Expr[] {
    const out: Expr[] = [];
    if (!this.#is(')')) {
      do out.push(this.#expr());
      while (this.#accept(','));
    }
    this.#expect(')', "',', ");
    return out;
  }
  #finishCall(name: string, target: Expr | undefined, args: readonly Expr[], offset: number): Expr {
    const macro = this.#macros.get(`${name}:${args.length}:${target !== undefined}`);
    const expanded = macro?.expand(this.#factory(offset), target!, args);
    return expanded ?? { ...this.#node(offset), kind: 'call', name, target, args };
  }
  #factory(offset: number): MacroFactory {
    const node = () => this.#node(offset);
    return {
      literal: (value) => ({ ...node(), kind: 'literal', value }),
      ident: (name) => ({ ...node(), kind: 'ident', name }),
      call: (name, ...args) => this.#call(offset, name, ...args),
      member: (name, target, ...args) => ({ ...node(), kind: 'call', name, target, args }),
      list: (...elements) => ({ ...node(), kind: 'list', elements, optional: new Set() }),
      map: () => ({ ...node(), kind: 'map', entries: [] }),
      presence: (operand, field) => ({ ...node(), kind: 'select', operand, field, testOnly: true }),
      fold: (fold: Fold) => ({
        ...node(), kind: 'comprehension', iterVar: fold.iterVar, iterVar2: fold.iterVar2, range: fold.range, accuVar: fold.accuVar ?? ACCUMULATOR,
        accuInit: fold.init, condition: fold.condition, step: fold.step, result: fold.result,
      }),
      fail: (at, message) => {
        throw new CelSyntaxError(at.offset, message);
      },
    };
  }

  #primary(): Expr {
    const token = this.#token;
    switch (token.kind) {
      case 'int':
      case 'uint':
      case 'double':
        return this.#number(this.#advance(), token.offset, false);
      case 'string':
        return this.#literal(this.#advance(), token.text);
      case 'bytes':
        return this.#literal(this.#advance(), token.bytes!);
      case 'ident':
        return this.#identifier(false);
      case 'symbol':
        return this.#bracketed(token);
      default:
        throw this.#unexpected('mismatched', START);
    }
  }
  #bracketed(token: Token): Expr {
    switch (token.text) {
      case '(': {
        this.#advance();
        const inner = this.#expr();
        this.#expect(')');
        return inner;
      }
      case '[':
        return this.#list();
      case '{':
        return this.#map();
      case '.':
        this.#advance();
        return this.#identifier(true);
      default:
        throw this.#unexpected(this.#peek().kind === 'end' ? 'mismatched' : 'extraneous', START);
    }
  }
  #literal({ offset }: Token, value: Value): Expr {
    return { ...this.#node(offset), kind: 'literal', value };
  }
  #number(token: Token, offset: number, negative: boolean): Expr {
    const text = negative ? `-${token.text}` : token.text;
    if (token.kind === 'double') {
      const value = Number(text);
      if (!Number.isFinite(value)) throw new CelSyntaxError(offset, 'invalid double literal');
      return this.#literal({ ...token, offset }, value);
    }
    if (token.kind === 'uint') {
      const value = BigInt(token.text.slice(0, -1));
      if (value >= 2n ** 64n) throw new CelSyntaxError(offset, 'invalid uint literal');
      return this.#literal(token, new Uint(value));
    }
    const value = negative ? -BigInt(token.text) : BigInt(token.text);
    if (value >= 2n ** 63n || value < -(2n ** 63n)) throw new CelSyntaxError(offset, 'invalid int literal');
    return this.#literal({ ...token, offset }, value);
  }
  #identifier(global: boolean): Expr {
    const token = this.#token;
    if (token.kind !== 'ident') throw this.#unexpected('mismatched', 'IDENTIFIER');
    this.#advance();
    const { text, offset } = token;
    if (!global) {
      if (text === 'true' || text === 'false') return this.#literal(token, text === 'true');
      if (text === 'null') return this.#literal(token, null);
      if (text === 'in') throw new CelSyntaxError(offset, `Syntax error: mismatched input 'in' expecting ${START}`);
    }
    if (RESERVED.has(text)) throw new CelSyntaxError(offset, `reserved identifier: ${text}`);
    const open = this.#accept('(');
    if (open) return this.#finishCall(text, undefined, this.#arguments(), open.offset);
    return this.#maybeStruct(token);
  }
  /** `Name{…}`, `a.b.Name{…}`, or the bare name, whose selections the caller reads. */
  #maybeStruct(token: Token): Expr {
    let name = token.text;
    if (!this.#is('{')) {
      let expr: Expr = { ...this.#node(token.offset), kind: 'ident', name };
      while (this.#is('.') && this.#peek().kind === 'ident') {
        const dot = this.#advance();
        const field = this.#advance();
        const open = this.#accept('(');
        if (open) return this.#finishCall(field.text, expr, this.#arguments(), open.offset);
        name += `.${field.text}`;
        expr = { ...this.#node(dot.offset), kind: 'select', operand: expr, field: field.text, testOnly: false };
        if (this.#is('{')) return this.#struct(name);
      }
      return expr;
    }
    return this.#struct(name);
  }
  #struct(typeName: string): Expr {
    const open = this.#advance();
    const fields: StructFieldExpr[] = [];
    while (!this.#is('}')) {
      const optional = this.#accept('?') !== undefined;
      const name = this.#fieldName();
      const colon = this.#expect(':');
      fields.push({ offset: colon.offset, name: name.text, value: this.#expr(), optional });
      if (!this.#accept(',')) break;
    }
    this.#expect('}', "',', ");
    return { ...this.#node(open.offset), kind: 'struct', typeName, fields };
  }
  #list(): Expr {
    const open = this.#advance();
    const elements: Expr[] = [];
    const optional = new Set<number>();
    while (!this.#is(']')) {
      if (this.#accept('?')) optional.add(elements.length);
      elements.push(this.#expr());
      if (!this.#accept(',')) break;
      // A list may end with a comma: then it is only the bracket that is missing.
      if (this.#token.kind === 'end') throw new CelSyntaxError(this.#token.offset, "Syntax error: missing ']' at '<EOF>'");
    }
    this.#expect(']', "',', ");
    return { ...this.#node(open.offset), kind: 'list', elements, optional };
  }
  #map(): Expr {
    const open = this.#advance();
    const entries: MapEntryExpr[] = [];
    while (!this.#is('}')) {
      const optional = this.#accept('?') !== undefined;
      const key = this.#expr();
      const colon = this.#expect(':');
      entries.push({ offset: colon.offset, key, value: this.#expr(), optional });
      if (!this.#accept(',')) break;
    }
    this.#expect('}', "',', ");
    return { ...this.#node(open.offset), kind: 'map', entries };
  }
}
