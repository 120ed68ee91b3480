/** A byte stream inside the messages of a WebSocket, whatever their borders: kubectl tunnels SPDY/3.1 that way (KEP-4006). */
import { Duplex } from 'node:stream';
import { WebSocket } from 'ws';

/** `SPDY/3.1+portforward.k8s.io` asks for SPDY/3.1 with the stream protocol `portforward.k8s.io`. */
export const TUNNEL_PREFIX = 'SPDY/3.1+';

const HIGH_WATER_MARK_BYTES = 256 * 1024;

export class WebSocketTunnel extends Duplex {
  readonly #ws: WebSocket;
  #received = false;

  constructor(ws: WebSocket) {
    super({ allowHalfOpen: true, highWaterMark: HIGH_WATER_MARK_BYTES });
    this.#ws = ws;
    ws.on('message', (data: Buffer) => {
      if (!this.destroyed && !this.readableEnded && data.length > 0 && !this.push(data)) ws.pause();
    });
    ws.on('error', (err) => this.destroy(err));
    ws.once('close', () => {
      this.#received = true;
      if (this.destroyed) return;
      this.push(null);
      // A WebSocket closes as a whole: nothing written from now on can arrive.
      if (!this.writableEnded) this.end();
    });
    if (ws.isPaused) ws.resume();
  }

  override _read(): void {
    if (this.#ws.isPaused) this.#ws.resume();
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    if (this.#ws.readyState !== WebSocket.OPEN) done();
    else this.#ws.send(chunk, { binary: true }, () => done());
  }
  override _final(done: (err?: Error | null) => void): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.close(1000);
    done();
  }
  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    // After an orderly end the closing handshake goes on by itself; `ws` limits how long it may take.
    if (this.#received || (!err && this.writableFinished)) this.#ws.resume();
    else this.#ws.terminate();
    done(err);
  }
}
