/** gRPC calls to one local socket: unary and server-streaming, with deadlines on the injected clock and `AbortSignal`s. */
import grpc from '@grpc/grpc-js';
import type { Clock } from '#base/clock.ts';
import type { CallOptions } from './call.ts';
import { CriError } from './error.ts';
import type { Codec, Init } from './schema.ts';

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export interface ChannelOptions {
  /** `unix:///run/containerd/containerd.sock`; a bare absolute path is taken as one. */
  readonly endpoint: string;
  readonly clock: Clock;
}

/** One method: `/runtime.v1.RuntimeService/Version`, and how its messages are written. */
export interface Method<In extends object, Out extends object> {
  readonly path: string;
  readonly request: Pick<Codec<In>, 'encode'>;
  readonly response: Pick<Codec<Out>, 'decode'>;
}

/** A connection that is made on first use and made again after a failure. Does not keep the process alive when idle. */
export class Channel {
  readonly endpoint: string;
  readonly #client: grpc.Client;
  readonly #clock: Clock;

  constructor(options: ChannelOptions) {
    this.endpoint = options.endpoint.startsWith('/') ? `unix://${options.endpoint}` : options.endpoint;
    this.#clock = options.clock;
    this.#client = new grpc.Client(this.endpoint, grpc.credentials.createInsecure(), {
      // containerd checks the authority of requests; the socket's path is none.
      'grpc.default_authority': 'localhost',
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.min_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.enable_retries': 0,
      // A connection of its own: closing it ends it, and a socket that somebody else serves now is connected to anew.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  /** Rejects with a {@link CriError}, or with the signal's reason when it is aborted. */
  unary<In extends object, Out extends object>(method: Method<In, Out>, request: Init<In>, options: CallOptions = {}, headers: Readonly<Record<string, string>> = {}): Promise<Out> {
    const { signal, timeoutMs = 0 } = options;
    return new Promise<Out>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      let cutShort: unknown;
      const cancel = (reason: unknown) => {
        cutShort ??= reason;
        call.cancel();
      };
      const call = this.#client.makeUnaryRequest(method.path, method.request.encode, method.response.decode, request, metadataOf(headers), {}, (error, response) => {
        timer?.cancel();
        signal?.removeEventListener('abort', onAbort);
        if (!error && response) resolve(response);
        else reject((cutShort ?? CriError.from(error, this.endpoint)) as Error);
      });
      const onAbort = () => cancel(signal?.reason);
      const timer = timeoutMs > 0 ? this.#clock.after(timeoutMs, () => cancel(new CriError('DeadlineExceeded', 'context deadline exceeded'))) : undefined;
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The stream's messages; reading is flow controlled. Leaving the loop cancels the call. Throws as {@link unary} does. */
  async *stream<In extends object, Out extends object>(method: Method<In, Out>, request: Init<In>, options: CallOptions = {}, headers: Readonly<Record<string, string>> = {}): AsyncGenerator<Out> {
    const { signal } = options;
    signal?.throwIfAborted();
    const call = this.#client.makeServerStreamRequest(method.path, method.request.encode, method.response.decode, request, metadataOf(headers), {});
    // Cancelling makes the call emit an error, which nobody awaits any more once the loop has been left.
    call.on('error', () => {});
    const onAbort = () => call.cancel();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for await (const message of call) yield message as Out;
      signal?.throwIfAborted();
    } catch (error) {
      signal?.throwIfAborted();
      throw CriError.from(error, this.endpoint);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      call.cancel();
    }
  }

  /** Resolves once the socket answers HTTP/2. Keeps the process alive meanwhile. */
  async connected(options: CallOptions = {}): Promise<void> {
    // Neither a channel that is backing off nor the clock keeps the process alive; whoever awaits this wants it alive.
    const hold = setInterval(() => {}, 0x7fffffff);
    try {
      await this.#until((state) => state === grpc.connectivityState.READY, true, options);
    } finally {
      clearInterval(hold);
    }
  }

  /** Resolves when the connection is lost or given up for idleness; at once when there is none. */
  disconnected(options: CallOptions = {}): Promise<void> {
    return this.#until((state) => state !== grpc.connectivityState.READY, false, options);
  }

  async #until(reached: (state: grpc.connectivityState) => boolean, connect: boolean, options: CallOptions): Promise<void> {
    const { signal, timeoutMs = 0 } = options;
    signal?.throwIfAborted();
    const channel = this.#client.getChannel();
    const stop = Promise.withResolvers<never>();
    stop.promise.catch(() => {});
    const onAbort = () => stop.reject(signal?.reason as Error);
    const timer = timeoutMs > 0 ? this.#clock.after(timeoutMs, () => stop.reject(new CriError('DeadlineExceeded', `connecting to ${this.endpoint}: context deadline exceeded`))) : undefined;
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        const state = channel.getConnectivityState(connect);
        if (reached(state)) return;
        if (state === grpc.connectivityState.SHUTDOWN) throw new CriError('Unavailable', 'the client is closed');
        const changed = new Promise<void>((resolve) => {
          channel.watchConnectivityState(state, Infinity, () => resolve());
        });
        await Promise.race([changed, stop.promise]);
      }
    } finally {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Calls that are under way fail. Idempotent. */
  close(): void {
    this.#client.close();
  }
}

function metadataOf(headers: Readonly<Record<string, string>>): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
