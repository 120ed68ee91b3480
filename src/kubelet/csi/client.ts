/** The client of a CSI driver's node service. */
import type { Clock } from '#base/clock.ts';
import { Channel } from '#cri/channel.ts';
import { serviceCalls } from '#cri/client.ts';
import type { Codec } from '#cri/schema.ts';
import { csiCodec, csiFacts } from './protocol.ts';
import type { Messages, Node, Type } from './types.ts';

/** Upstream's `csiTimeout`. */
const CALL_TIMEOUT_MS = 120_000;

/** A driver behind its socket. Failed calls reject with the `CriError` of their gRPC status. */
export interface CsiClient extends Node {
  /** What the driver can do on a node, asked for once. */
  capabilities(signal: AbortSignal): Promise<ReadonlySet<Type>>;
  close(): void;
}

/** Connects on first use. Close it when it is no longer needed. */
export function connectCsi(endpoint: string, clock: Clock): CsiClient {
  const channel = new Channel({ endpoint, clock });
  const node = serviceCalls(channel, csiFacts(), (message) => csiCodec(message as keyof Messages) as unknown as Codec<object>, () => CALL_TIMEOUT_MS) as Node;
  let known: ReadonlySet<Type> | undefined;
  return {
    ...node,
    async capabilities(signal) {
      known ??= new Set((await node.nodeGetCapabilities({}, { signal })).capabilities.flatMap((c) => (c.rpc ? [c.rpc.type] : [])));
      return known;
    },
    close: () => channel.close(),
  };
}
