/** Wall-clock time in a zone of the IANA database. */

export interface WallTime {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** 0 is Sunday. */
  readonly weekday: number;
}
/** At most one for each zone there is. */
const formats = new Map<string, Intl.DateTimeFormat>();

/** The zone of this process, in which schedules without one are read. */
export function localZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const made = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' });
  formats.set(zone, made);
  return made;
}
/** What the zone's clocks are ahead of UTC at a time in ms since the epoch, in ms. */
export function offsetAt(zone: string, ms: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(ms)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
}
export function wallTime(zone: string, ms: number): WallTime {
  const d = new Date(ms + offsetAt(zone, ms));
  return { year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(), weekday: d.getUTCDay() };
}
/** The time at which the zone's clocks show that; in a gap or an overlap, one of the two that may be meant. Months and days may overflow. */
export function timeAt(zone: string, year: number, month: number, day: number, hour = 0, minute = 0): number {
  const wall = Date.UTC(year, month - 1, day, hour, minute);
  const guess = offsetAt(zone, wall);
  return wall - offsetAt(zone, wall - guess);
}
/** RFC 3339 in the zone: `2026-01-02T04:04:05+01:00`, with `Z` for UTC. */
export function zonedTime(zone: string, ms: number): string {
  const offset = Math.round(offsetAt(zone, ms) / 60_000);
  const text = new Date(ms + offset * 60_000).toISOString().slice(0, 19);
  if (offset === 0) return `${text}Z`;
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60].map((n) => String(n).padStart(2, '0'));
  return `${text}${offset < 0 ? '-' : '+'}${hours}:${minutes}`;
}
