/** The client of a container runtime that speaks CRI v1 (`runtime.v1`): containerd, CRI-O. */
import type { Clock } from '#base/clock.ts';
import type { CallOptions } from './call.ts';
import { Channel, type Method } from './channel.ts';
import { criCodec, criFacts, type Codec, type CriFacts } from './schema.ts';
import type { ImageService, Messages, RuntimeService } from './types.ts';

/** A container runtime as the kubelet sees it. {@link connectCri} gives a real one, `fake-runtime.ts` one in memory. */
export interface ContainerRuntime extends RuntimeService, ImageService {}

/** A {@link ContainerRuntime} behind a socket. */
export interface CriClient extends ContainerRuntime {
  readonly endpoint: string;
  /** The connection, for the runtime's other services (`events.ts`). */
  readonly channel: Channel;
  /** Resolves when the runtime's socket answers; the CRI plugin itself may still be loading: ask `status`. */
  connected(options?: CallOptions): Promise<void>;
  close(): void;
}

export interface CriClientOptions {
  /** `unix:///run/containerd/containerd.sock` or the bare path. */
  readonly endpoint: string;
  readonly clock: Clock;
  /** The kubelet's `runtimeRequestTimeout`; 2 minutes. */
  readonly requestTimeoutMs?: number;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 120_000;

/** What a call may take when its caller does not say, following the kubelet's remote runtime client. 0 means no deadline. */
function defaultTimeoutMs(method: string, request: object, base: number): number {
  const seconds = Number((request as { timeout?: number }).timeout ?? 0);
  switch (method) {
    // Starting a sandbox includes the network plugin and, the first time, the pause image.
    case 'RunPodSandbox': return base * 2;
    case 'StopContainer': return base + seconds * 1000;
    // The runtime ends the command itself; without a timeout it may run for ever.
    case 'ExecSync': return seconds > 0 ? base + seconds * 1000 : 0;
    case 'CheckpointContainer': return seconds > 0 ? base + seconds * 1000 : 0;
    case 'PullImage': return 0;
    default: return base;
  }
}

/** Connects on first use. Close it when it is no longer needed. */
export function connectCri(options: CriClientOptions): CriClient {
  const channel = new Channel(options);
  const base = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
  return {
    ...(serviceCalls(channel, criFacts(), (name) => criCodec(name as keyof Messages) as unknown as Codec<object>, (name, request) => defaultTimeoutMs(name, request, base)) as ContainerRuntime),
    endpoint: channel.endpoint,
    channel,
    connected: (call) => channel.connected(call),
    close: () => channel.close(),
  };
}

/** Every call of the services of a table, by its name in lower camel case; `timeoutMs` is what a call may take when its caller does not say. */
export function serviceCalls(channel: Channel, facts: CriFacts, codec: (name: string) => Codec<object>, timeoutMs: (method: string, request: object) => number): object {
  const methods: Record<string, unknown> = {};
  for (const [service, list] of Object.entries(facts.services)) {
    for (const [name, m] of Object.entries(list)) {
      const method = lazyMethod(`/${facts.package}.${service}/${name}`, () => codec(m.in), () => codec(m.out));
      methods[`${name[0]!.toLowerCase()}${name.slice(1)}`] = m.serverStream
        ? (request: object, call?: CallOptions) => channel.stream(method, request, call)
        : (request: object, call?: CallOptions) => channel.unary(method, request, { ...call, timeoutMs: call?.timeoutMs ?? timeoutMs(name, request) });
    }
  }
  return methods;
}
/** Codecs are compiled by protobufjs on first use: of some 130 messages a process needs few. */
function lazyMethod(path: string, request: () => Codec<object>, response: () => Codec<object>): Method<object, object> {
  return {
    path,
    get request() { return request(); },
    get response() { return response(); },
  };
}
