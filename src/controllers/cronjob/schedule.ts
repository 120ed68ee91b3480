/**
 * Tells the times of cron schedules, as the library that upstream uses: where neither the day of the month nor that of the week is `*`,
 * either of them is enough.
 */
import { parseCron, type CronField } from '#machinery/cron.ts';
import { timeAt, wallTime, type WallTime } from './time-zone.ts';

export interface Schedule {
  /** The first time after `ms`, both in ms since the epoch; undefined when there is none in the next five years. */
  next(ms: number): number | undefined;
}
const YEARS_AHEAD = 5;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Throws a `CronError`. `zone` is where a schedule without `TZ=` is read. */
export function parseSchedule(text: string, zone: string): Schedule {
  const { at, zone: own = zone } = parseCron(text);
  if ('everyMs' in at) return every(at.everyMs);
  return { next: (ms) => nextTime(at, own, ms) };
}
function every(ms: number): Schedule {
  const delay = Math.max(SECOND, Math.floor(ms / SECOND) * SECOND);
  return { next: (from) => Math.floor(from / SECOND) * SECOND + delay };
}

function dayMatches(fields: readonly CronField[], t: WallTime): boolean {
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
function nextTime(fields: readonly CronField[], zone: string, from: number): number | undefined {
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
