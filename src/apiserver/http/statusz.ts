/** `/statusz`: what runs since when, for people and, where a client names the kind, for programs (KEP-4827). */
import { rfc3339 } from '#base/clock.ts';
import { dumpYaml } from '#machinery/yaml.ts';
import { notAcceptable } from '#machinery/status-error.ts';
import type { RawResult } from '../request.ts';
import { JSON_TYPE, YAML_TYPE } from '../registry/body.ts';
import { parseAccept, type AcceptClause } from './negotiation.ts';

export interface ServerStatus {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly now: number;
  readonly goVersion: string;
  /** `1.36` */
  readonly binaryVersion: string;
  readonly emulationVersion: string;
  readonly paths: readonly string[];
}
type Form = 'text' | typeof JSON_TYPE | typeof YAML_TYPE;

const OFFERED = [JSON_TYPE, YAML_TYPE, 'text/plain'];

/** Text for whoever takes it; the structured forms have to be asked for by kind. */
function formOf({ type, parameters }: AcceptClause): Form | undefined {
  if (type === '*/*' || type === 'text/*' || type === 'text/plain') return 'text';
  const named = parameters.get('g') === 'config.k8s.io' && parameters.get('v') === 'v1beta1' && parameters.get('as') === 'Statusz';
  return named && (type === JSON_TYPE || type === YAML_TYPE) ? type : undefined;
}

/** Throws a NotAcceptable status for an Accept header that takes none of the forms. */
export function answerStatusz(accept: string | undefined, status: ServerStatus): RawResult {
  const clauses = parseAccept(accept ?? '');
  const form = clauses.length === 0 ? 'text' : clauses.map(formOf).find((f) => f !== undefined);
  if (form === undefined) throw notAcceptable(`only the following media types are accepted: ${OFFERED.join(', ')}`);
  const uptimeSeconds = Math.trunc((status.now - status.startedAt) / 1000);
  const { goVersion, binaryVersion, emulationVersion, paths } = status;
  if (form === 'text') return raw('text/plain; charset=utf-8', textOf(status, uptimeSeconds));
  const object = { kind: 'Statusz', apiVersion: 'config.k8s.io/v1beta1', metadata: { name: 'apiserver' }, startTime: rfc3339(status.startedAt), uptimeSeconds, goVersion, binaryVersion, emulationVersion, paths };
  return raw(`${form};g=config.k8s.io;v=v1beta1;as=Statusz`, form === JSON_TYPE ? `${JSON.stringify(object)}\n` : dumpYaml(object));
}

function textOf(status: ServerStatus, uptimeSeconds: number): string {
  const hours = Math.trunc(uptimeSeconds / 3600);
  const up = `${hours} hr ${String(Math.trunc(uptimeSeconds / 60) % 60).padStart(2, '0')} min ${String(uptimeSeconds % 60).padStart(2, '0')} sec`;
  const lines = [['Started', rfc3339(status.startedAt)], ['Up', up], ['Go version', status.goVersion], ['Binary version', status.binaryVersion], ['Emulation version', status.emulationVersion], ['Paths', status.paths.join(' ')]];
  return `\napiserver statusz\nWarning: this page is for people who look for a fault; its format may change.\n\n${lines.map(([name, value]) => `${name}: ${value}`).join('\n')}\n`;
}
function raw(contentType: string, text: string): RawResult {
  return { kind: 'raw', code: 200, headers: { 'content-type': contentType, 'cache-control': 'no-cache, private' }, body: Buffer.from(text) };
}
