/** `kubernetes.URL`: a request URI taken apart by Go's rules (`url.ParseRequestURI`). */
import { goQuote } from '#machinery/go-text.ts';
import { CelError } from '../errors.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { opaque, type CelType } from '../types.ts';
import { ArrayList, EntryMap, OpaqueValue, sizeOf, type Value } from '../values.ts';

export const URL_TYPE = opaque('kubernetes.URL');

interface Parts {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
}
class UrlValue extends OpaqueValue {
  readonly parts: Parts;
  constructor(parts: Parts) {
    super();
    this.parts = parts;
  }
  get type(): CelType {
    return URL_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof UrlValue && JSON.stringify(this.parts) === JSON.stringify(other.parts);
  }
}
const SCHEME = /^([a-zA-Z][a-zA-Z0-9+.-]*):/;
const BAD_ESCAPE = /%(?![0-9a-fA-F]{2})/;

/** Throws an Error in Go's words. */
export function parseRequestUri(text: string): Parts {
  const fail = (why: string): Error => new Error(`parse ${goQuote(text)}: ${why}`);
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x1f\x7f]/.test(text)) throw fail('net/url: invalid control character in URL');
  if (text === '') throw fail('empty url');
  let rest = text;
  if (rest.startsWith(':')) throw fail('missing protocol scheme');
  const scheme = SCHEME.exec(rest)?.[1]?.toLowerCase() ?? '';
  rest = rest.slice(scheme === '' ? 0 : scheme.length + 1);
  const question = rest.indexOf('?');
  const query = question < 0 ? '' : rest.slice(question + 1);
  if (question >= 0) rest = rest.slice(0, question);
  if (!rest.startsWith('/')) {
    if (scheme === '') throw fail('invalid URI for request');
    return { scheme, host: '', path: '', query };
  }
  let host = '';
  if ((scheme !== '' || !rest.startsWith('///')) && rest.startsWith('//')) {
    const end = rest.indexOf('/', 2);
    const authority = rest.slice(2, end < 0 ? undefined : end);
    rest = end < 0 ? '' : rest.slice(end);
    host = authority.slice(authority.lastIndexOf('@') + 1);
    const port = host.startsWith('[') ? host.slice(host.indexOf(']') + 1) : host.includes(':') ? host.slice(host.indexOf(':')) : '';
    if (port !== '' && !/^:[0-9]*$/.test(port)) throw fail(`invalid port ${goQuote(port)} after host`);
    if (/[\s<>"\\^`{|}]/.test(host)) throw fail(`invalid character ${goQuote(/[\s<>"\\^`{|}]/.exec(host)![0])} in host name`);
  }
  const escape = BAD_ESCAPE.exec(rest) ?? BAD_ESCAPE.exec(host);
  if (escape) throw fail(`invalid URL escape ${goQuote(escape.input.slice(escape.index, escape.index + 3))}`);
  return { scheme, host, path: rest, query };
}
export function isRequestUri(text: string): boolean {
  try {
    parseRequestUri(text);
    return true;
  } catch {
    return false;
  }
}
const parts = (value: Value): Parts => (value as UrlValue).parts;
const split = (host: string): readonly [string, string] => {
  const bracket = /^\[(.*)\](?::(\d*))?$/.exec(host);
  if (bracket) return [bracket[1]!, bracket[2] ?? ''];
  const colon = host.lastIndexOf(':');
  return colon < 0 ? [host, ''] : [host.slice(0, colon), host.slice(colon + 1)];
};
/** As Go's `EscapedPath`: what is written where that is valid, else encoded. */
function escapedPath(path: string): string {
  return /^[a-zA-Z0-9\-._~!$&'()*+,;=:@/%[\]]*$/.test(path) ? path : encodeURI(path).replace(/%25/g, '%');
}
function unescape(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
const getQuery: Implementation = (f, a) => {
  const grouped = new Map<string, Value[]>();
  for (const pair of parts(a).query.split('&')) {
    f.labour(1);
    if (pair === '' || pair.includes(';')) continue;
    const [name, value] = [/^[^=]*/.exec(pair)![0], pair.includes('=') ? pair.slice(pair.indexOf('=') + 1) : ''].map(unescape);
    if (name !== undefined && value !== undefined) grouped.getOrInsertComputed(name, () => []).push(value);
  }
  const out = new EntryMap();
  for (const [name, values] of grouped) out.insert(name, new ArrayList(values));
  return out;
};
const cost: CallCost = (a) => Math.ceil(sizeOf(a) * 0.1);
const toUrl: Implementation = (_f, a) => {
  try {
    return new UrlValue(parseRequestUri(a as string));
  } catch (err) {
    throw new CelError(`URL parse error during conversion from string: ${(err as Error).message}`);
  }
};
export const URLS: readonly FunctionDeclaration[] = [
  declare('url', plain('string_to_url', 'string -> kubernetes.URL', toUrl, cost)),
  declare('isURL', plain('is_url_string', 'string -> bool', (_f, a) => isRequestUri(a as string))),
  declare('getScheme', member('url_get_scheme', 'kubernetes.URL -> string', (_f, a) => parts(a).scheme)),
  declare('getHost', member('url_get_host', 'kubernetes.URL -> string', (_f, a) => parts(a).host)),
  declare('getHostname', member('url_get_hostname', 'kubernetes.URL -> string', (_f, a) => split(parts(a).host)[0])),
  declare('getPort', member('url_get_port', 'kubernetes.URL -> string', (_f, a) => split(parts(a).host)[1])),
  declare('getEscapedPath', member('url_get_escaped_path', 'kubernetes.URL -> string', (_f, a) => escapedPath(parts(a).path))),
  declare('getQuery', member('url_get_query', 'kubernetes.URL -> map<string, list<string>>', getQuery)),
];
