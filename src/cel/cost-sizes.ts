/** Ranges of costs and sizes, as cel-go's estimator computes with them: never above {@link MAX}. */

/** cel-go's counts are uint64. */
export const MAX = 2 ** 64;
export interface Range {
  readonly min: number;
  readonly max: number;
}
const cap = (n: number): number => Math.min(n, MAX);
export const fixed = (n: number): Range => ({ min: n, max: n });
export const ZERO: Range = fixed(0);
export const UNKNOWN: Range = { min: 0, max: MAX };
export function add(a: Range, b: Range): Range {
  return { min: cap(a.min + b.min), max: cap(a.max + b.max) };
}
export function multiply(a: Range, b: Range): Range {
  return { min: cap(a.min * b.min), max: cap(a.max * b.max) };
}
/** Times a factor, rounded up. */
export function scale(a: Range, factor: number): Range {
  return { min: cap(Math.ceil(a.min * factor)), max: a.max >= MAX ? (factor === 0 ? 0 : factor >= 1 ? MAX : Math.ceil(MAX * factor)) : cap(Math.ceil(a.max * factor)) };
}
export function union(a: Range, b: Range): Range {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}
