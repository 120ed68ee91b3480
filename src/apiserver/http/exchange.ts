/**
 * One request and its answer on the wire, the same for HTTP/1.1 and HTTP/2. Node's own types end here
 * (`http1-exchange.ts`, `http2-exchange.ts`).
 */
import type { Readable } from 'node:stream';
import type { AuthenticationRequest } from '../interfaces.ts';

export type ResponseHeaders = Record<string, string | readonly string[] | number>;

/** An answer under way. */
export interface ResponseStream {
  /** Every write is a message of its own, which the client tells apart. Absent: bytes. */
  readonly inMessages?: boolean;
  /** False: the peer reads slower than we write; wait for {@link drained}. */
  write(chunk: Uint8Array): boolean;
  /** Resolves when there is room again or the stream is closed. */
  drained(): Promise<void>;
  end(): void;
  /** Cuts the stream off: the client sees that the answer is not whole. */
  abort(): void;
  readonly closed: boolean;
}

export interface Exchange extends AuthenticationRequest {
  readonly method: string;
  /** The request's body; undefined when there is none. */
  body(): Readable | undefined;
  /** Length that the client announced. */
  readonly contentLength: number | undefined;
  /** As many bytes of the body as were announced have been read. True: no more can come, and the reader leaves the stream as it is. */
  bodyIsWhole(): boolean;
  /** Calls back once when the client is gone before the answer was complete. */
  onGone(listener: () => void): void;
  /** The head was sent. */
  readonly answered: boolean;
  /** For small bodies: all of it lies with the connection until the client has taken it. */
  respond(code: number, headers: ResponseHeaders, body: Buffer): void;
  stream(code: number, headers: ResponseHeaders): ResponseStream;
  /** Ends the exchange without an answer: the client broke the protocol. */
  destroy(): void;
}
