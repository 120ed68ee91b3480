/** The way of every request to the kubelet, whatever carried it: may they, then what its path names. */
import type { Duplex } from 'node:stream';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { refuseUpgrade } from '#machinery/httpstream/upgrade.ts';
import { refusalFor } from './authorization.ts';
import { serveDocument } from './endpoints.ts';
import type { KubeletAuth, KubeletHost } from './interfaces.ts';
import { messageOf, textAnswer, type KubeletAnswer, type KubeletRequest, type KubeletUpgrade } from './request.ts';
import { routeOf, type Route, type StreamingRoute } from './routes.ts';
import { serveStreaming } from './streaming.ts';

const log = logger('kubelet-server');

export interface HandlerOptions {
  readonly auth: Pick<KubeletAuth, 'authorize'>;
  readonly host: KubeletHost;
  readonly clock: Clock;
}

/** Resolves when the head of the answer is known. Rejects only when the request's signal aborts. */
export async function handleRequest(request: KubeletRequest, options: HandlerOptions): Promise<KubeletAnswer> {
  const { url, signal } = request;
  try {
    const refusal = await refusalFor(request, options.auth);
    if (refusal) return textAnswer(refusal.status, refusal.text);
    const route = routeOf(url.pathname);
    if (!route) return textAnswer(404, '404 page not found\n');
    if (isStreaming(route)) return textAnswer(500, 'Upgrade request required\n');
    return await serveDocument(route, request, options);
  } catch (err) {
    if (signal.aborted) throw err;
    log.warn({ err: messageOf(err), path: url.pathname }, 'request failed');
    return textAnswer(500, messageOf(err));
  }
}

/** Answers on the client's own connection, which is the handler's from now on. Resolves when nothing is left to do; never rejects. */
export async function handleUpgrade(request: KubeletUpgrade, socket: Duplex, head: Buffer, options: HandlerOptions): Promise<void> {
  const { url, method, signal } = request;
  // Until the session has taken the connection over, its failure concerns nobody.
  socket.on('error', () => {});
  const stop = (): void => void socket.destroy();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    const refusal = await refusalFor(request, options.auth);
    if (refusal) return refuseUpgrade(socket, refusal.status, refusal.text);
    const route = routeOf(url.pathname);
    if (!route || !isStreaming(route)) return refuseUpgrade(socket, route ? 400 : 404, route ? 'Upgrade is not supported on this path\n' : '404 page not found\n');
    if (method !== 'GET' && method !== 'POST') return refuseUpgrade(socket, 405, '405: Method Not Allowed', [['Allow', 'GET, POST']]);
    await serveStreaming(route, { req: request, socket, head, query: url.searchParams, signal }, options);
  } catch (err) {
    log.warn({ err: messageOf(err), path: url.pathname }, 'streaming request failed');
    socket.destroy();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function isStreaming(route: Route): route is StreamingRoute {
  return route.kind === 'exec' || route.kind === 'attach' || route.kind === 'portForward';
}
