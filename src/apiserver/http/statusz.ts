/** `/statusz`: what runs since when (KEP-4827). */
import { rfc3339 } from '#base/clock.ts';
import type { ZPage } from './zpage.ts';

export interface ServerStatus {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly now: number;
  readonly goVersion: string;
  /** `1.36` */
  readonly binaryVersion: string;
  readonly emulationVersion: string;
  readonly paths: readonly string[];
}

export function statusPage(status: ServerStatus): ZPage {
  const { goVersion, binaryVersion, emulationVersion, paths } = status;
  const startTime = rfc3339(status.startedAt);
  const uptimeSeconds = Math.trunc((status.now - status.startedAt) / 1000);
  const hours = Math.trunc(uptimeSeconds / 3600);
  const up = `${hours} hr ${String(Math.trunc(uptimeSeconds / 60) % 60).padStart(2, '0')} min ${String(uptimeSeconds % 60).padStart(2, '0')} sec`;
  const lines = [['Started', startTime], ['Up', up], ['Go version', goVersion], ['Binary version', binaryVersion], ['Emulation version', emulationVersion], ['Paths', paths.join(' ')]];
  return { kind: 'Statusz', text: lines.map(([name, value]) => `${name}: ${value}\n`).join(''), fields: { startTime, uptimeSeconds, goVersion, binaryVersion, emulationVersion, paths } };
}
