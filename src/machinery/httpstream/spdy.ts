/**
 * SPDY/3.1 over an HTTP upgrade, as kubectl and the container runtimes speak it: `Upgrade: SPDY/3.1`, and the protocol that runs inside
 * negotiated by `X-Stream-Protocol-Version`.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '#base/clock.ts';
import { SpdyConnection, type SpdyConnectionOptions } from './spdy-connection.ts';
import { dialUpgrade, headerValues, isSpdyUpgrade, refuseUpgrade, writeResponseHead, type DialOptions, type UpgradeRequest } from './upgrade.ts';

export { SpdyConnection } from './spdy-connection.ts';
export { SpdyStream } from './spdy-stream.ts';

const PROTOCOL_VERSION = 'X-Stream-Protocol-Version';
const ACCEPTED_VERSIONS = 'X-Accepted-Stream-Protocol-Versions';

export interface SpdySession {
  readonly connection: SpdyConnection;
  /** The protocol that both sides have agreed on. */
  readonly protocol: string;
}
export interface AcceptSpdyOptions extends Omit<SpdyConnectionOptions, 'side'> {
  /** What the server speaks. The client's order decides. */
  readonly protocols: readonly string[];
}

/** Go's `%v` of a list. */
const goList = (values: readonly string[]): string => `[${values.join(' ')}]`;

/** Answers a request for SPDY/3.1. Undefined when it was refused; the response is then written and the socket ended. */
export function acceptSpdy(req: UpgradeRequest, socket: Duplex, head: Buffer, options: AcceptSpdyOptions): SpdySession | undefined {
  if (!isSpdyUpgrade(req.headers)) {
    refuseUpgrade(socket, 400, 'unable to upgrade: missing upgrade headers in request\n');
    return undefined;
  }
  const offered = headerValues(req.headers, PROTOCOL_VERSION.toLowerCase());
  if (offered.length === 0) {
    refuseUpgrade(socket, 400, `unable to upgrade: ${PROTOCOL_VERSION} is required\n`);
    return undefined;
  }
  const protocol = offered.find((p) => options.protocols.includes(p));
  if (protocol === undefined) {
    const text = `unable to upgrade: unable to negotiate protocol: client supports ${goList(offered)}, server accepts ${goList(options.protocols)}\n`;
    refuseUpgrade(socket, 403, text, options.protocols.map((p) => [ACCEPTED_VERSIONS, p] as const));
    return undefined;
  }
  if (socket instanceof Socket) socket.setNoDelay(true);
  writeResponseHead(socket, 101, [['Connection', 'Upgrade'], ['Upgrade', 'SPDY/3.1'], [PROTOCOL_VERSION, protocol]]);
  return { protocol, connection: new SpdyConnection(socket, { ...options, side: 'server' }, head) };
}

export interface DialSpdyOptions extends DialOptions {
  /** In order of preference. */
  readonly protocols: readonly string[];
  readonly clock?: Clock | undefined;
}

/** Opens a SPDY/3.1 connection to a streaming server. Rejects with `UpgradeRefusedError` when the server will not. */
export async function dialSpdy(url: URL, options: DialSpdyOptions): Promise<SpdySession> {
  const headers = { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', [PROTOCOL_VERSION]: [...options.protocols], ...options.headers };
  const { socket, head, response } = await dialUpgrade(url, { ...options, headers });
  if (!isSpdyUpgrade(response.headers)) {
    socket.destroy();
    throw new Error(`unable to upgrade connection: server switched to ${JSON.stringify(response.headers['upgrade'] ?? '')}, not SPDY/3.1`);
  }
  // Servers older than the negotiation say nothing and speak the first version.
  const protocol = headerValues(response.headers, PROTOCOL_VERSION.toLowerCase())[0] ?? options.protocols.at(-1)!;
  return { protocol, connection: new SpdyConnection(socket, { side: 'client', clock: options.clock }, head) };
}
