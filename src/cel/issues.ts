/** What is wrong with an expression, shown as cel-go shows it: position, message, the line and a marker under it. */
import { codePoints } from './values.ts';

export interface CelIssue {
  /** Offset into the expression, in UTF-16 units; -1 where the issue has no place. */
  readonly offset: number;
  readonly message: string;
}

/** Thrown by the lexer and parser at the first thing that they cannot read. */
export class CelSyntaxError extends Error {
  readonly offset: number;
  constructor(offset: number, message: string) {
    super(message);
    this.name = 'CelSyntaxError';
    this.offset = offset;
  }
}

interface Place {
  readonly line: number;
  /** From 1, in code points. */
  readonly column: number;
  readonly text: string;
}
function placeOf(source: string, offset: number): Place {
  const before = source.slice(0, offset);
  const line = before.split('\n').length;
  const start = before.lastIndexOf('\n') + 1;
  const end = source.indexOf('\n', start);
  return { line, column: codePoints(source.slice(start, offset)) + 1, text: source.slice(start, end < 0 ? undefined : end) };
}
function formatIssue(source: string, { offset, message }: CelIssue): string {
  if (offset < 0) return `ERROR: <input>:-1:0: ${message}`;
  if (source === '') return `ERROR: <input>:1:0: ${message}`;
  const { line, column, text } = placeOf(source, offset);
  // Wide characters are followed by wide marks, as cel-go does it.
  const dots = [...text].slice(0, column - 1).map((c) => (c.length > 1 || c.charCodeAt(0) > 0x7f ? '．' : '.')).join('');
  const at = [...text][column - 1] ?? '';
  const mark = at !== '' && at.codePointAt(0)! > 0x7f ? '＾' : '^';
  return `ERROR: <input>:${line}:${column}: ${message}\n | ${text.replaceAll('\t', ' ')}\n | ${dots}${mark}`;
}
/** All issues in the order of their places. */
export function formatIssues(source: string, issues: readonly CelIssue[]): string {
  return issues.toSorted((a, b) => a.offset - b.offset).map((issue) => formatIssue(source, issue)).join('\n');
}
