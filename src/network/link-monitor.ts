/**
 * Tells when links or addresses of the machine change, as `ip monitor` does. The kernel drops the routes of a link that goes down
 * and does not bring them back. Source: ip-monitor(8).
 */
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { commandIn } from '#base/system-command.ts';
import { Monitor } from './monitor.ts';

export interface LinkMonitorOptions {
  readonly clock: Clock;
  /** Path of a network namespace to listen in. Default: the process's own. */
  readonly netns?: string | undefined;
  /** Something changed, or may have while nobody listened. `addresses`: an IPv4 address came or went. */
  onChange(addresses: boolean): void;
}

export function linkMonitor({ clock, netns, onChange }: LinkMonitorOptions): Monitor {
  return new Monitor({
    clock, logger: logger('routes'), command: commandIn(netns, 'ip', ['-o', 'monitor', 'link', 'address']),
    onStart: () => onChange(true), onLine: (line) => onChange(/ inet /.test(line)),
  });
}
