/** Where webhooks are called: of admission and of conversion. In the words of upstream's `apiserver/pkg/util/webhook`. */
import { X509Certificate } from 'node:crypto';
import { invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain, isValidPortNum } from '#machinery/names.ts';

const FORM = '; desired format: https://host[/path]';
/** scheme, authority, path, query, fragment. */
const URL_PARTS = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/;

export function validateWebhookURL(url: string, path: FieldPath): FieldError[] {
  const parts = URL_PARTS.exec(url);
  const controls = [...url].some((char) => char < ' ' || char === '\u007f');
  if (!parts || controls) return [required(path, `url must be a valid URL: parse ${JSON.stringify(url)}: net/url: invalid control character in URL${FORM}`)];
  const [, scheme = '', authority = '', , query = '', fragment = ''] = parts;
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  const errors: FieldError[] = [];
  if (scheme.toLowerCase() !== 'https') errors.push(invalidValue(path, scheme.toLowerCase(), `'https' is the only allowed URL scheme${FORM}`));
  if (host === '') errors.push(invalidValue(path, host, `host must be specified${FORM}`));
  if (at >= 0) errors.push(invalidValue(path, authority.slice(0, at), 'user information is not permitted in the URL'));
  if (fragment !== '') errors.push(invalidValue(path, fragment, 'fragments are not permitted in the URL'));
  if (query !== '') errors.push(invalidValue(path, query, 'query parameters are not permitted in the URL'));
  return errors;
}

function validateServicePath(url: string, path: FieldPath): FieldError[] {
  if (url === '' || url === '/') return [];
  if (url === '//') return [invalidValue(path, url, 'segment[0] may not be empty')];
  const errors = url.startsWith('/') ? [] : [invalidValue(path, url, "must start with a '/'")];
  const segments = url.slice(1).replace(/\/$/, '').split('/');
  for (const [i, segment] of segments.entries()) {
    const problems = segment === '' ? ['may not be empty'] : isDNS1123Subdomain(segment).map((message) => `: ${message}`);
    errors.push(...problems.map((problem) => invalidValue(path, url, `segment[${i}]${problem.startsWith(':') ? '' : ' '}${problem}`)));
  }
  return errors;
}
export interface WebhookService {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly path?: string | undefined;
  readonly port?: number | undefined;
}
export interface WebhookClient {
  readonly url?: string | undefined;
  readonly service?: WebhookService | undefined;
}
export function validateWebhookService({ name, namespace, path: url, port = 0 }: WebhookService, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!name) errors.push(required(path.child('name'), 'service name is required'));
  if (!namespace) errors.push(required(path.child('namespace'), 'service namespace is required'));
  const problems = isValidPortNum(port);
  if (problems.length > 0) errors.push(invalidValue(path.child('port'), port, `port is not valid: ${problems.join(',')}`));
  return url === undefined ? errors : [...errors, ...validateServicePath(url, path.child('path'))];
}
/** Exactly one of the two. */
export function validateWebhookClient({ url, service }: WebhookClient, path: FieldPath): FieldError[] {
  if ((url === undefined) === (service === undefined)) return [required(path, 'exactly one of url or service is required')];
  return url === undefined ? validateWebhookService(service!, path.child('service')) : validateWebhookURL(url, path.child('url'));
}

const [BEGIN, END] = ['-----BEGIN ', '\n-----END '];
/** PEM blocks in order, each with its whole text. Linear in the size of the text, whatever it is. */
function* pemBlocks(text: string): Generator<{ readonly type: string; readonly block: string; readonly hasHeaders: boolean }> {
  for (let at = text.indexOf(BEGIN); at >= 0; at = text.indexOf(BEGIN, at)) {
    const lineEnd = text.indexOf('\n', at);
    const end = lineEnd < 0 ? -1 : text.indexOf(END, lineEnd);
    if (end < 0) return;
    const type = text.slice(at + BEGIN.length, lineEnd).trimEnd().replace(/-----$/, '');
    const close = `${type}-----`;
    const stop = end + END.length;
    if (text.startsWith(close, stop)) yield { type, block: text.slice(at, stop + close.length), hasHeaders: text.slice(lineEnd, end).includes(':') };
    at = stop;
  }
}
/** What Go's TLS says of a bundle without any certificate that it can use. */
function bundleProblem(text: string): string | undefined {
  let problem: string | undefined;
  for (const { type, block, hasHeaders } of pemBlocks(text)) {
    problem ??= 'no valid certificate authority data seen';
    if (type !== 'CERTIFICATE' || hasHeaders) continue;
    try {
      if (new X509Certificate(block).raw.length) return undefined;
    } catch (err) {
      problem = `failed to parse certificate: ${err instanceof Error ? err.message : String(err)}`;
    }
  }
  return problem ?? 'unable to parse bytes as PEM block';
}
/** `caBundle` in base64. Absent or empty: the system's roots, which is fine. */
export function validateCABundle(caBundle: string | undefined, path: FieldPath): FieldError[] {
  const bytes = Buffer.from(caBundle ?? '', 'base64');
  const problem = bytes.length ? bundleProblem(bytes.toString('latin1')) : undefined;
  return problem === undefined ? [] : [invalidValue(path, bytes, `unable to load root certificates: ${problem}`)];
}
