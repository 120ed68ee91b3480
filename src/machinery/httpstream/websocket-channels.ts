/**
 * Several byte streams over one WebSocket: every message belongs to the channel that its first byte names.
 * Source: the Kubernetes API concepts page on streaming, and KEP-4006 for `v5.channel.k8s.io`, whose message `ff <channel>` ends a channel.
 */
import { Duplex } from 'node:stream';
import { WebSocket } from 'ws';

export const V5_CHANNEL = 'v5.channel.k8s.io';
export const V4_CHANNEL = 'v4.channel.k8s.io';
export const V4_BASE64_CHANNEL = 'v4.base64.channel.k8s.io';
export const V1_CHANNEL = 'channel.k8s.io';
export const V1_BASE64_CHANNEL = 'base64.channel.k8s.io';

const CLOSE_CHANNEL = 255;
const MAX_CHUNK_BYTES = 64 * 1024;
const HIGH_WATER_MARK_BYTES = 256 * 1024;

export interface ChannelsOptions {
  /** Channels 0 … count − 1 exist; messages for others are dropped. */
  readonly count: number;
  /** The base64 protocols: text messages, the channel as a digit. */
  readonly base64: boolean;
  /** `v5.channel.k8s.io`: {@link CLOSE_CHANNEL} messages are understood. */
  readonly closable: boolean;
  /** Clients of a closable protocol send such a message when a channel's writable side ends; servers never do, and clients would not expect it. */
  readonly side: 'server' | 'client';
}

/** What the name of a channel subprotocol says about its messages. */
export function channelForm(protocol: string): Pick<ChannelsOptions, 'base64' | 'closable'> {
  return { base64: protocol === V4_BASE64_CHANNEL || protocol === V1_BASE64_CHANNEL, closable: protocol === V5_CHANNEL };
}

/** The messages of one WebSocket, as streams. Every channel must be read or `resume()`d: one that is not stops all. */
export class WebSocketChannels {
  readonly #ws: WebSocket;
  readonly #options: ChannelsOptions;
  readonly #channels: Channel[] = [];
  /** Resolves when the WebSocket has closed. */
  readonly closed: Promise<void>;
  readonly #blockedBy = new Set<Channel>();

  constructor(ws: WebSocket, options: ChannelsOptions) {
    this.#ws = ws;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    for (let i = 0; i < options.count; i++) this.#channels.push(new Channel(this, i));
    ws.on('message', (data: Buffer) => this.#onMessage(data));
    ws.once('close', () => {
      for (const channel of this.#channels) channel.connectionEnded();
      resolve();
    });
    if (ws.isPaused) ws.resume();
  }

  channel(index: number): Duplex {
    const channel = this.#channels[index];
    if (!channel) throw new RangeError(`channel ${index} does not exist: must be less than ${this.#options.count}`);
    return channel;
  }

  /** Sends the close frame after everything that was written; input from now on is dropped. */
  close(): void {
    for (const channel of this.#channels) channel.connectionEnded();
    this.#blockedBy.clear();
    if (this.#ws.isPaused) this.#ws.resume();
    this.#ws.close(1000);
  }
  terminate(): void {
    this.#ws.terminate();
  }

  /** For the channels: sends a message; `done` is called when more may be sent. An empty payload is a message, too. */
  send(index: number, payload: Buffer, done: (err?: Error | null) => void): void {
    // What cannot reach the peer any more is dropped: that the peer is gone is told by `closed`.
    if (this.#ws.readyState !== WebSocket.OPEN) return done();
    const { base64 } = this.#options;
    if (base64) this.#ws.send(`${String.fromCharCode(48 + index)}${payload.toString('base64')}`, { binary: false }, () => done());
    else {
      const message = Buffer.allocUnsafe(payload.length + 1);
      message[0] = index;
      payload.copy(message, 1);
      this.#ws.send(message, { binary: true }, () => done());
    }
  }
  /** For the channels: tells the peer that no more will come on one, where the protocol can say so. */
  sendClose(index: number, done: () => void): void {
    if (!this.#options.closable || this.#options.side === 'server' || this.#ws.readyState !== WebSocket.OPEN) return done();
    this.#ws.send(Buffer.of(CLOSE_CHANNEL, index), { binary: true }, () => done());
  }
  /** For the channels: a consumer has room again. */
  consumed(channel: Channel): void {
    if (this.#blockedBy.delete(channel) && this.#blockedBy.size === 0 && this.#ws.isPaused) this.#ws.resume();
  }

  #onMessage(data: Buffer): void {
    if (data.length === 0) return;
    const { base64, closable } = this.#options;
    if (closable && data[0] === CLOSE_CHANNEL) {
      if (data.length === 2) this.#channels[data[1]!]?.receiveEnd();
      return;
    }
    const channel = this.#channels[base64 ? data[0]! - 48 : data[0]!];
    if (!channel) return;
    const payload = base64 ? Buffer.from(data.toString('latin1', 1), 'base64') : data.subarray(1);
    if (channel.receive(payload)) return;
    this.#blockedBy.add(channel);
    this.#ws.pause();
  }
}

class Channel extends Duplex {
  readonly #channels: WebSocketChannels;
  readonly #index: number;
  #ended = false;

  constructor(channels: WebSocketChannels, index: number) {
    super({ allowHalfOpen: true, highWaterMark: HIGH_WATER_MARK_BYTES });
    this.#channels = channels;
    this.#index = index;
  }
  receive(payload: Buffer): boolean {
    // The consumer may end the stream while it is being given the payload.
    return this.#ended || this.destroyed || payload.length === 0 || this.push(payload) || this.#ended;
  }
  receiveEnd(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }
  connectionEnded(): void {
    this.receiveEnd();
  }
  override _read(): void {
    this.#channels.consumed(this);
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    let at = 0;
    const step = (err?: Error | null): void => {
      if (err || at >= chunk.length) return done(err);
      const part = chunk.subarray(at, (at += MAX_CHUNK_BYTES));
      this.#channels.send(this.#index, part, step);
    };
    step();
  }
  override _final(done: (err?: Error | null) => void): void {
    this.#channels.sendClose(this.#index, done);
  }
  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    this.#ended = true;
    this.#channels.consumed(this);
    done(err);
  }
}
