/**
 * Port forwarding over the channels of a WebSocket: for the n-th port of the request, channel 2n carries data and 2n + 1 the error text.
 * Both start with the port as a little-endian 16 bit number.
 */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Clock } from '#base/clock.ts';
import type { PortForwardSession, PortForwardStream } from './portforward.ts';
import type { UpgradeRequest } from './upgrade.ts';
import { acceptWebSocket } from './websocket.ts';
import { channelForm, V4_BASE64_CHANNEL, V4_CHANNEL, WebSocketChannels } from './websocket-channels.ts';

const CHANNEL_PROTOCOLS = ['', V4_CHANNEL, V4_BASE64_CHANNEL] as const;

export function acceptChannelPortForward(req: UpgradeRequest, socket: Duplex, head: Buffer, ports: readonly number[], clock: Clock): PortForwardSession | undefined {
  const session = acceptWebSocket(req, socket, head, { protocols: CHANNEL_PROTOCOLS, clock });
  if (!session) return undefined;
  const channels = new WebSocketChannels(session.ws, { count: 2 * ports.length, side: 'server', ...channelForm(session.protocol) });
  const abort = new AbortController();
  void channels.closed.then(() => abort.abort(new Error('connection closed')));
  const streams = ports.map((port, n): PortForwardStream => {
    const start = Buffer.alloc(2);
    start.writeUInt16LE(port);
    const [data, error] = [2 * n, 2 * n + 1].map((index) => channels.channel(index).on('error', () => {})) as [Duplex, Duplex];
    data.write(start);
    error.write(start);
    error.resume();
    return { port, data, error, signal: abort.signal };
  });
  // Nothing more can be asked for: the session ends with its last connection.
  void Promise.allSettled(streams.map((s) => finished(s.data, { readable: false }))).then(() => channels.close());
  return {
    streams: (async function* () {
      yield* streams;
      await channels.closed;
    })(),
    signal: abort.signal,
    close: () => channels.close(),
  };
}
