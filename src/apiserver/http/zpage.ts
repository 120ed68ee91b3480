/** A page about the server itself, for people and, where a client names its kind, for programs (KEP-4827, KEP-4828). */
import { dumpYaml } from '#machinery/yaml.ts';
import { notAcceptable } from '#machinery/status-error.ts';
import type { RawResult } from '../request.ts';
import { JSON_TYPE, YAML_TYPE } from '../registry/body.ts';
import { parseAccept, type AcceptClause } from './negotiation.ts';

export interface ZPage {
  readonly kind: 'Statusz' | 'Flagz';
  /** What people read, below the heading. */
  readonly text: string;
  /** What programs read, beside what every kind has. */
  readonly fields: Readonly<Record<string, unknown>>;
}
type Form = 'text' | { readonly mediaType: typeof JSON_TYPE | typeof YAML_TYPE; readonly version: string };

const OFFERED = [JSON_TYPE, YAML_TYPE, 'text/plain'];
const VERSIONS = ['v1alpha1', 'v1beta1'];

/** Text for whoever takes it; the structured forms have to be asked for by kind. */
function formOf({ type, parameters }: AcceptClause, kind: ZPage['kind']): Form | undefined {
  if (type === '*/*' || type === 'text/*' || type === 'text/plain') return 'text';
  const version = parameters.get('v') ?? '';
  const named = parameters.get('g') === 'config.k8s.io' && VERSIONS.includes(version) && parameters.get('as') === kind;
  return named && (type === JSON_TYPE || type === YAML_TYPE) ? { mediaType: type, version } : undefined;
}

/** Throws a NotAcceptable status for an Accept header that takes none of the forms. */
export function answerZPage(accept: string | undefined, { kind, text, fields }: ZPage): RawResult {
  const clauses = parseAccept(accept ?? '');
  const form = clauses.length === 0 ? 'text' : clauses.map((clause) => formOf(clause, kind)).find((f) => f !== undefined);
  if (form === undefined) throw notAcceptable(`only the following media types are accepted: ${OFFERED.join(', ')}`);
  if (form === 'text') {
    return raw('text/plain; charset=utf-8', `\napiserver ${kind.toLowerCase()}\nWarning: this page is for people who look for a fault; its format may change.\n\n${text}`);
  }
  const { mediaType, version } = form;
  const object = { kind, apiVersion: `config.k8s.io/${version}`, metadata: { name: 'apiserver' }, ...fields };
  return raw(`${mediaType};g=config.k8s.io;v=${version};as=${kind}`, mediaType === JSON_TYPE ? `${JSON.stringify(object)}\n` : dumpYaml(object));
}
function raw(contentType: string, text: string): RawResult {
  return { kind: 'raw', code: 200, headers: { 'content-type': contentType, 'cache-control': 'no-cache, private' }, body: Buffer.from(text) };
}
