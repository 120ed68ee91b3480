/**
 * Syntax errors in libyaml's words and with its line numbers, which people who write manifests know, from those of js-yaml.
 * The mapping was made by feeding the same mistakes to kubectl.
 */
import type { YAMLException } from 'js-yaml';

/** Text that cannot be read; the message begins with `yaml: `, and names the line where there is one. */
export class YamlError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'YamlError';
  }
}

/** `scanner` problems count lines from 1, `parser` problems from 0; either way line 0 is not named. */
interface Problem {
  readonly by: 'scanner' | 'parser';
  readonly words: string;
  readonly line: number;
}

function hasOpenQuote(text: string): boolean {
  return /["']/.test(text.replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, ''));
}

/** The bracket that closes the innermost flow collection that is still open. */
function missingBracket(text: string): string {
  const open: string[] = [];
  for (const char of text.replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, '')) {
    if (char === '[' || char === '{') open.push(char);
    else if (char === ']' || char === '}') open.pop();
  }
  return open.at(-1) === '{' ? '}' : ']';
}

function problemOf(reason: string, text: string, line: number, position: number): Problem {
  const scanner = (words: string, at = line): Problem => ({ by: 'scanner', words, line: at });
  const parser = (words: string, at = line): Problem => ({ by: 'parser', words, line: at });
  const char = text[position] ?? '';
  const lastLine = text.trimEnd().split('\n').length;
  if (/tab characters/.test(reason) || '@`%'.includes(char || ' ') || /^[ ]*\t/.test(text.split('\n')[line] ?? '')) return scanner('found character that cannot start any token');
  const atEnd = /deficient indentation|unexpected end of the stream/.test(reason);
  if (/within a (single|double) quoted/.test(reason) || (atEnd && hasOpenQuote(text))) return scanner('found unexpected end of stream', lastLine);
  if (atEnd) return parser(`did not find expected ',' or '${missingBracket(text)}'`, lastLine);
  if (/missed comma/.test(reason)) return parser(`did not find expected ',' or '${missingBracket(text.slice(0, position))}'`);
  if (/expected ':' after|multiline key/.test(reason)) return scanner("could not find expected ':'", position >= text.trimEnd().length ? line + 1 : line);
  if (/unknown escape/.test(reason)) return scanner('found unknown escape character');
  if (/directive/.test(reason)) return scanner('found unknown directive name', 0);
  if (char === ':') return scanner('mapping values are not allowed in this context');
  if (/^\s*-\s/.test(text) && /separator is expected/.test(reason)) return parser("did not find expected '-' indicator");
  if (/separator is expected|bad indentation/.test(reason)) return parser('did not find expected key');
  return scanner(reason);
}

/** The same error as kubectl would print it. It does not keep the cause, which holds the whole text. */
export function syntaxError(err: YAMLException, text: string): YamlError {
  if (!err.mark) return new YamlError(`yaml: ${err.reason}`);
  const { by, words, line } = problemOf(err.reason, text, err.mark.line, err.mark.position);
  const shown = by === 'scanner' && line > 0 ? line + 1 : line;
  return new YamlError(shown > 0 ? `yaml: line ${shown}: ${words}` : `yaml: ${words}`);
}
