import { structByKind } from '#api/schema.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { parseBody } from './body.ts';
import { checkDeleteOptions, deleteOptionsOfQuery, type DeleteOptions } from './options.ts';
import { structCodec } from './struct-codec.ts';

const EXPECTED = { group: 'meta.k8s.io', version: 'v1', kind: 'DeleteOptions' };
let codec: ReturnType<typeof structCodec> | undefined;

/** DeleteOptions of the body where there is one, else of the query. `raw` is what admission plugins see. */
export async function readDeleteOptions(ctx: RequestContext): Promise<{ readonly options: DeleteOptions; readonly raw: Readonly<Record<string, unknown>> }> {
  const body = await ctx.request.readBody();
  const empty = !body || (body.kind === 'bytes' ? body.bytes.length === 0 : body.value === undefined);
  const value = empty ? deleteOptionsOfQuery(ctx.request.query) : decode(parseBody(body, EXPECTED).value);
  return { options: checkDeleteOptions(value), raw: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...value } };
}

/** Clients send the kind under `v1`, `meta.k8s.io/v1` or the resource's own group: upstream registers it in all. */
function decode(value: unknown): Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw badRequest(`the object provided is unrecognized (must be of type ${EXPECTED.kind})`);
  const { kind } = value as { kind?: unknown };
  if (kind !== undefined && kind !== '' && kind !== EXPECTED.kind) throw badRequest('decoded object cannot be converted to DeleteOptions');
  codec ??= structCodec(structByKind('meta', 'v1', EXPECTED.kind)!);
  try {
    return codec.decode(value).object as unknown as Readonly<Record<string, unknown>>;
  } catch (err) {
    throw badRequest(err instanceof Error ? err.message : String(err));
  }
}
