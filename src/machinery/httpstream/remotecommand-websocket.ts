/** The server's end of a remote command over a WebSocket: channel 0 stdin, 1 stdout, 2 stderr, 3 status, 4 terminal sizes. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Status } from '#api/gen/meta-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { RemoteCommandSession, RemoteCommandStreams } from './remotecommand.ts';
import { encodeStatus, endAndFlush, TerminalSizes } from './remotecommand-streams.ts';
import type { UpgradeRequest } from './upgrade.ts';
import { acceptWebSocket } from './websocket.ts';
import { channelForm, V1_BASE64_CHANNEL, V1_CHANNEL, V4_BASE64_CHANNEL, V4_CHANNEL, V5_CHANNEL, WebSocketChannels } from './websocket-channels.ts';

export const WEBSOCKET_COMMAND_PROTOCOLS = ['', V5_CHANNEL, V4_CHANNEL, V4_BASE64_CHANNEL, V1_CHANNEL, V1_BASE64_CHANNEL] as const;

export const STDIN_CHANNEL = 0;
export const STDOUT_CHANNEL = 1;
export const STDERR_CHANNEL = 2;
export const ERROR_CHANNEL = 3;
export const RESIZE_CHANNEL = 4;

export function acceptWebSocketCommand(
  req: UpgradeRequest, socket: Duplex, head: Buffer, options: RemoteCommandStreams & { readonly clock: Clock },
): RemoteCommandSession | undefined {
  const session = acceptWebSocket(req, socket, head, { protocols: WEBSOCKET_COMMAND_PROTOCOLS, clock: options.clock });
  if (!session) return undefined;
  const channels = new WebSocketChannels(session.ws, { count: 5, side: 'server', ...channelForm(session.protocol) });
  return new WebSocketCommand(channels, session.protocol, options);
}

class WebSocketCommand implements RemoteCommandSession {
  readonly protocol: string;
  readonly signal: AbortSignal;
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  readonly #channels: WebSocketChannels;
  readonly #sizes = new TerminalSizes();
  #finished: Promise<void> | undefined;

  constructor(channels: WebSocketChannels, protocol: string, options: RemoteCommandStreams) {
    this.protocol = protocol;
    this.#channels = channels;
    const abort = new AbortController();
    this.signal = abort.signal;
    void channels.closed.then(() => abort.abort(new Error('connection closed')));
    const stdin = channels.channel(STDIN_CHANNEL);
    if (options.stdin) this.stdin = stdin;
    else stdin.resume();
    if (options.stdout) this.stdout = channels.channel(STDOUT_CHANNEL);
    if (options.stderr) this.stderr = channels.channel(STDERR_CHANNEL);
    if (options.tty) this.#sizes.readFrom(channels.channel(RESIZE_CHANNEL));
    else channels.channel(RESIZE_CHANNEL).resume();
    for (const index of [STDIN_CHANNEL, STDOUT_CHANNEL, STDERR_CHANNEL, ERROR_CHANNEL, RESIZE_CHANNEL]) channels.channel(index).on('error', () => {});
    for (const index of [STDOUT_CHANNEL, STDERR_CHANNEL, ERROR_CHANNEL]) channels.channel(index).resume();
    // An empty message tells the client that the session stands.
    const first = options.stdout ? STDOUT_CHANNEL : options.stderr ? STDERR_CHANNEL : ERROR_CHANNEL;
    channels.send(first, Buffer.alloc(0), () => {});
  }

  onResize(listener: (size: { readonly width: number; readonly height: number }) => void): void {
    this.#sizes.listen(listener);
  }

  finish(status: Status): Promise<void> {
    return (this.#finished ??= this.#finish(status));
  }
  async #finish(status: Status): Promise<void> {
    await Promise.all([endAndFlush(this.stdout), endAndFlush(this.stderr)]);
    const json = [V5_CHANNEL, V4_CHANNEL, V4_BASE64_CHANNEL].includes(this.protocol);
    await endAndFlush(this.#channels.channel(ERROR_CHANNEL), encodeStatus(status, json));
    this.#channels.close();
    await this.#channels.closed;
  }
}
