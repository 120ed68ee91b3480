/**
 * A SPDY/3.1 connection, either side, as Kubernetes' streaming protocols use it: no flow control (the peers, Go's
 * spdystream, neither send nor heed WINDOW_UPDATE), back-pressure by not reading the socket.
 */
import type { Duplex } from 'node:stream';
import { systemClock, type Clock, type Timer } from '#base/clock.ts';
import {
  controlFrame, dataFrameHead, FLAG_FIN, FrameReader, GOAWAY, GOAWAY_OK, GOAWAY_PROTOCOL_ERROR, HEADERS, PING, RST_CANCEL, RST_PROTOCOL_ERROR,
  RST_REFUSED_STREAM, RST_STREAM, SpdyProtocolError, SYN_REPLY, SYN_STREAM, words, type Frame,
} from './spdy-frames.ts';
import { HeaderDecoder, HeaderEncoder, type SpdyHeaders } from './spdy-headers.ts';
import { SpdyStream, type StreamTransport } from './spdy-stream.ts';

/** Payload of one data frame at most: small enough that streams take turns, large enough that heads cost nothing. */
const MAX_DATA_FRAME_BYTES = 64 * 1024;
const DEFAULT_MAX_STREAMS = 1024;
/** How long the peer may take to close its side after ours. */
const LINGER_MS = 10_000;

export interface SpdyConnectionOptions {
  /** Server streams have even ids, client streams odd ones. */
  readonly side: 'server' | 'client';
  /**
   * A stream that the peer has opened. Returning false refuses it (RST_STREAM); otherwise it is answered with SYN_REPLY
   * and must be read. Absent: every stream is refused.
   */
  readonly onStream?: (stream: SpdyStream) => boolean;
  /** Streams open at one time at most; more are refused. Default 1024. */
  readonly maxStreams?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * ```
 *   open ──close()──▶ closing (GOAWAY and FIN sent, input dropped) ──peer closes, or 10 s──▶ closed
 *     └──── peer closes, socket fails, protocol error, destroy() ─────────────────────────────▲
 * ```
 */
export class SpdyConnection {
  /** Resolves when the connection has ended, with the reason when that was not orderly. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** Aborts when the connection has ended. */
  readonly signal: AbortSignal;
  readonly #socket: Duplex;
  readonly #options: SpdyConnectionOptions;
  readonly #reader = new FrameReader();
  readonly #encoder = new HeaderEncoder();
  readonly #decoder = new HeaderDecoder();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #replies = new Map<number, { resolve: (stream: SpdyStream) => void; reject: (err: Error) => void }>();
  readonly #abort = new AbortController();
  readonly #transport: StreamTransport;
  readonly #resolveClosed: (err: Error | undefined) => void;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #nextId: number;
  #lastPeerId = 0;
  /** Chunks that arrived while a frame was being waited for; the socket is paused meanwhile, so they are few. */
  #queue: Buffer[] = [];
  #busy = false;
  /** Set when the socket has ended; acted upon when the queue is empty. */
  #ended: { readonly err: Error | undefined } | undefined;
  #resumeReading: (() => void) | undefined;
  #blockedBy: SpdyStream | undefined;
  #writers: ((err?: Error | null) => void)[] = [];
  #linger: Timer | undefined;
  readonly #onChunk = (chunk: Buffer): void => this.#receive(chunk);

