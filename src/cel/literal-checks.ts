/** Literals that can only fail: bad durations, timestamps and regular expressions are refused when the expression is compiled. cel-go's AST validators. */
import { parseDuration } from '#machinery/duration.ts';
import { nodesOf } from './ast.ts';
import type { Checked } from './checker.ts';
import type { CelIssue } from './issues.ts';
import { compilePattern } from './library/regex.ts';
import { parseTimestamp } from './timestamps.ts';

const CHECKS: Readonly<Record<string, (text: string) => unknown>> = { duration: parseDuration, timestamp: parseTimestamp, matches: compilePattern };

export function literalIssues(checked: Checked): readonly CelIssue[] {
  const out: CelIssue[] = [];
  for (const node of nodesOf(checked.expr)) {
    if (node.kind !== 'call' || !Object.hasOwn(CHECKS, node.name)) continue;
    const arg = node.args.at(-1);
    if (arg?.kind !== 'literal' || typeof arg.value !== 'string') continue;
    try {
      CHECKS[node.name]!(arg.value);
    } catch {
      out.push({ offset: arg.offset, message: `invalid ${node.name} argument` });
    }
  }
  return out;
}
