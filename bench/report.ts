/** Rows of figures: ours, the target, the baseline. */
export interface Row {
  readonly what: string;
  readonly ours: string;
  readonly target?: string;
  readonly baseline?: string;
}
export function printRows(title: string, rows: readonly Row[]): void {
  const head: Row = { what: title, ours: 'Podyard', target: 'target', baseline: 'baseline' };
  const all = [head, ...rows];
  const width = (pick: (r: Row) => string | undefined) => Math.max(...all.map((r) => (pick(r) ?? '').length));
  const [a, b, c] = [width((r) => r.what), width((r) => r.ours), width((r) => r.target)];
  console.log();
  for (const r of all) console.log(`${r.what.padEnd(a)}  ${r.ours.padStart(b)}  ${(r.target ?? '').padStart(c)}  ${r.baseline ?? ''}`.trimEnd());
}
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
export const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
export const millis = (ms: number): string => `${ms.toFixed(0)} ms`;
export const perSecond = (n: number): string => `${Math.round(n).toLocaleString('en')}/s`;
