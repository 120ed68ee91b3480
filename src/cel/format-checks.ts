/** `"…".format([…])` whose text and arguments are both literals is checked when it is compiled: cel-go's validator of format strings. */
import { nodesOf, type Expr } from './ast.ts';
import type { Checked } from './checker.ts';
import type { CelIssue } from './issues.ts';
import { runtimeName, type CelType } from './types.ts';

interface Clause {
  readonly name: string;
  readonly takes: string;
  readonly kinds: readonly string[];
}
const STRINGS: Clause = {
  name: 'string', takes: 'strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps',
  kinds: ['list', 'map', 'int', 'uint', 'double', 'bool', 'string', 'timestamp', 'bytes', 'duration', 'type', 'null'],
};
const HEX: Clause = { name: 'hex', takes: 'integers, byte buffers, and strings', kinds: ['int', 'uint', 'string', 'bytes'] };
const CLAUSES: Readonly<Record<string, Clause>> = {
  s: STRINGS, x: HEX, X: HEX,
  d: { name: 'decimal', takes: 'integers', kinds: ['int', 'uint'] },
  // Texts, because "NaN" and "Infinity" are numbers too.
  f: { name: 'fixed-point', takes: 'doubles', kinds: ['double', 'string'] },
  e: { name: 'scientific', takes: 'doubles', kinds: ['double', 'string'] },
  b: { name: 'binary', takes: 'integers and bools', kinds: ['int', 'uint', 'bool'] },
  o: { name: 'octal', takes: 'integers', kinds: ['int', 'uint'] },
};

export function formatIssues(checked: Checked): CelIssue[] {
  const out: CelIssue[] = [];
  for (const node of nodesOf(checked.expr)) {
    if (node.kind !== 'call' || node.name !== 'format' || node.target?.kind !== 'literal' || typeof node.target.value !== 'string') continue;
    const list = node.args[0];
    const issue = list?.kind === 'list' ? checkFormat(checked, node.target.value, list.elements, node.offset) : undefined;
    if (issue) out.push(issue);
  }
  return out;
}
function checkFormat(checked: Checked, template: string, args: readonly Expr[], offset: number): CelIssue | undefined {
  let next = 0;
  for (const [all, verb = ''] of template.matchAll(/%(?:%|(?:\.\d*)?([^]|$))/g)) {
    if (all === '%%') continue;
    if (verb === '') return { offset, message: 'unexpected end of string' };
    const arg = args[next];
    if (!arg) return { offset, message: `index ${next} out of range` };
    next++;
    const clause = Object.hasOwn(CLAUSES, verb) ? CLAUSES[verb] : undefined;
    if (!clause) return { offset, message: `could not parse formatting clause: unrecognized formatting clause "${verb}"` };
    const wrong = clause === STRINGS ? misfit(checked, arg) : fits(checked.typeOf(arg), clause) ? undefined : arg;
    if (wrong) return { offset: wrong.offset, message: `error during formatting: ${clause.name} clause can only be used on ${clause.takes}, was given ${runtimeName(checked.typeOf(wrong))}` };
  }
  return args.length > next ? { offset, message: `too many arguments supplied to string.format (expected ${next}, got ${args.length})` } : undefined;
}
const fits = (type: CelType, { kinds }: Clause): boolean => type.kind === 'dyn' || kinds.includes(type.kind);
/** The part of an argument that has no text: items of literal lists and maps are looked at one by one. */
function misfit(checked: Checked, arg: Expr): Expr | undefined {
  if (!fits(checked.typeOf(arg), STRINGS)) return arg;
  const parts = arg.kind === 'list' ? arg.elements : arg.kind === 'map' ? arg.entries.flatMap(({ key, value }) => [key, value]) : [];
  for (const part of parts) {
    const wrong = misfit(checked, part);
    if (wrong) return wrong;
  }
  return undefined;
}
