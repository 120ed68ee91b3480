/** What the process takes, under the names that Prometheus' own clients have. Read when somebody scrapes. */
import { readdirSync, readFileSync } from 'node:fs';
import { metricBlock } from './request-metrics.ts';

/** The text of a file of `/proc/self`; '' where there is no `/proc`. */
function own(file: string): string {
  try {
    return readFileSync(`/proc/self/${file}`, 'utf8');
  } catch {
    return '';
  }
}
function openFiles(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}
function numberIn(text: string, pattern: RegExp, unit = 1): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found) * unit;
}

export function processMetricsText(): string {
  const { user, system } = process.cpuUsage();
  const values: readonly [name: string, help: string, type: 'counter' | 'gauge', value: number | undefined][] = [
    ['process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.', 'counter', (user + system) / 1e6],
    ['process_max_fds', 'Maximum number of open file descriptors.', 'gauge', numberIn(own('limits'), /^Max open files +(\d+) /m)],
    ['process_open_fds', 'Number of open file descriptors.', 'gauge', openFiles()],
    ['process_resident_memory_bytes', 'Resident memory size in bytes.', 'gauge', process.memoryUsage.rss()],
    ['process_start_time_seconds', 'Start time of the process since unix epoch in seconds.', 'gauge', performance.timeOrigin / 1000],
    ['process_virtual_memory_bytes', 'Virtual memory size in bytes.', 'gauge', numberIn(own('status'), /^VmSize:\s+(\d+) kB$/m, 1024)],
  ];
  return values.map(([name, help, type, value]) => metricBlock(name, help, type, value === undefined ? [] : [`${name} ${value}`])).join('');
}
