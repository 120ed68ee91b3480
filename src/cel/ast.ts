/** The syntax tree of an expression after macros were expanded. Source: the CEL language definition, "Syntax" and "Macros". */
import type { Value } from './values.ts';

interface Node {
  /** Unique in its tree: the checker's findings are kept by it. */
  readonly id: number;
  /** Where the issue of this node is shown: the operator, the dot, the opening bracket. */
  readonly offset: number;
}
export interface LiteralExpr extends Node {
  readonly kind: 'literal';
  readonly value: Value;
}
export interface IdentExpr extends Node {
  readonly kind: 'ident';
  readonly name: string;
}
export interface SelectExpr extends Node {
  readonly kind: 'select';
  readonly operand: Expr;
  readonly field: string;
  /** `has(a.b)` */
  readonly testOnly: boolean;
}
export interface CallExpr extends Node {
  readonly kind: 'call';
  readonly name: string;
  readonly target: Expr | undefined;
  readonly args: readonly Expr[];
}
export interface ListExpr extends Node {
  readonly kind: 'list';
  readonly elements: readonly Expr[];
  /** Indices of the elements written `?e`. */
  readonly optional: ReadonlySet<number>;
}
export interface MapEntryExpr {
  readonly offset: number;
  readonly key: Expr;
  readonly value: Expr;
  readonly optional: boolean;
}
export interface MapExpr extends Node {
  readonly kind: 'map';
  readonly entries: readonly MapEntryExpr[];
}
export interface StructFieldExpr {
  readonly offset: number;
  readonly name: string;
  readonly value: Expr;
  readonly optional: boolean;
}
export interface StructExpr extends Node {
  readonly kind: 'struct';
  readonly typeName: string;
  readonly fields: readonly StructFieldExpr[];
}
export interface ComprehensionExpr extends Node {
  readonly kind: 'comprehension';
  readonly iterVar: string;
  /** With two variables the first is the index or key, this one the value. */
  readonly iterVar2: string | undefined;
  readonly range: Expr;
  readonly accuVar: string;
  readonly accuInit: Expr;
  readonly condition: Expr;
  readonly step: Expr;
  readonly result: Expr;
}
export type Expr = LiteralExpr | IdentExpr | SelectExpr | CallExpr | ListExpr | MapExpr | StructExpr | ComprehensionExpr;

/** The accumulator of macros: no name that an expression can write. */
export const ACCUMULATOR = '@result';
/** The iteration variable of a binding, which is never read. */
export const UNUSED = '#unused';

/** `a.b.c` as a name; undefined for anything else. */
export function qualifiedName(expr: Expr): string | undefined {
  if (expr.kind === 'ident') return expr.name;
  if (expr.kind !== 'select' || expr.testOnly) return undefined;
  const prefix = qualifiedName(expr.operand);
  return prefix === undefined ? undefined : `${prefix}.${expr.field}`;
}

/** All nodes of a tree, each once. */
export function nodesOf(root: Expr): readonly Expr[] {
  const seen = new Set<number>([root.id]);
  const out = [root];
  for (const expr of out) {
    for (const child of childrenOf(expr)) {
      if (seen.has(child.id)) continue;
      seen.add(child.id);
      out.push(child);
    }
  }
  return out;
}
export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'select':
      return [expr.operand];
    case 'call':
      return expr.target ? [expr.target, ...expr.args] : expr.args;
    case 'list':
      return expr.elements;
    case 'map':
      return expr.entries.flatMap((e) => [e.key, e.value]);
    case 'struct':
      return expr.fields.map((f) => f.value);
    case 'comprehension':
      return [expr.range, expr.accuInit, expr.condition, expr.step, expr.result];
    default:
      return [];
  }
}
