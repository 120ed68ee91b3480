/** Port forwarding over SPDY/3.1: an error and a data stream per connection, paired by the header `requestid`. */
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '#base/clock.ts';
import type { PortForwardSession, PortForwardStream } from './portforward.ts';
import { acceptSpdy, SpdyConnection, type SpdyStream } from './spdy.ts';
import type { UpgradeRequest } from './upgrade.ts';
import { acceptWebSocket } from './websocket.ts';
import { TUNNEL_PREFIX, WebSocketTunnel } from './websocket-tunnel.ts';

export const PORT_FORWARD_PROTOCOL = 'portforward.k8s.io';
export const PORT_FORWARD_TUNNEL_PROTOCOL = `${TUNNEL_PREFIX}${PORT_FORWARD_PROTOCOL}`;

/** How long a client may take to send the second stream of a pair. */
const PAIR_TIMEOUT_MS = 30_000;
type HalfName = 'data' | 'error';
interface Half {
  readonly name: HalfName;
  readonly stream: SpdyStream;
  readonly timer: Timer;
}

export function acceptSpdyPortForward(req: UpgradeRequest, socket: Duplex, head: Buffer, clock: Clock): PortForwardSession | undefined {
  const pairs = new StreamPairs(clock);
  const session = acceptSpdy(req, socket, head, { protocols: [PORT_FORWARD_PROTOCOL], clock, onStream: (s) => pairs.add(s) });
  return session && pairs.session(session.connection);
}

export function acceptTunnelPortForward(req: UpgradeRequest, socket: Duplex, head: Buffer, clock: Clock): PortForwardSession | undefined {
  const session = acceptWebSocket(req, socket, head, { protocols: [PORT_FORWARD_TUNNEL_PROTOCOL], clock });
  if (!session) return undefined;
  const pairs = new StreamPairs(clock);
  return pairs.session(new SpdyConnection(new WebSocketTunnel(session.ws), { side: 'server', clock, onStream: (s) => pairs.add(s) }));
}

/** Collects streams into pairs and hands the pairs out. Its length is limited by the connection's limit of streams. */
class StreamPairs {
  readonly #clock: Clock;
  readonly #halves = new Map<string, Half>();
  readonly #ready: PortForwardStream[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  session(connection: SpdyConnection): PortForwardSession {
    void connection.closed.then(() => {
      this.#ended = true;
      for (const half of this.#halves.values()) half.timer.cancel();
      this.#halves.clear();
      this.#wake?.();
    });
    return { streams: this.#iterate(), signal: connection.signal, close: () => connection.close() };
  }

  /** Takes a stream of the client; false when its headers are not those of a pair. */
  add(stream: SpdyStream): boolean {
    const name = stream.headers['streamtype'];
    const port = stream.headers['port'] ?? '';
    if ((name !== 'data' && name !== 'error') || !/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) return false;
    // Clients before `requestid` opened the error stream and right after it the data stream.
    const id = stream.headers['requestid'] ?? String(name === 'error' ? stream.id : stream.id - 2);
    const other = this.#halves.get(id);
    if (other?.name === name) return false;
    stream.on('error', () => {});
    if (name === 'error') stream.resume();
    if (!other) {
      const timer = this.#clock.after(PAIR_TIMEOUT_MS, () => {
        this.#halves.delete(id);
        stream.destroy();
      });
      this.#halves.set(id, { name, stream, timer });
      return true;
    }
    other.timer.cancel();
    this.#halves.delete(id);
    const [data, error] = name === 'data' ? [stream, other.stream] : [other.stream, stream];
    const abort = new AbortController();
    const gone = (): void => abort.abort(new Error('connection closed'));
    data.once('reset', gone);
    data.once('close', gone);
    if (data.wasReset) gone();
    this.#ready.push({ port: Number(port), data, error, signal: abort.signal });
    this.#wake?.();
    return true;
  }

  async *#iterate(): AsyncGenerator<PortForwardStream> {
    for (;;) {
      for (let next = this.#ready.shift(); next; next = this.#ready.shift()) yield next;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}
