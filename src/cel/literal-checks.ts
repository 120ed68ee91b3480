/**
 * Literals that can only fail, or that mix types: refused when the expression is compiled. cel-go's AST validators for durations, timestamps, regular
 * expressions and homogeneous aggregate literals.
 */
import { parseDuration } from '#machinery/duration.ts';
import { childrenOf, nodesOf, type Expr } from './ast.ts';
import type { Checked } from './checker.ts';
import { CelError } from './errors.ts';
import { formatIssues } from './format-checks.ts';
import type { CelIssue } from './issues.ts';
import { compilePattern } from './library/regex.ts';
import { checkedNanos, parseTimestamp } from './timestamps.ts';
import { sameType } from './type-mapping.ts';
import { showType, type CelType } from './types.ts';

const CHECKS: Readonly<Record<string, (text: string) => unknown>> = { duration: parseDuration, timestamp: parseTimestamp, matches: compilePattern };

/** A number makes a timestamp, in seconds, but no duration. */
const NUMBER_CHECKS: Readonly<Record<string, (value: bigint) => unknown>> = {
  timestamp: (seconds) => checkedNanos(seconds * 1_000_000_000n),
  duration: () => {
    throw new CelError('a duration is written with its unit');
  },
};

/** `homogeneous`: the items of a list are of one type, and so are the keys and values of a map; but for the arguments of `format`. */
export function literalIssues(checked: Checked, homogeneous: boolean): readonly CelIssue[] {
  const out: CelIssue[] = [];
  for (const node of nodesOf(checked.expr)) {
    if (node.kind !== 'call' || !Object.hasOwn(CHECKS, node.name)) continue;
    const arg = node.args.at(-1);
    if (arg?.kind !== 'literal') continue;
    try {
      if (typeof arg.value === 'bigint') NUMBER_CHECKS[node.name]?.(arg.value);
      if (typeof arg.value === 'string') CHECKS[node.name]!(arg.value);
    } catch {
      out.push({ offset: arg.offset, message: `invalid ${node.name} argument` });
    }
  }
  out.push(...formatIssues(checked));
  if (homogeneous) mixed(checked, checked.expr, out, new Set());
  return out;
}
function mixed(checked: Checked, expr: Expr, out: CelIssue[], seen: Set<number>): void {
  if (seen.has(expr.id) || (expr.kind === 'call' && expr.name === 'format')) return;
  seen.add(expr.id);
  const inner = (type: CelType, optional: boolean): CelType => (optional && type.kind === 'opaque' ? type.params[0]! : type);
  if (expr.kind === 'list') compare(expr.elements.map((e, i) => [e, inner(checked.typeOf(e), expr.optional.has(i))]), out);
  if (expr.kind === 'map') {
    compare(expr.entries.map((e) => [e.key, checked.typeOf(e.key)]), out);
    compare(expr.entries.map((e) => [e.value, inner(checked.typeOf(e.value), e.optional)]), out);
  }
  for (const child of childrenOf(expr)) mixed(checked, child, out, seen);
}
function compare(items: readonly (readonly [Expr, CelType])[], out: CelIssue[]): void {
  const first = items[0]?.[1];
  const odd = first && items.find(([, type]) => !sameType(first, type));
  if (odd) out.push({ offset: odd[0].offset, message: `expected type '${showType(first)}' but found '${showType(odd[1])}'` });
}
