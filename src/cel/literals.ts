/** String and bytes literals with their prefixes and escapes. Source: the CEL language definition, "String and Bytes Values". */
import { CelSyntaxError } from './issues.ts';

const SIMPLE: Readonly<Record<string, string>> = { a: '\u0007', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\', "'": "'", '"': '"', '`': '`', '?': '?' };
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([^]))/g;

function hex(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number.parseInt(text, 16);
}

/** `offset` is the literal's, for errors. */
export function unquote(literal: string, offset: number): { readonly value: string; readonly bytes?: Uint8Array } {
  const prefix = /^[a-zA-Z]*/.exec(literal)![0].toLowerCase();
  const isBytes = prefix.includes('b');
  const quoted = literal.slice(prefix.length);
  const width = quoted.startsWith('"""') || quoted.startsWith("'''") ? 3 : 1;
  const body = quoted.slice(width, -width).replaceAll('\r\n', '\n');
  if (prefix.includes('r')) return isBytes ? { value: body, bytes: Buffer.from(body) } : { value: body };
  const fail = (why: string): CelSyntaxError => new CelSyntaxError(offset, why);
  const code = (match: RegExpExecArray): { readonly code: number; readonly isByte: boolean } => {
    const [, x, upperX, u, upperU, octal, simple] = match;
    const byte = hex(x) ?? hex(upperX) ?? (octal === undefined ? undefined : Number.parseInt(octal, 8));
    if (byte !== undefined) return { code: byte, isByte: true };
    const point = hex(u) ?? hex(upperU);
    if (point !== undefined) {
      if (isBytes || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw fail('invalid unicode code point');
      return { code: point, isByte: false };
    }
    const text = SIMPLE[simple!];
    if (text === undefined) throw fail('unable to unescape string');
    return { code: text.charCodeAt(0), isByte: true };
  };
  if (isBytes) {
    const parts: Buffer[] = [];
    let last = 0;
    for (const match of body.matchAll(ESCAPE)) {
      parts.push(Buffer.from(body.slice(last, match.index)), Buffer.from([code(match).code]));
      last = match.index + match[0].length;
    }
    parts.push(Buffer.from(body.slice(last)));
    return { value: body, bytes: Buffer.concat(parts) };
  }
  return { value: body.replace(ESCAPE, (...args) => String.fromCodePoint(code(args as unknown as RegExpExecArray).code)) };
}
