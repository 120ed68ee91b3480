/** The server's end of a remote command over SPDY/3.1: one stream each, told apart by the header `streamtype`. */
import type { Duplex } from 'node:stream';
import type { Status } from '#api/gen/meta-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { RemoteCommandSession, RemoteCommandStreams } from './remotecommand.ts';
import { encodeStatus, endAndFlush, TerminalSizes } from './remotecommand-streams.ts';
import { acceptSpdy, type SpdySession, type SpdyStream } from './spdy.ts';
import type { UpgradeRequest } from './upgrade.ts';
import { V1_CHANNEL, V4_CHANNEL } from './websocket-channels.ts';

/** What a server speaks over SPDY. Version 2 made stdin's end reliable, 3 added sizes, 4 the JSON status. */
export const SPDY_COMMAND_PROTOCOLS = [V4_CHANNEL, 'v3.channel.k8s.io', 'v2.channel.k8s.io', V1_CHANNEL] as const;

export const STREAM_TYPE = 'streamtype';
/** How long a client may take to create its streams. */
const CREATION_TIMEOUT_MS = 30_000;
const ACTIVE_TYPES = ['error', 'stdin', 'stdout', 'stderr', 'resize'] as const;
type StreamType = (typeof ACTIVE_TYPES)[number];

export async function acceptSpdyCommand(
  req: UpgradeRequest, socket: Duplex, head: Buffer, options: RemoteCommandStreams & { readonly clock: Clock },
): Promise<RemoteCommandSession | undefined> {
  const streams = new Map<StreamType, SpdyStream>();
  const complete = Promise.withResolvers<void>();
  let expected = new Set<StreamType>(ACTIVE_TYPES);
  const session = acceptSpdy(req, socket, head, {
    protocols: SPDY_COMMAND_PROTOCOLS,
    clock: options.clock,
    maxStreams: ACTIVE_TYPES.length,
    onStream(stream) {
      const type = stream.headers[STREAM_TYPE] as StreamType;
      if (!expected.has(type) || streams.has(type)) return false;
      streams.set(type, stream);
      stream.on('error', () => {});
      // What nobody reads here must not stop the connection.
      if (type !== 'stdin') stream.resume();
      if (streams.size === expected.size) complete.resolve();
      return true;
    },
  });
  if (!session) return undefined;
  // No stream can have arrived yet: frames are handled only after this function has returned to the event loop.
  expected = expectedStreams(options, session.protocol);
  const timer = options.clock.after(CREATION_TIMEOUT_MS, () => complete.reject(new Error('timed out waiting for client to create streams')));
  try {
    await Promise.race([complete.promise, session.connection.closed.then(() => Promise.reject(new Error('connection closed')))]);
  } catch {
    session.connection.close();
    return undefined;
  } finally {
    timer.cancel();
  }
  return new SpdyCommand(session, streams);
}

function expectedStreams(options: RemoteCommandStreams, protocol: string): Set<StreamType> {
  const out = new Set<StreamType>(['error']);
  for (const type of ['stdin', 'stdout', 'stderr'] as const) if (options[type]) out.add(type);
  if (options.tty && protocol !== V1_CHANNEL && protocol !== 'v2.channel.k8s.io') out.add('resize');
  return out;
}

class SpdyCommand implements RemoteCommandSession {
  readonly protocol: string;
  readonly signal: AbortSignal;
  readonly stdin?: SpdyStream;
  readonly stdout?: SpdyStream;
  readonly stderr?: SpdyStream;
  readonly #session: SpdySession;
  readonly #error: SpdyStream;
  readonly #sizes = new TerminalSizes();
  #finished: Promise<void> | undefined;

  constructor(session: SpdySession, streams: ReadonlyMap<StreamType, SpdyStream>) {
    this.protocol = session.protocol;
    this.signal = session.connection.signal;
    this.#session = session;
    this.#error = streams.get('error')!;
    for (const type of ['stdin', 'stdout', 'stderr'] as const) {
      const stream = streams.get(type);
      if (stream) this[type] = stream;
    }
    const resize = streams.get('resize');
    if (resize) this.#sizes.readFrom(resize);
  }

  onResize(listener: (size: { readonly width: number; readonly height: number }) => void): void {
    this.#sizes.listen(listener);
  }

  finish(status: Status): Promise<void> {
    return (this.#finished ??= this.#finish(status));
  }
  async #finish(status: Status): Promise<void> {
    await Promise.all([endAndFlush(this.stdout), endAndFlush(this.stderr)]);
    await endAndFlush(this.#error, encodeStatus(status, this.protocol === V4_CHANNEL));
    this.#session.connection.close();
    await this.#session.connection.closed;
  }
}
