/**
 * Port forwarding: pairs of a data and an error stream, each for one connection to one port of a Pod, whatever carries them: SPDY/3.1,
 * SPDY/3.1 tunnelled in a WebSocket (`SPDY/3.1+portforward.k8s.io`, KEP-4006), or the channels of a WebSocket (`v4.channel.k8s.io`,
 * ports named by the query). Source: the API reference of pods/portforward.
 */
import type { Duplex, Readable, Writable } from 'node:stream';
import { systemClock, type Clock } from '#base/clock.ts';
import { acceptChannelPortForward } from './portforward-channels.ts';
import { acceptSpdyPortForward, acceptTunnelPortForward, PORT_FORWARD_TUNNEL_PROTOCOL } from './portforward-spdy.ts';
import { headerValues, isWebSocketUpgrade, type UpgradeRequest } from './upgrade.ts';

export { PORT_FORWARD_PROTOCOL, PORT_FORWARD_TUNNEL_PROTOCOL } from './portforward-spdy.ts';

/** One connection to be made to a port of the Pod. Both streams must be ended; `error` gets one line of text when the connection fails. */
export interface PortForwardStream {
  readonly port: number;
  /** Bytes to and from the port; each side ends on its own. */
  readonly data: Duplex;
  readonly error: Writable;
  /** Aborts when the client has gone or has given the connection up: nobody reads its data any more. */
  readonly signal: AbortSignal;
}

export interface PortForwardSession {
  /** The connections, as the client asks for them. */
  readonly streams: AsyncIterable<PortForwardStream>;
  readonly signal: AbortSignal;
  close(): void;
}

export interface AcceptPortForwardOptions {
  /** Ports named by the request's query, for WebSocket channels; SPDY clients name them with each stream. */
  readonly ports: readonly number[];
  readonly clock?: Clock | undefined;
}

/** Answers a request for port forwarding. Undefined when it was refused; the client has then been told. */
export function acceptPortForward(req: UpgradeRequest, socket: Duplex, head: Buffer, options: AcceptPortForwardOptions): PortForwardSession | undefined {
  const clock = options.clock ?? systemClock;
  if (!isWebSocketUpgrade(req.headers)) return acceptSpdyPortForward(req, socket, head, clock);
  if (isTunnelRequest(req)) return acceptTunnelPortForward(req, socket, head, clock);
  return acceptChannelPortForward(req, socket, head, options.ports, clock);
}

/** True for a WebSocket that carries SPDY. */
export function isTunnelRequest(req: UpgradeRequest): boolean {
  return isWebSocketUpgrade(req.headers) && headerValues(req.headers, 'sec-websocket-protocol').includes(PORT_FORWARD_TUNNEL_PROTOCOL);
}

/**
 * The ports in a request's query (`ports=80&ports=81`, the API's; `port=80,81`, the kubelet's), for WebSocket channels, which cannot name them
 * later. Throws in upstream's words.
 */
export function portsOf(query: URLSearchParams, name = 'port'): number[] {
  const texts = query.getAll(name).flatMap((v) => v.split(','));
  if (texts.length === 0) throw new Error(`query parameter "${name}" is required`);
  return texts.map((text) => {
    const port = Number(text);
    if (!/^\d+$/.test(text) || port > 65535) throw new Error(`unable to parse ${JSON.stringify(text)} as a port: ${goParseError(text)}`);
    if (port < 1) throw new Error(`port ${JSON.stringify(text)} must be > 0`);
    return port;
  });
}
/** The message of Go's strconv.ParseUint(text, 10, 16). */
function goParseError(text: string): string {
  return `strconv.ParseUint: parsing ${JSON.stringify(text)}: ${/^\d+$/.test(text) ? 'value out of range' : 'invalid syntax'}`;
}

/** Connects one forwarded stream to what `open` gives, both ways, until both sides have ended. Never rejects. */
export async function forwardTo(stream: PortForwardStream, open: () => Promise<Duplex>, describe: (err: unknown) => string): Promise<void> {
  let target: Duplex;
  try {
    target = await open();
  } catch (err) {
    stream.error.end(describe(err));
    stream.data.resume();
    stream.data.end();
    return;
  }
  await joinPortForward(stream, target);
  stream.error.end();
}

/** Copies both ways until both sides have ended, or the client has gone; leaves the error stream alone. Never rejects. */
export async function joinPortForward(stream: PortForwardStream, target: Duplex): Promise<void> {
  const stop = (): void => void target.destroy();
  stream.signal.addEventListener('abort', stop, { once: true });
  if (stream.signal.aborted) stop();
  try {
    await Promise.all([copy(stream.data, target), copy(target, stream.data)]);
  } finally {
    stream.signal.removeEventListener('abort', stop);
    target.destroy();
  }
}

/** Copies until the source ends, then ends the sink; when either breaks, so does the other direction. Never rejects. */
function copy(from: Readable, to: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      if (!to.writableEnded && !to.destroyed) to.end();
      resolve();
    };
    from.once('end', done);
    from.once('close', done);
    from.once('error', done);
    to.once('close', () => {
      // Nobody takes the rest: let the source run dry.
      from.resume();
      resolve();
    });
    to.on('error', () => {});
    from.pipe(to, { end: false });
  });
}
