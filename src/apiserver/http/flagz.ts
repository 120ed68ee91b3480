/** `/flagz`: the flags of the program that the server is a part of, with the values that hold (KEP-4828). */
import type { ZPage } from './zpage.ts';

/** Values by the flags' names, without dashes in front; '' for what is not set. */
export type FlagValues = Readonly<Record<string, string>>;

export function flagPage(values: FlagValues): ZPage {
  const sorted = Object.entries(values).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { kind: 'Flagz', text: sorted.map(([name, value]) => `${name}: ${value}\n`).join(''), fields: { flags: Object.fromEntries(sorted) } };
}
