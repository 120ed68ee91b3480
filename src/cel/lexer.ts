/** From text to tokens. Source: the CEL language definition, "Syntax". */
import { CelSyntaxError } from './issues.ts';
import { unquote } from './literals.ts';

export type TokenKind = 'ident' | 'quoted' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'symbol' | 'end';
export interface Token {
  readonly kind: TokenKind;
  /** As written; for strings the value. `<EOF>` at the end. */
  readonly text: string;
  /** Value of a `bytes` token. */
  readonly bytes?: Uint8Array;
  readonly offset: number;
}

const SPACE = /(?:[ \t\n\f\r]+|\/\/[^\n]*)*/y;
const NUMBER = /0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?/y;
const IDENT = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const QUOTED_IDENT = /`[a-zA-Z0-9_.\-/ ]+`/y;
const STRING = /(?:[rR][bB]?|[bB][rR]?)?(?:"""[^\\]*?(?:\\[^][^\\]*?)*?"""|'''[^\\]*?(?:\\[^][^\\]*?)*?'''|"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*')/y;
const RAW_STRING = /(?:[rR][bB]?|[bB][rR])(?:"""[^]*?"""|'''[^]*?'''|"[^"\n\r]*"|'[^'\n\r]*')/y;
const SYMBOL = /&&|\|\||==|!=|<=|>=|[<>+\-*/%!?:.,()[\]{}]/y;

export class Lexer {
  readonly #source: string;
  #at = 0;
  constructor(source: string) {
    this.#source = source;
  }
  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const text = pattern.exec(this.#source)?.[0];
    if (text !== undefined) this.#at += text.length;
    return text;
  }
  next(): Token {
    this.#match(SPACE);
    const offset = this.#at;
    if (offset >= this.#source.length) return { kind: 'end', text: '<EOF>', offset };
    const literal = this.#match(RAW_STRING) ?? this.#match(STRING);
    if (literal !== undefined) return stringToken(literal, offset);
    const ident = this.#match(IDENT);
    if (ident !== undefined) return { kind: 'ident', text: ident, offset };
    const number = this.#match(NUMBER);
    if (number !== undefined) return { kind: numberKind(number), text: number, offset };
    const quoted = this.#match(QUOTED_IDENT);
    if (quoted !== undefined) return { kind: 'quoted', text: quoted, offset };
    const symbol = this.#match(SYMBOL);
    if (symbol !== undefined) return { kind: 'symbol', text: symbol, offset };
    const rest = this.#source.slice(offset);
    const shown = /^["']/.test(rest) ? rest.split('\n', 1)[0]! : `${[...rest][0]}`;
    throw new CelSyntaxError(offset, `Syntax error: token recognition error at: '${shown}'`);
  }
}
function numberKind(text: string): TokenKind {
  if (/[uU]$/.test(text)) return 'uint';
  return !text.startsWith('0x') && /[.eE]/.test(text) ? 'double' : 'int';
}
function stringToken(text: string, offset: number): Token {
  const { value, bytes } = unquote(text, offset);
  return bytes ? { kind: 'bytes', text: value, bytes, offset } : { kind: 'string', text: value, offset };
}
