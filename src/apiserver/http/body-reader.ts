/** Reads request bodies with a limit on their size and on the time they may take. */
import type { Clock } from '#base/clock.ts';
import { badRequest, timeout, tooLarge } from '#machinery/status-error.ts';
import type { Exchange } from './exchange.ts';

/** Upstream's `MaxRequestBodyBytes`: what etcd takes in one request, doubled. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

export interface BodyLimits {
  readonly maxBytes: number;
  /** A body must be complete after this long. */
  readonly timeoutMs: number;
}

/** Late errors of the connection have no one else to hear them. Out here it holds nothing of the request, which the stream would then hold. */
const unheard = (): void => {};

/** Rejects with 413 for a body over the limit, 400 for one that is cut short, 504 for one that does not come. */
export function readBody(exchange: Pick<Exchange, 'body' | 'contentLength' | 'bodyIsWhole'>, limits: BodyLimits, clock: Clock): Promise<Buffer> {
  const source = exchange.body();
  if (!source) return Promise.resolve(Buffer.alloc(0));
  const announced = exchange.contentLength;
  const refused = () => tooLarge(`Request entity too large: limit is ${limits.maxBytes}`);
  if (announced !== undefined && announced > limits.maxBytes) return Promise.reject(refused());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (done: () => void): void => {
      timer.cancel();
      source.off('data', onData);
      source.off('end', onEnd);
      source.off('error', onCut);
      source.off('close', onCut);
      source.on('error', unheard);
      done();
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limits.maxBytes) return finish(() => reject(refused()));
      chunks.push(chunk);
      if (size === announced && exchange.bodyIsWhole()) onEnd();
    };
    const onEnd = (): void => finish(() => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    const onCut = (): void => finish(() => reject(badRequest('unexpected EOF')));
    const timer = clock.after(limits.timeoutMs, () => finish(() => reject(timeout('the request body did not arrive within the allotted time', 0))));
    source.on('data', onData);
    source.once('end', onEnd);
    source.once('error', onCut);
    source.once('close', onCut);
    if (source.destroyed) onCut();
  });
}
