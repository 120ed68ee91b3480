/**
 * What names, label keys and values, ports, paths and so on must look like. Every function returns upstream's messages, none where the
 * value is fine. Source: the API reference, "Object Names and IDs", "Labels and Selectors"; wording as upstream's
 * `apimachinery/pkg/util/validation` and `pkg/api/validate/content`.
 */
import { invalidValue, required, type FieldError, type FieldPath } from './field-errors.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const LABEL_UNDERSCORE = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const SUBDOMAIN_UNDERSCORE = `${LABEL_UNDERSCORE}(\\.${LABEL_UNDERSCORE})*`;
const WILDCARD = `\\*\\.${SUBDOMAIN}`;
const DNS1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const KEY = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const LABEL_VALUE = `(${KEY})?`;
const C_IDENTIFIER = '[A-Za-z_][A-Za-z0-9_]*';
const PERCENT = '[0-9]+%';
const HEADER = '[-A-Za-z0-9]+';
const ENV_NAME = '[-._a-zA-Z][-._a-zA-Z0-9]*';
const CONFIG_KEY = '[-._a-zA-Z0-9]+';
const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

const whole = (source: string): RegExp => new RegExp(`^${source}$`);
const LABEL_RE = whole(LABEL);
const SUBDOMAIN_RE = whole(SUBDOMAIN);
const SUBDOMAIN_UNDERSCORE_RE = whole(SUBDOMAIN_UNDERSCORE);
const WILDCARD_RE = whole(WILDCARD);
const DNS1035_RE = whole(DNS1035);
const KEY_RE = whole(KEY);
const LABEL_VALUE_RE = whole(LABEL_VALUE);
const C_IDENTIFIER_RE = whole(C_IDENTIFIER);
const PERCENT_RE = whole(PERCENT);
const HEADER_RE = whole(HEADER);
const ENV_NAME_RE = whole(ENV_NAME);
const CONFIG_KEY_RE = whole(CONFIG_KEY);
const HTTP_PATH_RE = whole(HTTP_PATH);

export const DNS_LABEL_MAX_LENGTH = 63;
export const DNS_SUBDOMAIN_MAX_LENGTH = 253;
const KEY_MESSAGE = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const KEY_EXAMPLES = ['MyName', 'my.name', '123-abc'];

/** Length in bytes of UTF-8, as Go counts. */
const bytes = (value: string): number => Buffer.byteLength(value);

export function maxLenError(length: number): string {
  return `must be no more than ${length} characters`;
}
/** `msg (e.g. 'a', or 'b', regex used for validation is '…')` */
export function regexError(message: string, source: string, ...examples: string[]): string {
  const shown = examples.length === 0 ? '' : `e.g. ${examples.map((e) => `'${e}', `).join(' or ')}`;
  return `${message} (${shown}regex used for validation is '${source}')`;
}
export function inclusiveRangeError(low: number, high: number): string {
  return `must be between ${low} and ${high}, inclusive`;
}
export const EMPTY_ERROR = 'must be non-empty';

const tooLongThan = (value: string, max: number): string[] => (bytes(value) > max ? [maxLenError(max)] : []);

export function isDNS1123Label(value: string): string[] {
  const out = tooLongThan(value, DNS_LABEL_MAX_LENGTH);
  if (LABEL_RE.test(value)) return out;
  if (SUBDOMAIN_RE.test(value)) return [...out, 'must not contain dots'];
  return [...out, regexError("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", LABEL, 'my-name', '123-abc')];
}
export function isDNS1123Subdomain(value: string): string[] {
  const out = tooLongThan(value, DNS_SUBDOMAIN_MAX_LENGTH);
  if (!SUBDOMAIN_RE.test(value)) out.push(regexError("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character", SUBDOMAIN, 'example.com'));
  return out;
}
export function isDNS1123SubdomainWithUnderscore(value: string): string[] {
  const out = tooLongThan(value, DNS_SUBDOMAIN_MAX_LENGTH);
  if (!SUBDOMAIN_UNDERSCORE_RE.test(value)) out.push(regexError("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character", SUBDOMAIN_UNDERSCORE, 'example.com'));
  return out;
}
export function isDNS1035Label(value: string): string[] {
  const out = tooLongThan(value, DNS_LABEL_MAX_LENGTH);
  if (!DNS1035_RE.test(value)) out.push(regexError("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character", DNS1035, 'my-name', 'abc-123'));
  return out;
}
export function isWildcardDNS1123Subdomain(value: string): string[] {
  const out = tooLongThan(value, DNS_SUBDOMAIN_MAX_LENGTH);
  if (!WILDCARD_RE.test(value)) out.push(regexError("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character", WILDCARD, '*.example.com'));
  return out;
}

