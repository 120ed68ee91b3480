/** Port forwarding to a Pod through the container runtime's streaming server. */
import { pipeline } from 'node:stream/promises';
import { acceptPortForward, joinPortForward, isTunnelRequest, PORT_FORWARD_PROTOCOL, PORT_FORWARD_TUNNEL_PROTOCOL, portsOf, type PortForwardStream } from '#machinery/httpstream/portforward.ts';
import { dialSpdy, type SpdyConnection } from '#machinery/httpstream/spdy.ts';
import { dialUpgrade, isSpdyUpgrade, refuseUpgrade, UpgradeRefusedError } from '#machinery/httpstream/upgrade.ts';
import { joinSockets, proxyUpgrade } from '#machinery/httpstream/upgrade-proxy.ts';
import { acceptWebSocket } from '#machinery/httpstream/websocket.ts';
import { WebSocketTunnel } from '#machinery/httpstream/websocket-tunnel.ts';
import { messageOf } from './request.ts';
import type { StreamingOptions, StreamingRequest } from './streaming.ts';

/** `urlFor` asks the runtime for its URL; what it throws is the caller's to answer. Resolves when the session is over. */
export async function servePortForward(request: StreamingRequest, options: StreamingOptions, urlFor: (ports: readonly number[]) => Promise<URL>): Promise<void> {
  const { req } = request;
  if (isSpdyUpgrade(req.headers)) {
    const target = { url: await urlFor([]), headers: { authorization: undefined } };
    return proxyUpgrade(target, { method: req.method ?? 'POST', rawHeaders: req.rawHeaders }, request.socket, request.head, { signal: request.signal, clock: options.clock });
  }
  if (isTunnelRequest(req)) return serveTunnel(request, options, await urlFor([]));
  let ports: number[];
  try {
    ports = portsOf(request.query);
  } catch (err) {
    return refuseUpgrade(request.socket, 400, messageOf(err));
  }
  return serveChannels(request, options, ports, await urlFor(ports));
}

/** The SPDY bytes in the messages of a WebSocket are the runtime's to read. */
async function serveTunnel(request: StreamingRequest, options: StreamingOptions, url: URL): Promise<void> {
  const headers = { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': PORT_FORWARD_PROTOCOL };
  let runtime;
  try {
    runtime = await dialUpgrade(url, { headers, signal: request.signal });
  } catch (err) {
    return refuseUpgrade(request.socket, err instanceof UpgradeRefusedError ? err.statusCode : 502, messageOf(err));
  }
  const session = acceptWebSocket(request.req, request.socket, request.head, { protocols: [PORT_FORWARD_TUNNEL_PROTOCOL], clock: options.clock });
  if (!session) return void runtime.socket.destroy();
  const tunnel = new WebSocketTunnel(session.ws);
  if (runtime.head.length) tunnel.write(runtime.head);
  await joinSockets(tunnel, runtime.socket, { signal: request.signal, clock: options.clock });
}

async function serveChannels(request: StreamingRequest, options: StreamingOptions, ports: readonly number[], url: URL): Promise<void> {
  const { connection } = await dialSpdy(url, { protocols: [PORT_FORWARD_PROTOCOL], signal: request.signal, clock: options.clock });
  const session = acceptPortForward(request.req, request.socket, request.head, { ports, clock: options.clock });
  if (!session) return connection.destroy();
  const stop = (): void => session.close();
  request.signal.addEventListener('abort', stop, { once: true });
  let id = 0;
  const running: Promise<void>[] = [];
  for await (const stream of session.streams) running.push(forwardToRuntime(stream, connection, String(id++)));
  await Promise.all(running);
  request.signal.removeEventListener('abort', stop);
  connection.close();
  await connection.closed;
}

async function forwardToRuntime(stream: PortForwardStream, connection: SpdyConnection, requestId: string): Promise<void> {
  const headers = { port: String(stream.port), requestid: requestId };
  try {
    const [error, data] = await Promise.all([connection.openStream({ ...headers, streamtype: 'error' }), connection.openStream({ ...headers, streamtype: 'data' })]);
    for (const s of [error, data]) s.on('error', () => {});
    error.end();
    // What the runtime has to say about the connection is said to the client.
    const told = pipeline(error, stream.error).catch(() => {});
    await joinPortForward(stream, data);
    await told;
  } catch (err) {
    stream.error.end(`error forwarding port ${stream.port}: ${messageOf(err)}`);
    stream.data.resume();
    stream.data.end();
  }
}
