/** `/metrics/resource`: CPU, memory and swap of the summary, as Prometheus text. Source: instrumentation/node-metrics; node swap, KEP-2400. */
import { Exposition } from './exposition.ts';

interface Use {
  readonly cpu?: { readonly usageCoreNanoSeconds: number };
  readonly memory?: { readonly workingSetBytes: number };
  readonly swap?: { readonly swapUsageBytes: number; readonly swapAvailableBytes?: number };
}
/** The part of a summary that is told. */
export interface SummaryOfUse {
  readonly node: Use;
  readonly pods: readonly (Use & { readonly podRef: { readonly name: string; readonly namespace: string }; readonly containers: readonly (Use & { readonly name: string; readonly startTime: string })[] })[];
}
type Labels = Readonly<Record<string, string>>;

export function resourceMetrics({ node, pods }: SummaryOfUse): string {
  const out = new Exposition();
  addUse(out, 'node', {}, node);
  for (const { podRef, containers, ...pod } of pods) {
    const where = { namespace: podRef.namespace, pod: podRef.name };
    for (const { name, startTime, ...container } of containers) {
      const labels = { container: name, ...where };
      addUse(out, 'container', labels, container);
      out.add('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds', labels, Date.parse(startTime) / 1000);
      const { swapUsageBytes = 0, swapAvailableBytes } = container.swap ?? {};
      if (swapAvailableBytes !== undefined) out.add('container_swap_limit_bytes', 'gauge', 'Current amount of the container swap limit in bytes. Reported only on non-windows systems', labels, swapUsageBytes + swapAvailableBytes);
    }
    addUse(out, 'pod', where, pod);
  }
  out.add('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', {}, 0);
  return out.text();
}
function addUse(out: Exposition, what: 'node' | 'pod' | 'container', labels: Labels, { cpu, memory, swap }: Use): void {
  if (cpu) out.add(`${what}_cpu_usage_seconds_total`, 'counter', `Cumulative cpu time consumed by the ${what} in core-seconds`, labels, cpu.usageCoreNanoSeconds / 1e9);
  if (memory) out.add(`${what}_memory_working_set_bytes`, 'gauge', `Current working set of the ${what} in bytes`, labels, memory.workingSetBytes);
  if (swap) out.add(`${what}_swap_usage_bytes`, 'gauge', `${what === 'node' ? 'Current swap usage of the node' : `Current amount of the ${what} swap usage`} in bytes. Reported only on non-windows systems`, labels, swap.swapUsageBytes);
}
