/**
 * exec, attach and port-forward: the client's session is joined to the container runtime's streaming server. SPDY port forwarding, bare or in a
 * WebSocket, goes through as bytes; the rest is translated, as runtimes understand neither the newer WebSocket protocols nor half-closed ones.
 */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { dialRemoteCommand, type RemoteCommand } from '#machinery/httpstream/remotecommand-client.ts';
import { acceptRemoteCommand, failedStatus, remoteCommandStreamsOf, type RemoteCommandSession, type RemoteCommandStreams } from '#machinery/httpstream/remotecommand.ts';
import { isSpdyUpgrade, isWebSocketUpgrade, refuseUpgrade, type UpgradeRequest } from '#machinery/httpstream/upgrade.ts';
import type { KubeletHost } from './interfaces.ts';
import { messageOf } from './request.ts';
import { servePortForward } from './port-forward.ts';
import type { CommandRoute, PortForwardRoute, StreamingRoute } from './routes.ts';

export interface StreamingRequest {
  readonly req: UpgradeRequest;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly query: URLSearchParams;
  /** Aborts when the client has gone or the server stops. */
  readonly signal: AbortSignal;
}
export interface StreamingOptions {
  readonly host: KubeletHost;
  readonly clock: Clock;
}

/** Why a streaming request cannot be served, before any upgrade. */
class StreamingError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
/** The HTTP status of an error of the runtime (upstream's cri-streaming): two gRPC codes have their own. */
function statusOf(err: unknown): number {
  if (err instanceof StreamingError) return err.status;
  const { code } = (err ?? {}) as { code?: unknown };
  return code === 'NotFound' ? 404 : code === 'ResourceExhausted' ? 429 : 500;
}

/** Serves an upgrade request that is authorised. Resolves when the session is over; never rejects. */
export async function serveStreaming(route: StreamingRoute, request: StreamingRequest, options: StreamingOptions): Promise<void> {
  const { socket } = request;
  try {
    if (!isSpdyUpgrade(request.req.headers) && !isWebSocketUpgrade(request.req.headers)) throw new StreamingError(500, 'Upgrade request required\n');
    if (route.kind === 'portForward') await servePortForward(request, options, (ports) => portForwardUrl(route, ports, request, options.host));
    else await serveCommand(route, request, options);
  } catch (err) {
    if (socket.destroyed) return;
    const status = statusOf(err);
    refuseUpgrade(socket, status, messageOf(err), status === 429 ? [['Retry-After', '5']] : []);
  }
}

async function portForwardUrl(route: PortForwardRoute, ports: readonly number[], request: StreamingRequest, host: KubeletHost): Promise<URL> {
  const pod = host.podByName(route.namespace, route.pod);
  if (!pod) throw new StreamingError(404, 'pod does not exist');
  if (route.uid !== undefined && pod.metadata.uid !== route.uid) throw new StreamingError(404, 'pod not found');
  return host.portForwardUrl(pod, ports, request.signal);
}

async function serveCommand(route: CommandRoute, request: StreamingRequest, { host, clock }: StreamingOptions): Promise<void> {
  const { req, socket, head, query, signal } = request;
  const wanted = wantedStreams(query);
  const askedAtMs = clock.now();
  const pod = host.podByName(route.namespace, route.pod);
  if (!pod) throw new StreamingError(404, 'pod does not exist');
  const sameUid = route.uid === undefined || pod.metadata.uid === route.uid;
  // Whether an attached container has a terminal was settled when it was made.
  const streams = route.kind === 'exec' ? wanted : { ...wanted, tty: hasTerminal(pod, route.container) };
  const url = sameUid
    ? await (route.kind === 'exec' ? host.execUrl(pod, route.container, query.getAll('command'), streams, signal) : host.attachUrl(pod, route.container, streams, signal))
    : undefined;
  if (!url) throw new StreamingError(500, `container not found (${JSON.stringify(route.container)})`);
  const accepted = acceptRemoteCommand(req, socket, head, { ...wanted, clock });
  // The runtime is called while the client answers; nothing runs before the client has all its streams.
  const gone = new AbortController();
  const ready = accepted.then((session) => {
    if (!session || session.signal.aborted) throw new Error('the client is gone');
    session.signal.addEventListener('abort', () => gone.abort(session.signal.reason), { once: true });
  });
  const dialled = dialRemoteCommand(url, { transport: 'spdy', ...streams, signal: AbortSignal.any([signal, gone.signal]), clock, ready });
  dialled.catch(() => {});
  const session = await accepted;
  if (!session) return;
  if (route.kind === 'exec') await bridgeCommand(session, dialled, { action: 'executing command in', signal });
  else await bridgeCommand(session, dialled, { action: 'attaching to', signal, missed: (stream) => host.missedOutput(pod, route.container, stream, askedAtMs, session.signal) });
}

function wantedStreams(query: URLSearchParams): RemoteCommandStreams {
  try {
    return remoteCommandStreamsOf(query);
  } catch (err) {
    throw new StreamingError(400, messageOf(err));
  }
}

function hasTerminal(pod: Pod, name: string): boolean {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  return [...containers, ...initContainers, ...ephemeralContainers].some((c) => c.name === name && c.tty === true);
}

interface BridgeOptions {
  readonly action: 'executing command in' | 'attaching to';
  /** What was printed before the client was there, to be shown to it where nothing came after. */
  readonly missed?: (stream: 'Stdout' | 'Stderr') => AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
}

/** Joins a client's session to the command that the runtime's streaming server runs. Resolves when both are over. */
async function bridgeCommand(session: RemoteCommandSession, dialled: Promise<RemoteCommand>, options: BridgeOptions): Promise<void> {
  let command: RemoteCommand;
  const signal = AbortSignal.any([session.signal, options.signal]);
  try {
    command = await dialled;
  } catch (err) {
    session.stdin?.resume();
    return session.finish(failedStatus(err, options.action));
  }
  const stop = (): void => command.close();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  session.onResize((size) => command.resize(size));
  // Not waited for: the command may end without reading all of its input.
  if (session.stdin && command.stdin) void pipeline(session.stdin, command.stdin).catch(() => {});
  else session.stdin?.resume();
  const outputs = [copyOutput(command.stdout, session.stdout), copyOutput(command.stderr, session.stderr)];
  const [status, ...bytes] = await Promise.all([command.status, ...outputs]);
  signal.removeEventListener('abort', stop);
  if (options.missed && status?.status === 'Success' && bytes.every((n) => n === 0)) await showMissed(session, options.missed);
  for (const output of [session.stdout, session.stderr]) output?.end();
  session.stdin?.resume();
  await session.finish(status ?? failedStatus(new Error('the container runtime closed the connection without a status'), options.action));
  command.close();
}

/** Resolves with the bytes that were copied, when there are no more; the output stays open. */
async function copyOutput(from: RemoteCommand['stdout'], to: RemoteCommandSession['stdout']): Promise<number> {
  let bytes = 0;
  if (!from) return bytes;
  if (!to) {
    from.resume();
    return bytes;
  }
  from.on('data', (piece: Buffer) => (bytes += piece.length));
  await pipeline(from, to, { end: false }).catch(() => {});
  return bytes;
}
async function showMissed(session: RemoteCommandSession, missed: NonNullable<BridgeOptions['missed']>): Promise<void> {
  for (const [stream, to] of [['Stdout', session.stdout], ['Stderr', session.stderr]] as const) {
    if (to) await pipeline(missed(stream), to, { end: false }).catch(() => {});
  }
}
