/**
 * The grammar of cron schedules: five fields or a descriptor, an optional `TZ=` in front. Grammar and the words of its errors are those of the
 * library that upstream uses (robfig/cron v3, `ParseStandard`).
 */
import { parseDuration } from './duration.ts';

/** A text that is no schedule. */
export class CronError extends Error {}

export interface CronField {
  readonly values: ReadonlySet<number>;
  /** It was `*`, or `?`. */
  readonly any: boolean;
}
export interface CronSchedule {
  /** Of the IANA database, where the schedule names one. */
  readonly zone?: string;
  /** Minute, hour, day of the month, month, day of the week; or how long from one time to the next. */
  readonly at: readonly CronField[] | { readonly everyMs: number };
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FIELDS: readonly Bounds[] = [{ min: 0, max: 59 }, { min: 0, max: 23 }, { min: 1, max: 31 }, { min: 1, max: 12, names: MONTHS }, { min: 0, max: 6, names: DAYS }];
const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
};

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
function parseRange(expression: string, bounds: Bounds): CronField {
  const [range = '', step, ...more] = expression.split('/');
  const ends = range.split('-');
  const star = ends[0] === '*' || ends[0] === '?';
  let [start, end] = [bounds.min, bounds.max];
  let single = false;
  if (!star) {
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
  const values = new Set<number>();
  for (let value = start; value <= end; value += by) values.add(value);
  return { values, any: star && by === 1 };
}
function parseField(text: string, bounds: Bounds): CronField {
  const parts = text.split(',').filter((part) => part !== '').map((part) => parseRange(part, bounds));
  return { values: new Set(parts.flatMap((part) => [...part.values])), any: parts.some((part) => part.any) };
}
function parseFields(text: string): readonly CronField[] {
  const fields = text.split(/\s+/).filter((field) => field !== '');
  if (fields.length !== FIELDS.length) throw new CronError(`expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`);
  return fields.map((field, i) => parseField(field, FIELDS[i]!));
}
function parseDescriptor(text: string): CronSchedule['at'] {
  const fields = DESCRIPTORS[text];
  if (fields !== undefined) return parseFields(fields);
  if (!text.startsWith('@every ')) throw new CronError(`unrecognized descriptor: ${text}`);
  try {
    return { everyMs: Number(parseDuration(text.slice('@every '.length)) / 1_000_000n) };
  } catch (err) {
    throw new CronError(`failed to parse duration ${text}: ${err instanceof Error ? err.message : String(err)}`, { cause: err });
  }
}

/** Throws {@link CronError}. */
export function parseCron(schedule: string): CronSchedule {
  if (schedule === '') throw new CronError('empty spec string');
  const [prefix = '', zone] = /^(?:CRON_)?TZ=(\S*)\s*/.exec(schedule) ?? [];
  if (zone !== undefined && !isKnownTimeZone(zone)) throw new CronError(`provided bad location ${zone}: unknown time zone ${zone}`);
  const spec = prefix ? schedule.slice(prefix.length).trim() : schedule;
  return { ...(zone === undefined ? {} : { zone }), at: spec.startsWith('@') ? parseDescriptor(spec) : parseFields(spec) };
}
/** Whether a zone of the IANA database has that name. */
export function isKnownTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).format(0) !== '';
  } catch {
    return false;
  }
}
