/** What a proxy changes in an answer so that a browser finds its way: redirects and links of pages. Upstream's counterpart: the `UpgradeAwareHandler`'s transports. */
import { Readable } from 'node:stream';
import { createDeflateRaw, createGunzip, createGzip, createInflateRaw } from 'node:zlib';
import type { RawResult } from '#apiserver/request.ts';
import { HtmlLinkRewriter, rewriteLink, type LinkOrigin } from '#machinery/httpstream/link-rewriter.ts';

/** Whom the target's answers may be shown to is the API server's to say. */
const CORS = ['access-control-allow-credentials', 'access-control-allow-headers', 'access-control-allow-methods', 'access-control-allow-origin'];

/** An answer of a proxied target, for the client of the proxy. */
export function throughProxy(answer: RawResult, method: string, origin: LinkOrigin): RawResult {
  const headers: Record<string, string | readonly string[]> = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !CORS.includes(name)));
  const { location, 'content-type': type, 'content-encoding': encoding = '' } = headers;
  if (typeof location === 'string' && location !== '') return { ...answer, headers: { ...headers, location: rewriteLink(location, origin) } };
  if (method === 'HEAD' || typeof type !== 'string' || type.split(';')[0]!.trim() !== 'text/html') return { ...answer, headers };
  const page = answer.body as AsyncIterable<Uint8Array>;
  if (encoding !== '' && encoding !== 'gzip' && encoding !== 'deflate') return { ...answer, headers };
  delete headers['content-length'];
  if (encoding === '') return { ...answer, headers, body: rewritten(page, origin) };
  const [decoder, encoder] = encoding === 'gzip' ? [createGunzip(), createGzip()] : [createInflateRaw(), createDeflateRaw()];
  const body = Readable.from(page).compose(decoder).compose((plain: AsyncIterable<Uint8Array>) => rewritten(plain, origin)).compose(encoder);
  return { ...answer, headers, body };
}

async function* rewritten(page: AsyncIterable<Uint8Array>, origin: LinkOrigin): AsyncGenerator<Buffer> {
  const rewriter = new HtmlLinkRewriter(origin);
  for await (const piece of page) {
    const out = rewriter.feed(piece);
    if (out.length) yield out;
  }
  const rest = rewriter.end();
  if (rest.length) yield rest;
}
