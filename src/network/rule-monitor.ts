/** Tells when somebody else changes the machine's nftables rules, those that iptables-nft writes among them. Source: nft(8), MONITOR. */
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { commandIn } from '#base/system-command.ts';
import { Monitor } from './monitor.ts';
import { isOwnChange } from './own-tables.ts';

export interface RuleMonitorOptions {
  readonly clock: Clock;
  /** Path of a network namespace to listen in. Default: the process's own. */
  readonly netns?: string | undefined;
  /** Something changed, or may have while nobody listened. */
  onChange(): void;
}

export function ruleMonitor({ clock, netns, onChange }: RuleMonitorOptions): Monitor {
  return new Monitor({
    clock, logger: logger('forwarding'), command: commandIn(netns, 'nft', ['monitor']),
    onStart: onChange, onLine: (line) => { if (!isOwnChange(line)) onChange(); },
  });
}
