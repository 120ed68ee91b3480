import { semanticEqual } from '#machinery/equality.ts';

/** Without the entries that are 0: how the server keeps counts, so that what was written compares equal to what is read. */
export function withoutZeros<T extends Readonly<Record<string, number>>>(counts: T): Partial<T> {
  return Object.fromEntries(Object.entries(counts).filter(([, n]) => n !== 0)) as Partial<T>;
}
/** Whether two statuses say the same: a count of 0 and an absent one are one. */
export function equalStatus(a: object | undefined, b: object | undefined): boolean {
  const strip = (status: object = {}) => Object.fromEntries(Object.entries(status).filter(([, v]) => v !== 0));
  return semanticEqual(strip(a), strip(b));
}
