/** `pods/log`. Source: the API reference, PodLogOptions. */
import { fieldPath, forbiddenField, invalidValue, notSupported, type FieldError } from '#machinery/field-errors.ts';
import { badRequest, internalError, invalid, REASON_CODES, StatusError, type StatusReason } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import type { Query } from '../query.ts';
import { intParameter } from '../registry/options.ts';
import type { ApiResult } from '../request.ts';
import { containerOf, nodeNamed, nodeProxyOf, podOf } from './connect.ts';
import type { ProxyAnswer } from './node-proxy.ts';

const FORWARDED = ['follow', 'previous', 'timestamps', 'sinceSeconds', 'sinceTime', 'tailLines', 'limitBytes', 'stream'] as const;
const FLAGS: ReadonlySet<string> = new Set(['follow', 'previous', 'timestamps']);
/** How upstream prints the path of the options as a whole. */
const WHOLE = fieldPath('[]');
const MAX_ERROR_BYTES = 50_000;

function validateLogOptions(query: Query): FieldError[] {
  const errors: FieldError[] = [];
  const [tail, limit, since] = ['tailLines', 'limitBytes', 'sinceSeconds'].map((name) => intParameter(query, name));
  if (tail !== undefined && tail < 0) errors.push(invalidValue(fieldPath('tailLines'), tail, 'must be greater than or equal to 0'));
  if (limit !== undefined && limit < 1) errors.push(invalidValue(fieldPath('limitBytes'), limit, 'must be greater than 0'));
  if (since !== undefined && query.get('sinceTime') !== '') errors.push(forbiddenField(WHOLE, 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  else if (since !== undefined && since < 1) errors.push(invalidValue(fieldPath('sinceSeconds'), since, 'must be greater than 0'));
  const stream = query.get('stream');
  if (stream !== '' && !['All', 'Stdout', 'Stderr'].includes(stream)) errors.push(notSupported(fieldPath('stream'), stream, ['All', 'Stdout', 'Stderr']));
  else if (tail !== undefined && (stream === 'Stdout' || stream === 'Stderr')) errors.push(forbiddenField(WHOLE, '`tailLines` and specific `stream` are mutually exclusive for now'));
  return errors;
}

function kubeletQuery(query: Query): string {
  const out = new URLSearchParams();
  for (const name of FORWARDED) {
    if (FLAGS.has(name) ? query.bool(name) : query.get(name) !== '') out.set(name, FLAGS.has(name) ? 'true' : query.get(name));
  }
  const text = out.toString();
  return text === '' ? '' : `?${text}`;
}

export async function serveLog(ctx: RequestContext): Promise<ApiResult> {
  const { query } = ctx.request;
  const errors = validateLogOptions(query);
  if (errors.length) throw invalid({ group: '', kind: 'PodLogOptions' }, ctx.name, errors);
  const pod = await podOf(ctx);
  const container = containerOf(pod, query.get('container'));
  const headers = { 'content-type': 'text/plain' };
  // Not on a node yet: there is nothing to read, which is no error.
  if (!pod.spec?.nodeName) return { kind: 'raw', code: 200, headers, body: Buffer.alloc(0) };
  const path = `/containerLogs/${[ctx.namespace, ctx.name, container].map(encodeURIComponent).join('/')}${kubeletQuery(query)}`;
  const answer = await nodeProxyOf(ctx).send('GET', { node: nodeNamed(ctx, pod.spec.nodeName), path, user: ctx.user }, ctx.signal);
  if (answer.status < 200 || answer.status > 206) throw await kubeletError(answer);
  return { kind: 'raw', code: 200, headers, body: answer.body };
}

/** A kubelet's refusal as a Status: its text is the message. */
export async function kubeletError(answer: ProxyAnswer): Promise<StatusError> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= MAX_ERROR_BYTES) break;
  }
  const text = Buffer.concat(chunks).toString('utf8').slice(0, MAX_ERROR_BYTES);
  if (answer.status === 400) return badRequest(text);
  if (answer.status === 500) return internalError(text);
  const reason = (Object.entries(REASON_CODES) as [StatusReason, number][]).find(([, code]) => code === answer.status)?.[0];
  return new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: text, ...(reason ? { reason } : {}), details: {}, code: answer.status });
}
