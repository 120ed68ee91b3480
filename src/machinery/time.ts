/**
 * Timestamps on the wire: `metav1.Time` (RFC 3339, whole seconds, UTC) and `metav1.MicroTime` (six digits of fraction).
 * Errors are those of Go's `time.Parse`.
 */

const TIME_LAYOUT = '2006-01-02T15:04:05Z07:00';
const MICRO_LAYOUT = '2006-01-02T15:04:05.000000Z07:00';
const CANONICAL_MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const CANONICAL_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const quote = (text: string): string => JSON.stringify(text);

interface Stage {
  readonly pattern: RegExp;
  /** The part of the layout that Go names when the text does not fit it. */
  readonly element: string;
}
const digits = (element: string, count: string): Stage => ({ pattern: new RegExp(`^\\d{${count}}`), element });
const literal = (element: string): Stage => ({ pattern: new RegExp(`^${element}`), element });
const DATE_AND_CLOCK: readonly Stage[] = [
  digits('2006', '4'), literal('-'), digits('01', '2'), literal('-'), digits('02', '2'), literal('T'), digits('15', '1,2'), literal(':'), digits('04', '2'), literal(':'), digits('05', '2'),
];
const ANY_FRACTION: Stage = { pattern: /^([.,]\d+)?/, element: '' };
const SIX_DIGITS: Stage = { pattern: /^[.,]\d{6}/, element: '.000000' };
const ZONE: Stage = { pattern: /^(Z|[+-]\d\d:\d\d)/, element: 'Z07:00' };
const TIME_STAGES = [...DATE_AND_CLOCK, ANY_FRACTION, ZONE];
const MICRO_STAGES = [...DATE_AND_CLOCK, SIX_DIGITS, ZONE];

interface Instant {
  /** Milliseconds since the epoch, whole seconds. */
  readonly seconds: number;
  /** Fraction of the second in microseconds, cut. */
  readonly micros: number;
}

function parse(text: string, layout: string, stages: readonly Stage[]): Instant {
  const parts: string[] = [];
  let rest = text;
  for (const { pattern, element } of stages) {
    const match = pattern.exec(rest);
    if (!match) throw new Error(`parsing time ${quote(text)} as ${quote(layout)}: cannot parse ${quote(rest)} as ${quote(element)}`);
    parts.push(match[0]);
    rest = rest.slice(match[0].length);
  }
  if (rest !== '') throw new Error(`parsing time ${quote(text)}: extra text: ${quote(rest)}`);
  const [year, , month, , day, , hour, , minute, , second] = parts.map(Number) as [number, 0, number, 0, number, 0, number, 0, number, 0, number];
  const outOfRange = (what: string): Error => new Error(`parsing time ${quote(text)}: ${what} out of range`);
  if (month < 1 || month > 12) throw outOfRange('month');
  if (hour > 23) throw outOfRange('hour');
  if (minute > 59) throw outOfRange('minute');
  if (second > 59) throw outOfRange('second');
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (day < 1 || date.getUTCDate() !== day) throw outOfRange('day');
  date.setUTCHours(hour, minute, second);
  const zone = parts.at(-1)!;
  const offset = zone === 'Z' ? 0 : (zone.startsWith('-') ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4)));
  return { seconds: date.getTime() - offset * 60_000, micros: Number(parts[11]!.slice(1, 7).padEnd(6, '0')) };
}

/** The canonical text of an RFC 3339 time: UTC, whole seconds. Throws an Error in Go's words. */
export function canonicalTime(text: string): string {
  if (CANONICAL_TIME.test(text) && inRange(text)) return text;
  return `${new Date(parse(text, TIME_LAYOUT, TIME_STAGES).seconds).toISOString().slice(0, 19)}Z`;
}
/** Whether the numbers of a text that has a canonical form are those of a date and a time of day. */
function inRange(text: string): boolean {
  const two = (at: number): number => (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48;
  const [month, day] = [two(5), two(8)];
  return month >= 1 && month <= 12 && day >= 1 && day <= daysOf(two(0) * 100 + two(2), month) && two(11) <= 23 && two(14) <= 59 && two(17) <= 59;
}
function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
/** The canonical text of a time with exactly six digits of fraction: UTC. Throws an Error in Go's words. */
export function canonicalMicroTime(text: string): string {
  if (CANONICAL_MICRO_TIME.test(text) && inRange(text)) return text;
  const { seconds, micros } = parse(text, MICRO_LAYOUT, MICRO_STAGES);
  return `${new Date(seconds).toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}Z`;
}
/** Seconds since the epoch and nanoseconds, as protobuf has them. Takes both forms. */
export function timeParts(text: string): { seconds: number; nanos: number } {
  if (CANONICAL_TIME.test(text) && inRange(text)) return { seconds: Date.parse(text) / 1000, nanos: 0 };
  const { seconds, micros } = parse(text, TIME_LAYOUT, TIME_STAGES);
  return { seconds: seconds / 1000, nanos: micros * 1000 };
}
