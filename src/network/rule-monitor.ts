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

/** What is listened to, by a child each: nft 1.0.6 that listens to everything dies when a table goes that has a `ct timeout`, as our proxy's. */
const KINDS = ['chains', 'rules'];

export function ruleMonitor({ clock, netns, onChange }: RuleMonitorOptions): Pick<Monitor, 'start' | 'stop'> {
  const monitors = KINDS.map((kind) => new Monitor({
    clock, logger: logger('forwarding'), command: commandIn(netns, 'nft', ['monitor', kind]),
    onStart: onChange, onLine: (line) => { if (!isOwnChange(line)) onChange(); },
  }));
  return {
    start: () => monitors.forEach((monitor) => monitor.start()),
    stop: async () => void (await Promise.all(monitors.map((monitor) => monitor.stop()))),
  };
}
