/**
 * Checks cron schedules: five fields or a descriptor. The grammar and the words of its errors are those of the library that upstream
 * uses (robfig/cron v3, `ParseStandard`).
 */
import { formatDuration, parseDuration } from '#machinery/duration.ts';

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** Minute, hour, day of the month, month, day of the week. */
const FIELDS: readonly Bounds[] = [{ min: 0, max: 59 }, { min: 0, max: 23 }, { min: 1, max: 31 }, { min: 1, max: 12, names: MONTHS }, { min: 0, max: 6, names: DAYS }];
const DESCRIPTORS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];

class CronError extends Error {}

function parseInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new CronError(`failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = Number(text);
  if (value < 0) throw new CronError(`negative number (${value}) not allowed: ${text}`);
  return value;
}
function parseValue(text: string, bounds: Bounds): number {
  const named = bounds.names?.indexOf(text.toLowerCase()) ?? -1;
  return named >= 0 ? named + bounds.min : parseInteger(text);
}
/** `3`, `1-5`, `* /15` without the blank, `10-30/5`. */
function checkRange(expression: string, bounds: Bounds): void {
  const [range = '', step, ...more] = expression.split('/');
  const ends = range.split('-');
  let [start, end] = [bounds.min, bounds.max];
  let single = false;
  if (ends[0] !== '*' && ends[0] !== '?') {
    start = parseValue(ends[0]!, bounds);
    if (ends.length > 2) throw new CronError(`too many hyphens: ${expression}`);
    single = ends.length === 1;
    end = single ? start : parseValue(ends[1]!, bounds);
  }
  if (more.length > 0) throw new CronError(`too many slashes: ${expression}`);
  const by = step === undefined ? 1 : parseInteger(step);
  if (single && step !== undefined) end = bounds.max;
  if (start < bounds.min) throw new CronError(`beginning of range (${start}) below minimum (${bounds.min}): ${expression}`);
  if (end > bounds.max) throw new CronError(`end of range (${end}) above maximum (${bounds.max}): ${expression}`);
  if (start > end) throw new CronError(`beginning of range (${start}) beyond end of range (${end}): ${expression}`);
  if (by === 0) throw new CronError(`step of range should be a positive number: ${expression}`);
}
function checkDescriptor(text: string): void {
  if (DESCRIPTORS.includes(text)) return;
  if (!text.startsWith('@every ')) throw new CronError(`unrecognized descriptor: ${text}`);
  const duration = text.slice('@every '.length);
  try {
    formatDuration(parseDuration(duration));
  } catch (err) {
    throw new CronError(`failed to parse duration ${text}: ${err instanceof Error ? err.message : String(err)}`);
  }
}
/** Whether a zone of the IANA database has that name. */
export function isKnownTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).format(0) !== '';
  } catch {
    return false;
  }
}
function check(schedule: string): void {
  if (schedule === '') throw new CronError('empty spec string');
  let spec = schedule;
  const zone = /^(?:CRON_)?TZ=(\S*)\s*/.exec(spec);
  if (zone) {
    if (!isKnownTimeZone(zone[1]!)) throw new CronError(`provided bad location ${zone[1]}: unknown time zone ${zone[1]}`);
    spec = spec.slice(zone[0].length).trim();
  }
  if (spec.startsWith('@')) return checkDescriptor(spec);
  const fields = spec.split(/\s+/).filter((field) => field !== '');
  if (fields.length !== FIELDS.length) throw new CronError(`expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`);
  for (const [i, field] of fields.entries()) for (const part of field.split(',').filter((p) => p !== '')) checkRange(part, FIELDS[i]!);
}

/** Why a text is no schedule; undefined when it is one. */
export function scheduleError(schedule: string): string | undefined {
  try {
    check(schedule);
    return undefined;
  } catch (err) {
    if (err instanceof CronError) return err.message;
    throw err;
  }
}