/** Keys of labels and annotations, finalizers, resource names, condition types: `[DNS subdomain/]name`. */
export function isQualifiedName(value: string): string[] {
  const parts = value.split('/');
  if (parts.length > 2) return [`a valid label key ${regexError(KEY_MESSAGE, KEY, ...KEY_EXAMPLES)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  const out: string[] = [];
  if (parts.length === 2) {
    const prefix = parts[0]!;
    if (prefix === '') out.push(`prefix part ${EMPTY_ERROR}`);
    else out.push(...prefixMessages(prefix));
  }
  const name = parts.at(-1)!;
  if (name === '') out.push(`name part ${EMPTY_ERROR}`);
  else if (bytes(name) > DNS_LABEL_MAX_LENGTH) out.push(`name part must be no more than ${DNS_LABEL_MAX_LENGTH} bytes`);
  if (!KEY_RE.test(name)) out.push(`name part ${regexError(KEY_MESSAGE, KEY, ...KEY_EXAMPLES)}`);
  return out;
}
function inBytes(messages: readonly string[]): string[] {
  return messages.map((message) => message.replace(/^(must be no more than \d+) characters$/, '$1 bytes'));
}
function prefixMessages(prefix: string): string[] {
  return inBytes(isDNS1123Subdomain(prefix)).map((message) => `prefix part ${message}`);
}
export function isValidLabelValue(value: string): string[] {
  const out = bytes(value) > DNS_LABEL_MAX_LENGTH ? [`must be no more than ${DNS_LABEL_MAX_LENGTH} bytes`] : [];
  if (!LABEL_VALUE_RE.test(value)) out.push(regexError("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", LABEL_VALUE, 'MyValue', 'my_value', '12345'));
  return out;
}

export function isCIdentifier(value: string): string[] {
  return C_IDENTIFIER_RE.test(value) ? [] : [regexError("a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'", C_IDENTIFIER, 'my_name', 'MY_NAME', 'MyName')];
}
export function isValidPortNum(port: number): string[] {
  return isInRange(port, 1, 65535);
}
export function isInRange(value: number, low: number, high: number): string[] {
  return value >= low && value <= high ? [] : [inclusiveRangeError(low, high)];
}
const MAX_ID = 2 ** 31 - 1;
export function isValidUserID(uid: number): string[] {
  return isInRange(uid, 0, MAX_ID);
}
export function isValidGroupID(gid: number): string[] {
  return isInRange(gid, 0, MAX_ID);
}

export function isValidPortName(port: string): string[] {
  const out = tooLongThan(port, 15);
  if (!/^[-a-z0-9]+$/.test(port)) out.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(port)) out.push('must contain at least one letter (a-z)');
  if (port.includes('--')) out.push('must not contain consecutive hyphens');
  if (port.startsWith('-') || port.endsWith('-')) out.push('must not begin or end with a hyphen');
  return out;
}
export function isValidPercent(percent: string): string[] {
  return PERCENT_RE.test(percent) ? [] : [regexError("a valid percent string must be a numeric string followed by an ending '%'", PERCENT, '1%', '93%')];
}
export function isHTTPHeaderName(value: string): string[] {
  return HEADER_RE.test(value) ? [] : [regexError("a valid HTTP header must consist of alphanumeric characters or '-'", HEADER, 'X-Header-Name')];
}

function hasChDirPrefix(value: string): string[] {
  if (value === '.' || value === '..') return [`must not be '${value}'`];
  return value.startsWith('..') ? ["must not start with '..'"] : [];
}
/** The narrow rule, for places that cannot take any printable name. */
export function isEnvVarName(value: string): string[] {
  const out = ENV_NAME_RE.test(value) ? [] : [regexError("a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit", ENV_NAME, 'my.env-name', 'MY_ENV.NAME', 'MyEnvName1')];
  return [...out, ...hasChDirPrefix(value)];
}
/** The rule that release 1.36 applies to containers' environment: printable ASCII but `=`. */
export function isRelaxedEnvVarName(value: string): string[] {
  if (value === '') return [`environment variable name ${EMPTY_ERROR}`];
  return /^[ -<>-~]+$/.test(value) ? [] : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}
/** Keys of ConfigMaps and Secrets. */
export function isConfigMapKey(value: string): string[] {
  const out = tooLongThan(value, DNS_SUBDOMAIN_MAX_LENGTH);
  if (!CONFIG_KEY_RE.test(value)) out.push(regexError("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", CONFIG_KEY, 'key.name', 'KEY_NAME', 'key-name'));
  return [...out, ...hasChDirPrefix(value)];
}
/** Names that stand in a URL's path as they are: RBAC objects and others without a stricter rule. */
export function isPathSegmentName(name: string, prefix = false): string[] {
  if (!prefix && (name === '.' || name === '..')) return [`may not be '${name}'`];
  return ['/', '%'].filter((c) => name.includes(c)).map((c) => `may not contain '${c}'`);
}
/** An integer without plus sign or leading zeros. */

export function isFullyQualifiedName(path: FieldPath, name: string): FieldError[] {
  if (name === '') return [required(path)];
  const messages = isDNS1123Subdomain(name);
  if (messages.length) return [invalidValue(path, name, messages.join(','))];
  return name.split('.').length < 3 ? [invalidValue(path, name, 'should be a domain with at least three segments separated by dots')] : [];
}
export function isFullyQualifiedDomainName(path: FieldPath, text: string): FieldError[] {
  if (text === '') return [required(path)];
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  const messages = isDNS1123Subdomain(name);
  if (messages.length) return [invalidValue(path, name, messages.join(','))];
  const labels = name.split('.');
  if (labels.length < 2) return [invalidValue(path, name, 'should be a domain with at least two segments separated by dots')];
  const bad = labels.find((label) => isDNS1123Label(label).length > 0);
  return bad === undefined ? [] : [invalidValue(path, bad, isDNS1123Label(bad).join(','))];
}
export function isDomainPrefixedPath(path: FieldPath, text: string): FieldError[] {
  if (text === '') return [required(path)];
  const slash = text.indexOf('/');
  const host = text.slice(0, Math.max(slash, 0));
  const rest = text.slice(slash + 1);
  if (slash <= 0 || rest === '') return [invalidValue(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')];
  const out = isDNS1123Subdomain(host).map((message) => invalidValue(path, host, message));
  if (!HTTP_PATH_RE.test(rest)) out.push(invalidValue(path, rest, regexError('Invalid path', HTTP_PATH)));
  return out;
}
export function isDomainPrefixedKey(path: FieldPath, key: string): FieldError[] {
  if (key === '') return [required(path)];
  const out = isQualifiedName(key).map((message) => invalidValue(path, key, message));
  if (out.length || key.split('/').length === 2) return out;
  return [invalidValue(path, key, 'must be a domain-prefixed key (such as "acme.io/foo")')];
}

/**
 * Validates `metadata.name`, or `metadata.generateName` when `prefix` is set: the name will get a suffix, so a dash at its end is fine.
 */
export type ValidateName = (name: string, prefix: boolean) => readonly string[];
/** Upstream replaces the last two characters where it means the last; kept, as it decides what is accepted. */
const maskTrailingDash = (name: string): string => (name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name);
export const nameIsDNSSubdomain: ValidateName = (name, prefix) => isDNS1123Subdomain(prefix ? maskTrailingDash(name) : name);
export const nameIsDNSLabel: ValidateName = (name, prefix) => isDNS1123Label(prefix ? maskTrailingDash(name) : name);
export const nameIsDNS1035Label: ValidateName = (name, prefix) => isDNS1035Label(prefix ? maskTrailingDash(name) : name);
/** A DNS subdomain that is counted in bytes; what a name is generated from only has to fit a path. */
export const nameIsLongName: ValidateName = (name, prefix) => (prefix ? isPathSegmentName(name, true) : inBytes(isDNS1123Subdomain(name)));
export const nameIsPathSegment: ValidateName = (name, prefix) => isPathSegmentName(name, prefix);

/** Without vowels and look-alikes, so that no words appear. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const MAX_GENERATED_BASE = DNS_LABEL_MAX_LENGTH - SUFFIX_LENGTH;

/** A random text of the alphabet of generated names. `random` gives numbers in [0, 1), as `Math.random`. */
export function generateNameSuffix(random: () => number = Math.random, length = SUFFIX_LENGTH): string {
  let out = '';
  for (let i = 0; i < length; i++) out += SUFFIX_ALPHABET[Math.floor(random() * SUFFIX_ALPHABET.length)];
  return out;
}
/** The name made from `metadata.generateName`: cut so that it fits a DNS label. */
export function generateName(base: string, random: () => number = Math.random): string {
  return base.slice(0, MAX_GENERATED_BASE) + generateNameSuffix(random);
}
/** A hash's digits in the alphabet of generated names: the `pod-template-hash` of ReplicaSets and the like. */
export function safeEncodeString(text: string): string {
  let out = '';
  for (const byte of Buffer.from(text)) out += SUFFIX_ALPHABET[byte % SUFFIX_ALPHABET.length];
  return out;
}
