/** Formats of strings that a schema may ask for. Others are ignored, as upstream ignores them. Source: upstream's `supportedVersionedFormats`. */
import { isIPv4, isIPv6 } from 'node:net';
import { parseDuration } from '#machinery/duration.ts';
import { parseCIDR } from '#machinery/ip.ts';
import { isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';
import { isRequestUri } from '#cel/library/url.ts';

type Check = (text: string) => boolean;
const matches = (pattern: RegExp): Check => (text) => pattern.test(text);
const UUID = (middle: string): Check => matches(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${middle}-?[0-9a-f]{12}$`, 'i'));
const HOSTNAME = /^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$/u;
const DATETIME = /^(\d{4}-\d\d-\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[zZ]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
const CREDIT_CARD = /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/;

function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}
function isDateTime(text: string): boolean {
  const match = DATETIME.exec(text);
  return match !== null && isDate(match[1]!);
}
const SCALA = /^\s*[+-]?\d+(?:\.\d+)?\s*(?:ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|sec|secs|seconds?|m|min|mins|minutes?|h|hr|hrs|hours?|d|days?|w|wks?|weeks?)\s*$/;
function isDuration(text: string): boolean {
  if (SCALA.test(text)) return true;
  try {
    parseDuration(text);
    return true;
  } catch {
    return false;
  }
}
function checksum(digits: string, weight: (i: number) => number, modulus: number): boolean {
  let sum = 0;
  for (const [i, c] of [...digits].entries()) sum += (c === 'X' ? 10 : Number(c)) * weight(i);
  return sum % modulus === 0;
}
const bare = (text: string): string => text.replace(/[\s-]+/g, '');
const isISBN10: Check = (text) => /^\d{9}[\dX]$/.test(bare(text)) && checksum(bare(text), (i) => 10 - i, 11);
const isISBN13: Check = (text) => /^\d{13}$/.test(bare(text)) && checksum(bare(text), (i) => (i % 2 === 0 ? 1 : 3), 10);
function isCreditCard(text: string): boolean {
  const digits = text.replace(/[^0-9]+/g, '');
  if (!CREDIT_CARD.test(digits)) return false;
  const sum = [...digits].toReversed().reduce((total, c, i) => total + (i % 2 === 0 ? Number(c) : Math.floor((Number(c) * 2) / 10) + ((Number(c) * 2) % 10)), 0);
  return sum % 10 === 0;
}
const BYTE = String.raw`\s*(?:[01]?\d?\d|2[0-4]\d|25[0-5])\s*`;
const FORMATS: Readonly<Record<string, Check>> = {
  bsonobjectid: matches(/^[0-9a-f]{24}$/i),
  uri: isRequestUri,
  email: matches(/^(?:[^<>@]*<)?[^\s@<>]+@[^\s@<>]+>?$/),
  hostname: (text) => text.length < 256 && HOSTNAME.test(text),
  ipv4: isIPv4,
  ipv6: (text) => isIPv6(text) && !text.includes('%'),
  cidr: (text) => parseCIDR(text) !== undefined,
  mac: matches(/^(?:[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\2){6}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2,3}[0-9a-f]{4})$/i),
  uuid: UUID('[0-9a-f]{4}-?[0-9a-f]{4}'),
  uuid3: UUID('3[0-9a-f]{3}-?[0-9a-f]{4}'),
  uuid4: UUID('4[0-9a-f]{3}-?[89ab][0-9a-f]{3}'),
  uuid5: UUID('5[0-9a-f]{3}-?[89ab][0-9a-f]{3}'),
  isbn: (text) => isISBN10(text) || isISBN13(text),
  isbn10: isISBN10,
  isbn13: isISBN13,
  creditcard: isCreditCard,
  ssn: matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  hexcolor: matches(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: matches(new RegExp(`^rgb\\(${BYTE},${BYTE},${BYTE}\\)$`)),
  byte: matches(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (text) => isDNS1123Label(text).length === 0,
  k8slongname: (text) => isDNS1123Subdomain(text).length === 0,
};
const NUMBER_FORMATS: Readonly<Record<string, readonly string[]>> = { integer: ['int32', 'int64'], number: ['float', 'double'] };
/** Whether values of the type are looked at for this format. */
export function isKnownFormat(type: string, format: string): boolean {
  return type === '' || type === 'string' ? formatCheck(format) !== undefined : (NUMBER_FORMATS[type]?.includes(format) ?? false);
}
/** The check of a format; undefined: nobody knows it. `date-time` and `datetime` are the same. */
export function formatCheck(format: string): Check | undefined {
  const name = format.replaceAll('-', '');
  return Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
}