  /** Takes over the socket. `head` is what was already read after the upgrade. */
  constructor(socket: Duplex, options: SpdyConnectionOptions, head: Buffer = Buffer.alloc(0)) {
    this.#socket = socket;
    this.#options = options;
    this.#nextId = options.side === 'server' ? 2 : 1;
    const closed = Promise.withResolvers<Error | undefined>();
    this.closed = closed.promise;
    this.#resolveClosed = closed.resolve;
    this.signal = this.#abort.signal;
    this.#transport = {
      sendData: (id, payload, fin, done) => this.#sendData(id, payload, fin, done),
      sendReset: (id, code) => this.#send(controlFrame(RST_STREAM, 0, words(id, code))),
      consumed: (stream) => this.#consumed(stream),
      forget: (stream) => this.#forget(stream),
    };
    // Handled when the caller has what it asked for, as everything that comes after.
    if (head.length) socket.unshift(head);
    socket.on('data', this.#onChunk);
    socket.on('end', () => this.#socketEnded(undefined));
    socket.on('error', (err) => this.#socketEnded(err));
    socket.on('close', () => this.#socketEnded(undefined));
    socket.on('drain', () => this.#drained());
  }

  /** Opens a stream; resolves when the peer has accepted it, rejects when it refuses it or the connection ends. */
  openStream(headers: SpdyHeaders): Promise<SpdyStream> {
    if (this.#state !== 'open') return Promise.reject(new Error('unable to create stream: connection closed'));
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = new SpdyStream(this.#transport, id, headers);
    this.#streams.set(id, stream);
    return new Promise((resolve, reject) => {
      this.#replies.set(id, { resolve, reject });
      this.#send(controlFrame(SYN_STREAM, 0, Buffer.concat([words(id, 0), Buffer.alloc(2), this.#encoder.encode(headers)])));
    });
  }

  /** Ends the connection in order: what was written is delivered, open streams are reset, then the socket is ended. Idempotent. */
  close(): void {
    if (this.#state !== 'open') return;
    for (const stream of this.#streams.values()) this.#send(controlFrame(RST_STREAM, 0, words(stream.id, RST_CANCEL)));
    this.#send(controlFrame(GOAWAY, 0, words(this.#lastPeerId, GOAWAY_OK)));
    this.#state = 'closing';
    this.#endStreams();
    this.#socket.end();
    // Closing a socket with unread input makes the kernel send a TCP reset, which destroys output the peer has not read: read on and drop.
    this.#linger = clockOf(this.#options).after(LINGER_MS, () => this.#finish(undefined, true));
    this.#resumeReading?.();
  }

  /** Ends the connection at once. */
  destroy(err?: Error): void {
    this.#finish(err, true);
  }

  #receive(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.#queue.push(chunk);
    if (!this.#busy) this.#pump();
  }

  /** Handles the queued chunks; when a frame has to be waited for, pauses the socket and goes on afterwards. */
  #pump(): void {
    try {
      for (;;) {
        const frame = this.#state === 'open' ? this.#reader.next() : undefined;
        if (!frame) {
          const chunk = this.#queue.shift();
          if (!chunk) break;
          if (this.#state === 'open') this.#reader.feed(chunk);
          continue;
        }
        const wait = frame.kind === 'data' ? this.#onData(frame) : this.#onControl(frame);
        if (wait) return this.#waitFor(wait);
      }
    } catch (err) {
      return this.#protocolError(err as Error);
    }
    if (this.#ended) this.#finish(this.#ended.err);
  }

  #waitFor(wait: Promise<void>): void {
    this.#busy = true;
    this.#socket.pause();
    wait.then(
      () => {
        this.#busy = false;
        this.#pump();
        if (!this.#busy) this.#socket.resume();
      },
      (err: unknown) => {
        this.#busy = false;
        this.#protocolError(err as Error);
      },
    );
  }

  #protocolError(err: Error): void {
    if (this.#state === 'open') this.#send(controlFrame(GOAWAY, 0, words(this.#lastPeerId, GOAWAY_PROTOCOL_ERROR)));
    this.#finish(err);
  }

  #onData(frame: Frame & { kind: 'data' }): Promise<void> | undefined {
    const stream = this.#streams.get(frame.streamId);
    // Data for a stream that is gone was under way when we reset it.
    if (!stream) return undefined;
    const room = stream.receive(frame.payload);
    if (frame.fin) stream.receiveFin();
    if (room || stream.destroyed || frame.fin) return undefined;
    this.#blockedBy = stream;
    return this.#reading();
  }

  #reading(): Promise<void> {
    return new Promise((resolve) => {
      this.#resumeReading = () => {
        this.#resumeReading = undefined;
        this.#blockedBy = undefined;
        resolve();
      };
    });
  }

  #consumed(stream: SpdyStream): void {
    if (this.#blockedBy === stream) this.#resumeReading?.();
  }

  #forget(stream: SpdyStream): void {
    this.#streams.delete(stream.id);
    const reply = this.#replies.get(stream.id);
    this.#replies.delete(stream.id);
    reply?.reject(new Error('stream was reset'));
    this.#consumed(stream);
  }

  #onControl(frame: Frame & { kind: 'control' }): Promise<void> | undefined {
    const { type, flags, body } = frame;
    switch (type) {
      case SYN_STREAM:
        return this.#onSynStream(need(body, 10), flags);
      case SYN_REPLY:
        this.#onSynReply(need(body, 4), flags);
        return undefined;
      case HEADERS:
        // Nothing in Kubernetes' protocols uses late headers, but the block belongs to the compression state.
        this.#decoder.decode(need(body, 4).subarray(4));
        return undefined;
      case RST_STREAM:
        this.#onReset(idOf(need(body, 8)));
        return undefined;
      case PING: {
        const id = need(body, 4).readUInt32BE(0);
        // A ping with an id of our own parity is an answer to ours.
        if (id % 2 === this.#nextId % 2) return undefined;
        this.#send(controlFrame(PING, 0, words(id)));
        return this.#untilDrained();
      }
      default:
        // SETTINGS and WINDOW_UPDATE speak of flow control, which these peers do not do; GOAWAY is followed by the end of the socket.
        return undefined;
    }
  }

  #onSynStream(body: Buffer, flags: number): Promise<void> | undefined {
    const id = idOf(body);
    const headers = this.#decoder.decode(body.subarray(10));
    const fromPeer = id % 2 !== this.#nextId % 2;
    if (!fromPeer || id <= this.#lastPeerId) throw new SpdyProtocolError(`stream id ${id} is not valid after ${this.#lastPeerId}`);
    this.#lastPeerId = id;
    if (this.#streams.size >= (this.#options.maxStreams ?? DEFAULT_MAX_STREAMS)) return this.#refuse(id);
    const stream = new SpdyStream(this.#transport, id, headers);
    this.#streams.set(id, stream);
    if (!this.#options.onStream?.(stream)) {
      this.#streams.delete(id);
      return this.#refuse(id);
    }
    this.#send(controlFrame(SYN_REPLY, 0, Buffer.concat([words(id), this.#encoder.encode({})])));
    if (flags & FLAG_FIN) stream.receiveFin();
    return undefined;
  }

  #refuse(id: number): Promise<void> | undefined {
    this.#send(controlFrame(RST_STREAM, 0, words(id, RST_REFUSED_STREAM)));
    return this.#untilDrained();
  }

  #onSynReply(body: Buffer, flags: number): void {
    const id = idOf(body);
    this.#decoder.decode(body.subarray(4));
    const stream = this.#streams.get(id);
    const reply = this.#replies.get(id);
    if (!stream || !reply) return void (stream && this.#send(controlFrame(RST_STREAM, 0, words(id, RST_PROTOCOL_ERROR))));
    this.#replies.delete(id);
    if (flags & FLAG_FIN) stream.receiveFin();
    reply.resolve(stream);
  }

  #onReset(id: number): void {
    const stream = this.#streams.get(id);
    if (!stream) return;
    const reply = this.#replies.get(id);
    this.#replies.delete(id);
    reply?.reject(new Error('stream was refused'));
    this.#streams.delete(id);
    stream.receiveReset();
    if (reply) stream.destroy();
  }

  #send(bytes: Buffer): void {
    if (this.#state !== 'open' || !this.#socket.writable) return;
    this.#gather();
    this.#socket.write(bytes);
  }

  /** The frames of one turn of the event loop leave together: each write of its own wakes the peer. */
  #gather(): void {
    if (this.#socket.writableCorked > 0) return;
    this.#socket.cork();
    process.nextTick(() => this.#socket.uncork());
  }

  #sendData(id: number, payload: Buffer, fin: boolean, done: (err?: Error | null) => void): void {
    if (this.#state !== 'open' || !this.#socket.writable) return done();
    this.#gather();
    let at = 0;
    do {
      const part = payload.subarray(at, at + MAX_DATA_FRAME_BYTES);
      at += part.length;
      this.#socket.write(dataFrameHead(id, part.length, fin && at >= payload.length));
      if (part.length) this.#socket.write(part);
    } while (at < payload.length);
    if (this.#socket.writableNeedDrain) this.#writers.push(done);
    else done();
  }

  /** Peers that ask faster than they read the answers are read no further. */
  #untilDrained(): Promise<void> | undefined {
    if (!this.#socket.writableNeedDrain || this.#state !== 'open') return undefined;
    return new Promise((resolve) => this.#writers.push(() => resolve()));
  }

  #drained(): void {
    for (const done of this.#writers.splice(0)) done();
  }

  #socketEnded(err: Error | undefined): void {
    this.#ended ??= { err };
    // Writers must not wait for a drain that will never come.
    if (this.#socket.destroyed) this.#drained();
    if (!this.#busy) this.#pump();
  }

  #endStreams(): void {
    const gone = new Error('connection closed');
    for (const { reject } of this.#replies.values()) reject(gone);
    this.#replies.clear();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.receiveReset();
    this.#drained();
  }

  #finish(err: Error | undefined, abrupt = false): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#linger?.cancel();
    this.#queue = [];
    this.#endStreams();
    this.#resumeReading?.();
    this.#socket.off('data', this.#onChunk).resume();
    if (abrupt || this.#socket.destroyed || this.#socket.writableFinished) this.#socket.destroy();
    else {
      // What was written may leave first, but not for ever.
      const linger = clockOf(this.#options).after(LINGER_MS, () => this.#socket.destroy());
      this.#socket.once('close', () => linger.cancel());
      this.#socket.end(() => this.#socket.destroy());
    }
    this.#resolveClosed(err);
    this.#abort.abort(err ?? new Error('connection closed'));
  }
}

function clockOf(options: SpdyConnectionOptions): Clock {
  return options.clock ?? systemClock;
}
function need(body: Buffer, length: number): Buffer {
  if (body.length < length) throw new SpdyProtocolError(`control frame has ${body.length} bytes: must have at least ${length}`);
  return body;
}
function idOf(body: Buffer): number {
  return body.readUInt32BE(0) & 0x7fffffff;
}
