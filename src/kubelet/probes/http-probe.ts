/** HTTP probes: any answer from 200 up to 399 is a success; redirects to other hosts are not followed, and warned of. Source: API reference HTTPGetAction. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { HTTPGetAction } from '#api/gen/core-v1.ts';

export interface ProbeResult {
  readonly outcome: 'success' | 'failure' | 'warning';
  /** For the event: `HTTP probe failed with statuscode: 500`. */
  readonly output: string;
}
export interface HttpProbeOptions {
  readonly timeoutMs: number;
  readonly userAgent: string;
  readonly signal: AbortSignal;
}
const MAX_BODY = 10_240;
const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export type HttpTarget = Omit<HTTPGetAction, 'port' | 'host'> & { readonly host: string; readonly port: number };

function send(url: URL, target: HttpTarget, options: HttpProbeOptions): Promise<IncomingMessage> {
  const headers: Record<string, string | string[]> = { 'user-agent': options.userAgent, accept: '*/*', connection: 'close' };
  for (const { name, value } of target.httpHeaders ?? []) {
    const key = name.toLowerCase();
    const before = headers[key];
    // A header given again adds a value, but for those that we would send ourselves.
    headers[key] = before === undefined || key === 'user-agent' || key === 'accept' || key === 'host' ? value : [before, value].flat();
    if (value === '' && (key === 'accept' || key === 'user-agent')) delete headers[key];
  }
  const secure = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const req = (secure ? httpsRequest : httpRequest)({
      host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || (secure ? 443 : 80), path: url.pathname + url.search, method: 'GET', headers, agent: false,
      ...(secure ? { rejectUnauthorized: false } : {}), signal: options.signal,
    }, resolve);
    req.on('error', (err) => reject(goStyle(url, err)));
    req.end();
  });
}
/** Network errors in the words that users find in Unhealthy events. */
function goStyle(url: URL, err: NodeJS.ErrnoException): Error {
  const where = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
  const what = err.code === 'ECONNREFUSED' ? `dial tcp ${where}: connect: connection refused` : err.code === 'EHOSTUNREACH' ? `dial tcp ${where}: connect: no route to host` : err.code === 'ECONNRESET' ? 'EOF' : err.message;
  return new Error(`Get "${url.href}": ${what}`, { cause: err });
}
async function body(res: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of res as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size >= MAX_BODY) break;
  }
  res.destroy();
  return Buffer.concat(parts).toString('utf8', 0, MAX_BODY);
}

/** Never rejects but when the signal aborts. */
export async function probeHttp(target: HttpTarget, options: HttpProbeOptions): Promise<ProbeResult> {
  const scheme = (target.scheme ?? 'HTTP').toLowerCase();
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  const path = target.path ?? '/';
  const limit = AbortSignal.timeout(options.timeoutMs);
  const limited = { ...options, signal: AbortSignal.any([options.signal, limit]) };
  let url = new URL(`${scheme}://${host}:${target.port}${path.startsWith('/') ? path : `/${path}`}`);
  try {
    for (let i = 0; i <= MAX_REDIRECTS; i++) {
      const res = await send(url, target, limited);
      const code = res.statusCode ?? 0;
      const { location } = res.headers;
      const next = location && REDIRECTS.has(code) ? new URL(location, url) : undefined;
      if (next?.hostname === url.hostname) {
        res.destroy();
        url = next;
        continue;
      }
      const text = await body(res);
      if (code >= 300 && code < 400) return { outcome: 'warning', output: `Probe terminated redirects, Response body: ${text}` };
      if (code >= 200 && code < 300) return { outcome: 'success', output: text };
      return { outcome: 'failure', output: `HTTP probe failed with statuscode: ${code}` };
    }
    return { outcome: 'failure', output: `Get "${url.href}": stopped after ${MAX_REDIRECTS} redirects` };
  } catch (err) {
    if (options.signal.aborted) throw err;
    if (limit.aborted) return { outcome: 'failure', output: `Get "${url.href}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)` };
    return { outcome: 'failure', output: (err as Error).message };
  }
}
