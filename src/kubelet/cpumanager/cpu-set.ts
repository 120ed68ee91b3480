/** Sets of CPUs as the kernel writes them: `0-3,7`. Source: cpuset(7), "List format". */

/** Throws an Error for what is no list of CPUs. */
export function parseCpuSet(text: string): ReadonlySet<number> {
  const out = new Set<number>();
  for (const part of text.trim() === '' ? [] : text.trim().split(',')) {
    const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part) ?? [];
    if (first === undefined || Number(last) < Number(first)) throw new Error(`"${text}" is no list of CPUs such as 0-3,7`);
    for (let cpu = Number(first); cpu <= Number(last); cpu++) out.add(cpu);
  }
  return out;
}
export function formatCpuSet(cpus: Iterable<number>): string {
  const sorted = [...cpus].toSorted((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const cpu of sorted) {
    const last = ranges.at(-1);
    if (last && last[1] === cpu - 1) last[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([a, b]) => (a === b ? String(a) : `${a}-${b}`)).join(',');
}
