import { Duplex } from 'node:stream';
import type { SpdyHeaders } from './spdy-headers.ts';

/** What a stream asks of its connection. */
export interface StreamTransport {
  /** Sends payload (perhaps empty) and calls back when more may be sent. */
  sendData(streamId: number, payload: Buffer, fin: boolean, done: (err?: Error | null) => void): void;
  sendReset(streamId: number, code: number): void;
  /** The consumer of the stream has room again. */
  consumed(stream: SpdyStream): void;
  forget(stream: SpdyStream): void;
}

const HIGH_WATER_MARK_BYTES = 256 * 1024;

/**
 * One stream of a SPDY connection. Ending the writable side sends FIN, the peer's FIN ends the readable side.
 *
 * When the peer resets the stream, or the connection ends, what has arrived can still be read and then the readable side ends;
 * what is written is dropped, as the peer would drop it, and `'reset'` is emitted so that whoever writes can stop. There is no error event
 * for it: Kubernetes' servers reset every stream when they are done.
 *
 * There is no flow control per stream: a stream that nobody reads stops its whole connection, so `resume()` what is not wanted.
 */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #transport: StreamTransport;
  #finReceived = false;
  #finSent = false;
  #reset = false;

  constructor(transport: StreamTransport, id: number, headers: SpdyHeaders) {
    super({ allowHalfOpen: true, highWaterMark: HIGH_WATER_MARK_BYTES, emitClose: true });
    this.id = id;
    this.headers = headers;
    this.#transport = transport;
  }

  /** True once the peer has reset the stream or the connection has ended. */
  get wasReset(): boolean {
    return this.#reset;
  }

  /** Abandons the stream in both directions and tells the peer (RST_STREAM, status CANCEL). */
  reset(): void {
    this.destroy();
  }

  /** For the connection: payload from the peer. False when the consumer is slow and reading must pause. */
  receive(payload: Buffer): boolean {
    // The consumer may end the stream while it is being given the payload.
    return this.#finReceived || this.destroyed || payload.length === 0 || this.push(payload) || this.#finReceived;
  }
  /** For the connection: the peer's FIN. */
  receiveFin(): void {
    if (this.#finReceived || this.destroyed) return;
    this.#finReceived = true;
    this.push(null);
  }
  /** For the connection: the peer's RST_STREAM, or the end of the connection. */
  receiveReset(): void {
    if (this.#reset || this.destroyed) return;
    this.#reset = true;
    this.receiveFin();
    this.emit('reset');
    // Ends the writable side too, so that the stream destroys itself when its reader has read to the end.
    if (!this.writableEnded) this.end();
  }

  override _read(): void {
    this.#transport.consumed(this);
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    if (this.#reset) done();
    else this.#transport.sendData(this.id, chunk, false, done);
  }
  override _final(done: (err?: Error | null) => void): void {
    if (this.#reset) return done();
    this.#finSent = true;
    this.#transport.sendData(this.id, Buffer.alloc(0), true, done);
  }
  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    if (!this.#reset && !(this.#finSent && this.#finReceived)) this.#transport.sendReset(this.id, 5);
    this.#reset = true;
    this.#transport.forget(this);
    done(err);
  }
}
