/**
 * Lengths of time: Go's `time.Duration` text (`1h15m30s`), and the short ages that kubectl and printers show.
 * Source: Go's documentation of `time.ParseDuration` and `Duration.String`; ages as upstream's `util/duration`.
 */

const UNIT_NANOS: Readonly<Record<string, bigint>> = { ns: 1n, us: 1000n, 'µs': 1000n, 'μs': 1000n, ms: 1_000_000n, s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n };
const MAX_INT64 = 2n ** 63n - 1n;

/** Go's quoting of a text in an error. */
const quote = (text: string): string => JSON.stringify(text);

/** Nanoseconds of a Go duration such as `300ms`, `-1.5h` or `2h45m`. Throws an Error in Go's words. */
export function parseDuration(text: string): bigint {
  const bad = (): Error => new Error(`time: invalid duration ${quote(text)}`);
  const negative = text.startsWith('-');
  let rest = negative || text.startsWith('+') ? text.slice(1) : text;
  if (rest === '0') return 0n;
  if (rest === '') throw bad();
  let total = 0n;
  while (rest !== '') {
    const number = /^([0-9]*)(?:\.([0-9]*))?/.exec(rest)!;
    const [all, whole = '', fraction = ''] = number;
    if (whole === '' && fraction === '') throw bad();
    rest = rest.slice(all.length);
    const unit = /^[^.0-9]*/.exec(rest)![0];
    if (unit === '') throw new Error(`time: missing unit in duration ${quote(text)}`);
    const nanos = Object.hasOwn(UNIT_NANOS, unit) ? UNIT_NANOS[unit] : undefined;
    if (nanos === undefined) throw new Error(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`);
    rest = rest.slice(unit.length);
    const kept = fraction.slice(0, 18);
    total += BigInt(whole || '0') * nanos + (kept === '' ? 0n : (BigInt(kept) * nanos) / 10n ** BigInt(kept.length));
    if (total > MAX_INT64 + (negative ? 1n : 0n)) throw bad();
  }
  return negative ? -total : total;
}

/** Milliseconds of a Go duration, with a fraction where it is finer. */
export function parseDurationMs(text: string): number {
  return Number(parseDuration(text)) / 1e6;
}

/** Decimal text of `nanos / unit` without trailing zeros. */
function decimal(nanos: bigint, unit: bigint): string {
  const fraction = (nanos % unit).toString().padStart(unit.toString().length - 1, '0').replace(/0+$/, '');
  return fraction === '' ? String(nanos / unit) : `${nanos / unit}.${fraction}`;
}

/** Go's `Duration.String`: `1h0m0s`, `1.5s`, `100ms`, `0s`. */
export function formatDuration(nanos: bigint): string {
  if (nanos === 0n) return '0s';
  if (nanos < 0n) return `-${formatDuration(-nanos)}`;
  if (nanos < 1000n) return `${nanos}ns`;
  if (nanos < 1_000_000n) return `${decimal(nanos, 1000n)}µs`;
  if (nanos < 1_000_000_000n) return `${decimal(nanos, 1_000_000n)}ms`;
  const minutes = nanos / 60_000_000_000n;
  const seconds = `${decimal(nanos % 60_000_000_000n, 1_000_000_000n)}s`;
  if (minutes === 0n) return seconds;
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`;
}
/** {@link formatDuration} of milliseconds. */
export function formatDurationMs(ms: number): string {
  return formatDuration(BigInt(Math.round(ms * 1e6)));
}

const pair = (big: number, bigUnit: string, small: number, smallUnit: string): string => (small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`);

/** An age as `kubectl get` shows it: `10s`, `7m49s`, `6h4m`, `14d`, `2y30d`; `<invalid>` for two seconds or more in the future. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? pair(years, 'y', days % 365, 'd') : `${years}y`;
}

/** An age in one unit: `59s`, `3m`, `2h`, `5d`, `1y`. */
export function shortHumanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 24) return `${hours}h`;
  return hours < 24 * 365 ? `${Math.floor(hours / 24)}d` : `${Math.floor(hours / 24 / 365)}y`;
}

/** The age of a wire timestamp; `<unknown>` where there is none, as printers show it. `now` in milliseconds since the epoch. */
export function ageOf(timestamp: string | null | undefined, now: number): string {
  return timestamp === undefined || timestamp === null || timestamp === '' ? '<unknown>' : humanDuration(now - Date.parse(timestamp));
}
