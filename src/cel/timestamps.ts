/** Timestamps with nanoseconds, and their parts in a time zone. Source: the CEL language definition, "Timestamps". */
import { CelError } from './errors.ts';

const PATTERN = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z in seconds. */
export const MIN_SECONDS = -62_135_596_800n;
export const MAX_SECONDS = 253_402_300_799n;
const NANOS = 1_000_000_000n;

/** Nanoseconds since the epoch of an RFC 3339 text. */
export function parseTimestamp(text: string): bigint {
  const match = PATTERN.exec(text);
  const bad = (): CelError => new CelError("type conversion error from 'string' to 'google.protobuf.Timestamp'");
  if (!match) throw bad();
  const [, year, month, day, hour, minute, second, fraction = '', zone] = match;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCMonth() !== Number(month) - 1 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) throw bad();
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  const offset = zone === 'Z' ? 0 : (zone!.startsWith('-') ? -1 : 1) * (Number(zone!.slice(1, 3)) * 3600 + Number(zone!.slice(4)) * 60);
  const seconds = BigInt(date.getTime() / 1000 - offset);
  return checkedNanos(seconds * NANOS + BigInt(fraction.padEnd(9, '0')));
}
export function checkedNanos(nanos: bigint): bigint {
  const seconds = floorDiv(nanos, NANOS);
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS) throw new CelError('timestamp overflow');
  return nanos;
}
export function floorDiv(a: bigint, b: bigint): bigint {
  const q = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? q - 1n : q;
}
/** Minutes east of UTC in an RFC 3339 text. */
export function offsetOf(text: string): number {
  const zone = /([+-])(\d\d):(\d\d)$/.exec(text);
  return zone ? (zone[1] === '-' ? -1 : 1) * (Number(zone[2]) * 60 + Number(zone[3])) : 0;
}
/** RFC 3339 with as many digits of fraction as there are. */
export function timestampText(nanos: bigint, offset = 0): string {
  const seconds = floorDiv(nanos, NANOS);
  const two = (n: number): string => String(n).padStart(2, '0');
  const zone = offset === 0 ? 'Z' : `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const rest = nanos - seconds * NANOS;
  const fraction = rest === 0n ? '' : `.${rest.toString().padStart(9, '0').replace(/0+$/, '')}`;
  return `${new Date(Number(seconds) * 1000 + offset * 60_000).toISOString().slice(0, 19)}${fraction}${zone}`;
}

/** The moment as its wall clock reads in a zone (`UTC`, `Europe/Paris`, `+02:00`), carried in a Date's UTC fields. */
export function wallClock(nanos: bigint, zone: string): Date {
  const ms = Number(floorDiv(nanos, 1_000_000n));
  if (zone === '' || zone === 'UTC') return new Date(ms);
  const fixed = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (fixed) {
    if (Number(fixed[3]) > 59) throw new CelError(`timezone offset minutes out of range [0, 59]: ${zone}`);
    return new Date(ms + (fixed[1] === '-' ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000);
  }
  const parts = Object.fromEntries(formatOf(zone).formatToParts(ms).map((p) => [p.type, p.value]));
  const date = new Date(0);
  date.setUTCFullYear(Number(parts['year']), Number(parts['month']) - 1, Number(parts['day']));
  date.setUTCHours(Number(parts['hour']) % 24, Number(parts['minute']), Number(parts['second']), ((ms % 1000) + 1000) % 1000);
  return date;
}
const MAX_FORMATS = 64;
const formats = new Map<string, Intl.DateTimeFormat>();
function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    try {
      format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' });
    } catch {
      throw new CelError(`unknown time zone ${zone}`);
    }
    if (formats.size >= MAX_FORMATS) formats.clear();
    formats.set(zone, format);
  }
  return format;
}
