/** How long tasks waited for a resource that others had (pressure stall information). Source: kernel documentation, accounting/psi; KEP-4205. */

export interface Stall {
  /** Microseconds, as the kernel counts them and the summary passes them on. */
  readonly total: number;
  /** Percents of the last 10, 60 and 300 seconds. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}
/** All tasks waited, and at least one did. In the order of the API. */
export interface Pressure {
  readonly full: Stall;
  readonly some: Stall;
}
export const PRESSURES = ['cpu', 'memory', 'io'] as const;
export type PressureName = (typeof PRESSURES)[number];
export type Pressures = Readonly<Partial<Record<PressureName, Pressure>>>;

/** Reads the three files; '' stands for one that the kernel does not have. */
export async function readPressures(read: (name: PressureName) => Promise<string>): Promise<Pressures> {
  const texts = await Promise.all(PRESSURES.map(async (name) => [name, await read(name)] as const));
  return Object.fromEntries(texts.flatMap(([name, text]) => (text === '' ? [] : [[name, { full: stallOf(text, 'full'), some: stallOf(text, 'some') }]])));
}
/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. Older kernels have no line `full` for the CPU. */
function stallOf(text: string, kind: 'full' | 'some'): Stall {
  const line = new RegExp(`^${kind} (.*)$`, 'm').exec(text)?.[1] ?? '';
  const value = (key: string): number => Number(new RegExp(`\\b${key}=([\\d.]+)`).exec(line)?.[1] ?? 0);
  return { total: value('total'), avg10: value('avg10'), avg60: value('avg60'), avg300: value('avg300') };
}
