import { structByKind } from '#api/schema.ts';
import { readTypeMeta } from '#machinery/decode.ts';
import { goQuote } from '#machinery/go-text.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { parseBody } from './body.ts';
import { checkDeleteOptions, deleteOptionsOfQuery, type DeleteOptions } from './options.ts';
import { structCodec } from './struct-codec.ts';

const EXPECTED = { group: 'meta.k8s.io', version: 'v1', kind: 'DeleteOptions' };
const SCHEME = 'k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27';
let codec: ReturnType<typeof structCodec> | undefined;

/** DeleteOptions of the body where there is one, else of the query. `raw` is what admission plugins see. */
export async function readDeleteOptions(ctx: RequestContext): Promise<{ readonly options: DeleteOptions; readonly raw: Readonly<Record<string, unknown>> }> {
  const body = await ctx.request.readBody();
  const empty = !body || (body.kind === 'bytes' ? body.bytes.length === 0 : body.value === undefined);
  const value = empty ? deleteOptionsOfQuery(ctx.request.query) : decode(parseBody(body, EXPECTED).value);
  const options = checkDeleteOptions(value);
  const { deletionWarning } = ctx.served.strategy;
  if (deletionWarning !== undefined && options.propagationPolicy === undefined && options.orphanDependents === undefined) ctx.warn(deletionWarning);
  return { options, raw: { ...value, kind: EXPECTED.kind, apiVersion: 'meta.k8s.io/v1' } };
}

/** Clients send the kind under `v1`, `meta.k8s.io/v1` or the resource's own group: upstream registers it in all. */
function decode(value: unknown): Readonly<Record<string, unknown>> {
  codec ??= structCodec(structByKind('meta', 'v1', EXPECTED.kind)!);
  try {
    const { kind, apiVersion } = readTypeMeta(value);
    if (kind !== '' && kind !== EXPECTED.kind) throw new Error(`no kind ${goQuote(kind)} is registered for version ${goQuote(apiVersion)} in scheme "${SCHEME}"`);
    return codec.decode(value).object as unknown as Readonly<Record<string, unknown>>;
  } catch (err) {
    throw badRequest(err instanceof Error ? err.message : String(err));
  }
}
