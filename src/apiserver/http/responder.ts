/** Writes results and refusals out over an exchange. */
import { pipeline, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { constants as zlib, createGzip, gzip } from 'node:zlib';
import type { Status } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { internalError, StatusError } from '#machinery/status-error.ts';
import { PageNotFound } from '../generic-errors.ts';
import type { MaybePromise } from '../interfaces.ts';
import { JSON_TYPE } from '../registry/body.ts';
import { errorEvent } from '../registry/watch.ts';
import type { ServedResource } from '../registry/resource-registry.ts';
import { SCALE_TABLE } from '../strategies/autoscaling/scale-table.ts';
import type { ApiResult, RawResult, WatchedEvent, WatchResult } from '../request.ts';
import { warningHeader } from '../warnings.ts';
import { encodeList, encodeObjectResult, encodeValue, type Encoded, type EncodedParts, type Format, type ShownKind } from './encode.ts';
import type { Exchange, ResponseHeaders, ResponseStream } from './exchange.ts';
import { WatchEncoder } from './watch-encoder.ts';

const compress = promisify(gzip);
/** Smaller answers cost more to compress than to send: upstream's threshold. */
const GZIP_FROM_BYTES = 128 * 1024;
/**
 * Bodies above this go out piece by piece, as fast as the client takes them: what lies in an HTTP/2 session counts against its memory, and other
 * streams would be refused.
 */
const PIECE_BYTES = 256 * 1024;
/** A client that takes nothing of its answer for this long is cut off; a watcher can come back and resume. */
const STALL_MS = 60_000;
/** The answer of who takes nothing of it for this long is no work of the server's any more. */
const IDLE_MS = 1_000;

/** Compressed bodies by the very body: a list that many ask for at the same time is compressed once. */
const compressed = new WeakMap<Buffer, Promise<Buffer>>();
function packed(body: Buffer): Promise<Buffer> {
  let made = compressed.get(body);
  if (!made) compressed.set(body, (made = compress(body, { level: zlib.Z_BEST_SPEED })));
  return made;
}

export interface ResponseContext {
  readonly exchange: Exchange;
  readonly auditId: string;
  readonly warnings: readonly string[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The flow schema of the request, once it is known. */
  readonly flow?: { readonly uid: string; readonly level: { readonly uid: string } } | undefined;
  /** Called when the client takes nothing of a large answer. */
  readonly onIdle?: (() => void) | undefined;
  /** Hears of each batch of a watch that was written, and of its frames. */
  readonly onEvents?: ((batch: readonly WatchedEvent[], frames: readonly Buffer[]) => void) | undefined;
}
/** What went out. */
export interface Outcome {
  readonly code: number;
  readonly bytes: number | undefined;
}

/** What every answer carries. */
function commonHeaders({ auditId, flow }: Pick<ResponseContext, 'auditId' | 'flow'>): ResponseHeaders {
  const headers: ResponseHeaders = { 'audit-id': auditId, 'cache-control': 'no-cache, private' };
  if (flow?.uid) headers['x-kubernetes-pf-flowschema-uid'] = flow.uid;
  if (flow?.level.uid) headers['x-kubernetes-pf-prioritylevel-uid'] = flow.level.uid;
  return headers;
}
export function baseHeaders(ctx: Pick<ResponseContext, 'auditId' | 'warnings' | 'flow'>, contentType: string): ResponseHeaders {
  const headers = commonHeaders(ctx);
  headers['content-type'] = contentType;
  if (ctx.warnings.length) headers['warning'] = ctx.warnings.map(warningHeader);
  return headers;
}

const UNFORMATTED: Format = { mediaType: JSON_TYPE, transform: undefined, version: '', pretty: undefined, indent: false, include: 'Metadata', now: 0 };

export async function writeResult(ctx: ResponseContext, result: ApiResult, format: Format | undefined, served: ServedResource | undefined): Promise<Outcome> {
  switch (result.kind) {
    case 'object': {
      return send(ctx, result.code, encodeObjectResult(result.object, result.entry, format ?? UNFORMATTED, shownKind(result.object, served)));
    }
    case 'list':
      return send(ctx, 200, await encodeList(result, format ?? UNFORMATTED, ctx.signal));
    case 'watch':
      return writeWatch(ctx, result, format ?? UNFORMATTED);
    case 'raw':
      return writeRaw(ctx, result);
    case 'hijacked':
      return { code: 101, bytes: undefined };
  }
}

/** The kinds that have other shapes: the resource's own, and its Scale. */
function shownKind({ kind, apiVersion }: KubeObject, served: ServedResource | undefined): ShownKind | undefined {
  if (served && kind === served.info.kind) return served;
  return kind === 'Scale' && apiVersion === 'autoscaling/v1' ? SCALE : undefined;
}
const SCALE: ShownKind = { info: { group: 'autoscaling' }, strategy: SCALE_TABLE };

async function send(ctx: ResponseContext, code: number, encoded: Encoded | EncodedParts): Promise<Outcome> {
  const headers = baseHeaders(ctx, encoded.contentType);
  const zip = ('parts' in encoded || encoded.body.length >= GZIP_FROM_BYTES) && acceptsGzip(ctx.exchange);
  if (zip) {
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'Accept-Encoding';
  }
  if ('parts' in encoded) return sendParts(ctx, code, headers, zip ? packedParts(encoded.parts) : encoded.parts);
  return sendBody(ctx, code, headers, zip ? await packed(encoded.body) : encoded.body);
}
function sendBody(ctx: ResponseContext, code: number, headers: ResponseHeaders, body: Buffer): MaybePromise<Outcome> {
  if (body.length > PIECE_BYTES && ctx.exchange.method !== 'HEAD') return sendParts(ctx, code, { ...headers, 'content-length': body.length }, piecesOf(body));
  ctx.exchange.respond(code, headers, body);
  return { code, bytes: body.length };
}
async function* piecesOf(body: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += PIECE_BYTES) yield body.subarray(at, at + PIECE_BYTES);
}
function packedParts(parts: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  // What fails is thrown where this is read.
  return pipeline(Readable.from(parts), createGzip({ level: zlib.Z_BEST_SPEED }), () => {});
}

/** Resolves when the client has taken it all, but for what a socket holds; or when it is gone, or takes nothing. */
async function sendParts(ctx: ResponseContext, code: number, headers: ResponseHeaders, parts: AsyncIterable<Buffer>): Promise<Outcome> {
  if (ctx.exchange.answered) return { code, bytes: undefined };
  const source = parts[Symbol.asyncIterator]();
  // Before the head is out a failure is still answered with a Status.
  let part = await source.next();
  const out = ctx.exchange.stream(code, headers);
  let bytes = 0;
  try {
    for (; !part.done && !out.closed; part = await source.next()) {
      ctx.signal.throwIfAborted();
      bytes += part.value.length;
      if (!out.write(part.value) && !(await drainedInTime(ctx, out))) break;
    }
  } catch {
    // All that is left to tell is that the answer is not whole.
  }
  if (part.done) out.end();
  else out.abort();
  await source.return?.();
  return { code, bytes };
}
function acceptsGzip(exchange: Exchange): boolean {
  const header = exchange.header('accept-encoding');
  return header !== undefined && /(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[^,]*)?(?:,|$)/i.test(header);
}

async function writeRaw(ctx: ResponseContext, result: RawResult): Promise<Outcome> {
  const headers: ResponseHeaders = { ...commonHeaders(ctx), ...result.headers };
  if (Buffer.isBuffer(result.body)) return sendBody(ctx, result.code, headers, result.body);
  const out = ctx.exchange.stream(result.code, headers);
  let bytes = 0;
  try {
    for await (const chunk of result.body) {
      if (out.closed) break;
      bytes += chunk.length;
      if (!out.write(chunk)) await out.drained();
    }
    out.end();
  } catch {
    // The head is out: all that is left to tell is that the answer is not whole.
    out.abort();
  }
  return { code: result.code, bytes };
}

async function writeWatch(ctx: ResponseContext, result: WatchResult, format: Format): Promise<Outcome> {
  if (!result.served) throw internalError('the watch of another server has no form for the wire');
  const encoder = new WatchEncoder(result.served, format, () => ctx.clock.now());
  const out = ctx.exchange.stream(200, baseHeaders(ctx, encoder.contentType));
  try {
    for await (const batch of result.events) {
      if (out.closed) break;
      const frames = batch.map((event) => encoder.encode(event));
      let room = true;
      for (const piece of out.inMessages || frames.length === 1 ? frames : [Buffer.concat(frames)]) room = out.write(piece);
      ctx.onEvents?.(batch, frames);
      if (!room && !(await within(ctx.clock, STALL_MS, out.drained()))) {
        out.abort();
        return { code: 200, bytes: undefined };
      }
    }
  } catch (err) {
    if (!out.closed && !ctx.signal.aborted) out.write(encoder.encode(errorEvent(err)));
  }
  out.end();
  return { code: 200, bytes: undefined };
}

/** False: the client did not read in time. */
async function drainedInTime(ctx: ResponseContext, out: ResponseStream): Promise<boolean> {
  const drained = out.drained();
  if (await within(ctx.clock, IDLE_MS, drained)) return true;
  ctx.onIdle?.();
  return within(ctx.clock, STALL_MS - IDLE_MS, drained);
}
async function within(clock: Clock, ms: number, drained: Promise<void>): Promise<boolean> {
  const waited = new AbortController();
  const late = sleep(clock, ms, waited.signal).then(() => false, () => true);
  const outcome = await Promise.race([drained.then(() => true), late]);
  waited.abort();
  return outcome;
}

/** A refusal as a Status, in the form the client takes; indented JSON where it takes none. */
export function writeError(ctx: ResponseContext, err: unknown, format: Format | undefined): Outcome {
  const { status, code } = StatusError.from(err);
  if (ctx.exchange.answered) return { code, bytes: undefined };
  const encoded = err instanceof PageNotFound ? { contentType: 'text/plain; charset=utf-8', body: Buffer.from(PageNotFound.text) } : encodeStatus(status, format);
  const headers = baseHeaders(ctx, encoded.contentType);
  if (err instanceof PageNotFound) headers['x-content-type-options'] = 'nosniff';
  const retry = status.details?.retryAfterSeconds;
  if (retry) headers['retry-after'] = String(retry);
  ctx.exchange.respond(code, headers, encoded.body);
  return { code, bytes: encoded.body.length };
}
export function encodeStatus(status: Status, format: Format | undefined): Encoded {
  return encodeValue(status as KubeObject, format ?? { ...UNFORMATTED, indent: true });
}
