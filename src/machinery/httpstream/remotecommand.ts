/**
 * Remote commands (`exec` and `attach`): stdin, stdout, stderr, terminal sizes and a final status, whatever carries them.
 * Server side: {@link acceptRemoteCommand}. Client side: `remotecommand-client.ts`.
 * Source: the API reference of pods/exec and pods/attach, the Kubernetes API concepts page on streaming, KEP-4006.
 */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Status } from '#api/gen/meta-v1.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { internalError, StatusError } from '../status-error.ts';
import { acceptSpdyCommand } from './remotecommand-spdy.ts';
import { acceptWebSocketCommand } from './remotecommand-websocket.ts';
import { isWebSocketUpgrade, type UpgradeRequest } from './upgrade.ts';

/** Which streams the command has. With a terminal, stderr is part of stdout. */
export interface RemoteCommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}
export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** A client that wants a command run: the server's end. */
export interface RemoteCommandSession {
  /** `v5.channel.k8s.io`, …; '' for a WebSocket client that named none. */
  readonly protocol: string;
  /** Ends when the client closes its stdin or goes away. Must be read or `resume()`d. */
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  /** Calls back with the terminal's size, the last one at once when it is already known. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** Tells the client how the command ended, after all output, and closes the session. Resolves when the client has gone. Idempotent. */
  finish(status: Status): Promise<void>;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

export interface AcceptRemoteCommandOptions extends RemoteCommandStreams {
  readonly clock?: Clock | undefined;
}

/**
 * Answers a request for an upgrade to SPDY/3.1 or WebSocket and waits for the streams that the command needs. Undefined when the request was
 * refused or the client did not create its streams; the client has then been told.
 */
export async function acceptRemoteCommand(req: UpgradeRequest, socket: Duplex, head: Buffer, options: AcceptRemoteCommandOptions): Promise<RemoteCommandSession | undefined> {
  const wanted = { ...options, stderr: options.stderr && !options.tty, clock: options.clock ?? systemClock };
  return isWebSocketUpgrade(req.headers) ? acceptWebSocketCommand(req, socket, head, wanted) : acceptSpdyCommand(req, socket, head, wanted);
}

const STREAM_PARAMETERS = ['input', 'output', 'error', 'tty'] as const;

/**
 * The streams a request asks for by its query: `input`, `output`, `error`, `tty` (the kubelet's names) with `1`, or `stdin`, `stdout`, `stderr`,
 * `tty` (the API's names, with `apiNames`) with a boolean. Throws in upstream's words when there is none.
 */
export function remoteCommandStreamsOf(query: URLSearchParams, apiNames = false): RemoteCommandStreams {
  const names = apiNames ? (['stdin', 'stdout', 'stderr', 'tty'] as const) : STREAM_PARAMETERS;
  const on = (name: string): boolean => (apiNames ? ['1', 'true'].includes((query.get(name) ?? '').toLowerCase()) : query.get(name) === '1');
  const [stdin, stdout, stderr, tty] = names.map(on) as [boolean, boolean, boolean, boolean];
  // A terminal has one output; clients that ask for stderr beside it mean the same.
  const streams = { stdin, stdout, stderr: stderr && !tty, tty };
  if (!stdin && !stdout && !streams.stderr) throw new Error('you must specify at least 1 of stdin, stdout, stderr');
  return streams;
}

export const NON_ZERO_EXIT_CODE = 'NonZeroExitCode';
export const EXIT_CODE_CAUSE = 'ExitCode';

/** The status of a command that ended with `code`, as the error stream carries it. */
export function exitStatus(code: number): Status {
  if (code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {}, status: 'Failure', message: `command terminated with non-zero exit code: command terminated with exit code ${code}`,
    reason: NON_ZERO_EXIT_CODE, details: { causes: [{ reason: EXIT_CODE_CAUSE, message: String(code) }] },
  };
}
/** The status of a command that could not be run, or whose end nobody knows. */
export function failedStatus(err: unknown, action: 'executing command in' | 'attaching to' = 'executing command in'): Status {
  if (err instanceof StatusError) return err.status;
  const message = `error ${action} container: ${err instanceof Error ? err.message : String(err)}`;
  return internalError(message).status;
}
/** The exit code that a status tells; undefined when it tells a failure to run. */
export function exitCodeOf(status: Status): number | undefined {
  if (status.status === 'Success') return 0;
  if (status.reason !== NON_ZERO_EXIT_CODE) return undefined;
  const cause = status.details?.causes?.find((c) => c.reason === EXIT_CODE_CAUSE);
  return cause?.message !== undefined && /^\d+$/.test(cause.message) ? Number(cause.message) : undefined;
}
