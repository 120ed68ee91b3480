/** The client's end of a remote command, over SPDY/3.1 or a WebSocket: what a node uses towards its container runtime, and kubectl towards the API server. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Status } from '#api/gen/meta-v1.ts';
import type { Clock } from '#base/clock.ts';
import { NON_ZERO_EXIT_CODE, type RemoteCommandStreams, type TerminalSize } from './remotecommand.ts';
import { SPDY_COMMAND_PROTOCOLS, STREAM_TYPE } from './remotecommand-spdy.ts';
import { ERROR_CHANNEL, RESIZE_CHANNEL, STDERR_CHANNEL, STDIN_CHANNEL, STDOUT_CHANNEL } from './remotecommand-websocket.ts';
import { dialSpdy } from './spdy.ts';
import { dialWebSocket } from './websocket.ts';
import { channelForm, V1_CHANNEL, V4_BASE64_CHANNEL, V4_CHANNEL, V5_CHANNEL, WebSocketChannels } from './websocket-channels.ts';

/** A final status is one small object. */
const MAX_STATUS_BYTES = 1 << 20;

/** A command that a server runs for us. Readable sides must be read or `resume()`d. */
export interface RemoteCommand {
  readonly protocol: string;
  /** Ending it closes the command's stdin, where the protocol can say so. */
  readonly stdin?: Writable;
  readonly stdout?: Readable;
  readonly stderr?: Readable;
  resize(size: TerminalSize): void;
  /**
   * How the command ended; undefined when the server closed the connection without a word, which is a success before version 4 and a broken
   * connection from then on. Never rejects.
   */
  readonly status: Promise<Status | undefined>;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<unknown>;
  close(): void;
}

export interface DialRemoteCommandOptions extends RemoteCommandStreams {
  readonly transport: 'spdy' | 'websocket';
  /** Narrows what is offered; default all that the transport knows. */
  readonly protocols?: readonly string[] | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Aborts the dialling. */
  readonly signal?: AbortSignal | undefined;
  /** SPDY only: the connection is made at once, the command begins when this resolves, and is given up when it rejects. */
  readonly ready?: Promise<unknown> | undefined;
  readonly clock?: Clock | undefined;
}

export function dialRemoteCommand(url: URL, options: DialRemoteCommandOptions): Promise<RemoteCommand> {
  return options.transport === 'spdy' ? dialSpdyCommand(url, options) : dialWebSocketCommand(url, options);
}

async function dialSpdyCommand(url: URL, options: DialRemoteCommandOptions): Promise<RemoteCommand> {
  // It may reject while the connection is being made, or is refused.
  options.ready?.catch(() => {});
  const { connection, protocol } = await dialSpdy(url, { ...options, protocols: options.protocols ?? SPDY_COMMAND_PROTOCOLS });
  const open = async (type: string): Promise<Duplex> => {
    const stream = await connection.openStream({ [STREAM_TYPE]: type });
    stream.on('error', () => {});
    return stream;
  };
  try {
    await options.ready;
    // In this order, the error stream first, as servers of the first versions want it; the answers are awaited together.
    const tty = options.tty && protocol !== V1_CHANNEL && protocol !== 'v2.channel.k8s.io';
    const [error, stdin, stdout, stderr, resize] = await Promise.all([
      open('error'),
      options.stdin ? open('stdin') : undefined,
      options.stdout ? open('stdout') : undefined,
      options.stderr && !options.tty ? open('stderr') : undefined,
      tty ? open('resize') : undefined,
    ]);
    // The sides that carry nothing are drained, so that they end.
    stdin?.resume();
    resize?.resume();
    return {
      protocol,
      ...(stdin ? { stdin } : {}), ...(stdout ? { stdout } : {}), ...(stderr ? { stderr } : {}),
      resize: (size) => void resize?.write(encodeSize(size)),
      status: readStatus(error, protocol === V4_CHANNEL),
      closed: connection.closed,
      close: () => connection.close(),
    };
  } catch (err) {
    connection.destroy();
    throw err;
  }
}

const WEBSOCKET_PROTOCOLS = [V5_CHANNEL, V4_CHANNEL] as const;

async function dialWebSocketCommand(url: URL, options: DialRemoteCommandOptions): Promise<RemoteCommand> {
  const { ws, protocol } = await dialWebSocket(url, { ...options, protocols: options.protocols ?? WEBSOCKET_PROTOCOLS });
  const channels = new WebSocketChannels(ws, { count: 5, side: 'client', ...channelForm(protocol) });
  const channel = (index: number): Duplex => channels.channel(index).on('error', () => {});
  const [stdin, stdout, stderr, error, resize] = [STDIN_CHANNEL, STDOUT_CHANNEL, STDERR_CHANNEL, ERROR_CHANNEL, RESIZE_CHANNEL].map(channel) as [Duplex, Duplex, Duplex, Duplex, Duplex];
  stdin.resume();
  resize.resume();
  if (!options.stdout) stdout.resume();
  const wantsStderr = options.stderr && !options.tty;
  if (!wantsStderr) stderr.resume();
  return {
    protocol,
    ...(options.stdin ? { stdin } : {}), ...(options.stdout ? { stdout } : {}), ...(wantsStderr ? { stderr } : {}),
    resize: (size) => void resize.write(encodeSize(size)),
    status: readStatus(error, [V5_CHANNEL, V4_CHANNEL, V4_BASE64_CHANNEL].includes(protocol)),
    closed: channels.closed,
    close: () => channels.close(),
  };
}

function encodeSize(size: TerminalSize): Buffer {
  return Buffer.from(JSON.stringify({ Width: size.width, Height: size.height }));
}

async function readStatus(stream: Readable, json: boolean): Promise<Status | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of stream as AsyncIterable<Buffer>) {
      size += part.length;
      if (size <= MAX_STATUS_BYTES) parts.push(part);
    }
  } catch {
    // What came before the connection broke is all there is.
  }
  const text = Buffer.concat(parts).toString('utf8');
  if (text === '') return undefined;
  if (!json) return { metadata: {}, status: 'Failure', message: text };
  try {
    return JSON.parse(text) as Status;
  } catch {
    return { metadata: {}, status: 'Failure', message: `error stream protocol error: unknown error: ${text}` };
  }
}

/** What kubectl says about a failed status: `command terminated with exit code 3`, or the server's message. */
export function remoteCommandErrorText(status: Status): string {
  const code = status.reason === NON_ZERO_EXIT_CODE ? status.details?.causes?.find((c) => c.reason === 'ExitCode')?.message : undefined;
  return code === undefined ? (status.message ?? '') : `command terminated with exit code ${code}`;
}
