/**
 * Reads cron schedules and tells their times. Grammar and meaning are those of the library that upstream uses: five fields or a
 * descriptor, an optional `TZ=` in front; where neither the day of the month nor that of the week is `*`, either of them is enough.
 */
import { parseDuration } from '#machinery/duration.ts';
import { isKnownZone, timeAt, wallTime, type WallTime } from './time-zone.ts';

export interface Schedule {
  /** The first time after `ms`, both in ms since the epoch; undefined when there is none in the next five years. */
  next(ms: number): number | undefined;
}
/** A text that is no schedule. */
export class ScheduleError extends Error {}

interface Field {
  readonly values: ReadonlySet<number>;
  readonly any: boolean;
}
interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const BOUNDS: readonly Bounds[] = [{ min: 0, max: 59 }, { min: 0, max: 23 }, { min: 1, max: 31 }, { min: 1, max: 12, names: MONTHS }, { min: 0, max: 6, names: DAYS }];
const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
};
const YEARS_AHEAD = 5;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

function parseNumber(text: string, bounds: Bounds): number {
  const named = bounds.names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return named + bounds.min;
  if (!/^\+?\d+$/.test(text)) throw new ScheduleError(`failed to parse int from ${text}`);
  return Number(text);
}
function parseRange(text: string, bounds: Bounds): Field {
  const [range = '', stepText, ...more] = text.split('/');
  const [from = '', to, ...ends] = range.split('-');
  const star = from === '*' || from === '?';
  if (more.length || ends.length) throw new ScheduleError(`too many slashes or hyphens: ${text}`);
  const start = star ? bounds.min : parseNumber(from, bounds);
  const step = stepText === undefined ? 1 : parseNumber(stepText, { min: 0, max: Infinity });
  const end = star || (to === undefined && stepText !== undefined) ? bounds.max : to === undefined ? start : parseNumber(to, bounds);
  if (start < bounds.min || end > bounds.max || start > end || step === 0) throw new ScheduleError(`range out of bounds: ${text}`);
  const values = new Set<number>();
  for (let v = start; v <= end; v += step) values.add(v);
  return { values, any: star && step === 1 };
}
function parseField(text: string, bounds: Bounds): Field {
  const parts = text.split(',').filter((p) => p !== '').map((p) => parseRange(p, bounds));
  return { values: new Set(parts.flatMap((p) => [...p.values])), any: parts.some((p) => p.any) };
}

/** Throws {@link ScheduleError}. `zone` is where a schedule without `TZ=` is read. */
export function parseSchedule(text: string, zone: string): Schedule {
  const prefix = /^(?:CRON_)?TZ=(\S*)\s*/.exec(text);
  const where = prefix?.[1] ?? zone;
  if (!isKnownZone(where)) throw new ScheduleError(`provided bad location ${where}: unknown time zone ${where}`);
  const spec = text.slice(prefix?.[0].length ?? 0).trim();
  if (spec.startsWith('@every ')) return every(spec);
  const fields = (spec.startsWith('@') ? (DESCRIPTORS[spec] ?? '') : spec).split(/\s+/).filter((f) => f !== '');
  if (fields.length !== BOUNDS.length) throw new ScheduleError(spec.startsWith('@') ? `unrecognized descriptor: ${spec}` : `expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`);
  const parsed = fields.map((f, i) => parseField(f, BOUNDS[i]!));
  return { next: (ms) => nextTime(parsed, where, ms) };
}
function every(spec: string): Schedule {
  let ms: number;
  try {
    ms = Number(parseDuration(spec.slice('@every '.length)) / 1_000_000n);
  } catch (err) {
    throw new ScheduleError(`failed to parse duration ${spec}: ${err instanceof Error ? err.message : String(err)}`, { cause: err });
  }
  const delay = Math.max(SECOND, Math.floor(ms / SECOND) * SECOND);
  return { next: (from) => Math.floor(from / SECOND) * SECOND + delay };
}

function dayMatches(fields: readonly Field[], t: WallTime): boolean {
  const [, , ofMonth, , ofWeek] = fields;
  const [inMonth, inWeek] = [ofMonth!.values.has(t.day), ofWeek!.values.has(t.weekday)];
  return ofMonth!.any || ofWeek!.any ? inMonth && inWeek : inMonth || inWeek;
}
/** Midnight of a day, or the first or last hour next to it where clocks change at midnight. */
function dayStart(zone: string, year: number, month: number, day: number): number {
  const at = timeAt(zone, year, month, day);
  const { hour } = wallTime(zone, at);
  return hour === 0 ? at : hour > 12 ? at + (24 - hour) * HOUR : at - hour * HOUR;
}
/** Moves on by the largest unit that does not match, until all match. */
function nextTime(fields: readonly Field[], zone: string, from: number): number | undefined {
  const [minutes, hours, , months] = fields;
  let at = Math.floor(from / SECOND) * SECOND + SECOND;
  const lastYear = wallTime(zone, at).year + YEARS_AHEAD;
  for (;;) {
    const t = wallTime(zone, at);
    if (t.year > lastYear) return undefined;
    const before = at;
    if (!months!.values.has(t.month)) at = dayStart(zone, t.year, t.month + 1, 1);
    else if (!dayMatches(fields, t)) at = dayStart(zone, t.year, t.month, t.day + 1);
    else if (!hours!.values.has(t.hour)) at = at - t.minute * MINUTE - t.second * SECOND + HOUR;
    else if (!minutes!.values.has(t.minute)) at = at - t.second * SECOND + MINUTE;
    else if (t.second !== 0) at += (60 - t.second) * SECOND;
    else return at;
    // Where a day begins an hour late, its start as computed may lie behind: go on by the hour.
    if (at <= before) at = before + HOUR;
  }
}
