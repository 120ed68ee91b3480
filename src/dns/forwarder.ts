/**
 * Passes questions about other names to the host's resolvers: over UDP from a port of its own each, over TCP where an answer is cut
 * short; one after the other until one answers. Bounded in number and time; answers are kept for a short time.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '#base/clock.ts';
import { readPassing } from './wire.ts';

export interface ForwarderOptions {
  readonly clock: Clock;
  /** `address`, or `address:port` for tests. */
  servers(): Promise<readonly { readonly address: string; readonly port: number }[]>;
  /** For one resolver's answer. Default 2 s. */
  readonly timeoutMs?: number;
  /** Questions under way at the same time. Default 1000. */
  readonly maxConcurrent?: number;
  /** Answers kept. Default 4096. */
  readonly maxCached?: number;
}
/** Seconds that an answer is kept at most. */
const MAX_TTL = 30;
const MAX_MESSAGE = 65_535;
type Server = { readonly address: string; readonly port: number };
interface Cached {
  readonly message: Buffer;
  readonly ttlOffsets: readonly number[];
  /** On the monotonic clock. */
  readonly at: number;
  readonly until: number;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #timeoutMs: number;
  readonly #cache = new Map<string, Cached>();
  /** Questions under way: whoever asks the same waits for the same answer. */
  readonly #asking = new Map<string, Promise<Buffer | undefined>>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 2_000;
  }
  /** The answer to the message `query`, with its id; undefined when no resolver gives one in time. `key` tells equal questions. */
  async ask(key: string, query: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    const kept = this.#kept(key);
    const answer = kept ?? (await this.#shared(key, query, signal));
    if (!answer) return undefined;
    const own = Buffer.from(answer);
    query.copy(own, 0, 0, 2);
    return own;
  }
  #shared(key: string, query: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    const running = this.#asking.get(key);
    if (running) return running;
    if (this.#asking.size >= (this.#options.maxConcurrent ?? 1_000)) return Promise.resolve(undefined);
    const asked = this.#askAll(query, signal).then((answer) => {
      if (answer) this.#keep(key, answer);
      return answer;
    }).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    return asked;
  }
  async #askAll(query: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    let failed: Buffer | undefined;
    for (const server of await this.#options.servers()) {
      if (signal.aborted) return undefined;
      const answer = await this.#askOne(server, query, signal).catch(() => undefined);
      if (!answer) continue;
      // SERVFAIL and REFUSED: another one may know.
      if (![2, 5].includes(readPassing(answer).rcode)) return answer;
      failed = answer;
    }
    return failed;
  }
  async #askOne(server: Server, query: Buffer, signal: AbortSignal): Promise<Buffer> {
    const own = Buffer.from(query);
    own.writeUInt16BE(randomInt(0x10000), 0);
    const deadline = AbortSignal.any([signal, this.#after(this.#timeoutMs)]);
    const answer = await overUdp(server, own, deadline);
    return readPassing(answer).truncated ? overTcp(server, own, deadline) : answer;
  }
  #after(ms: number): AbortSignal {
    const controller = new AbortController();
    this.#options.clock.after(ms, () => controller.abort(new Error('the resolver did not answer in time')));
    return controller.signal;
  }

  #kept(key: string): Buffer | undefined {
    const found = this.#cache.get(key);
    if (!found) return undefined;
    const now = this.#options.clock.monotonic();
    if (now >= found.until) return void this.#cache.delete(key);
    const aged = Buffer.from(found.message);
    const seconds = Math.floor((now - found.at) / 1000);
    for (const at of found.ttlOffsets) aged.writeUInt32BE(Math.max(0, aged.readUInt32BE(at) - seconds), at);
    return aged;
  }
  #keep(key: string, message: Buffer): void {
    const { rcode, minTtl = 0, ttlOffsets } = readPassing(message);
    if ((rcode !== 0 && rcode !== 3) || minTtl === 0) return;
    const now = this.#options.clock.monotonic();
    this.#cache.delete(key);
    this.#cache.set(key, { message, ttlOffsets, at: now, until: now + Math.min(minTtl, MAX_TTL) * 1000 });
    if (this.#cache.size > (this.#options.maxCached ?? 4_096)) this.#cache.delete(this.#cache.keys().next().value!);
  }
}

/** Whether `answer` is one to `query`: its id and its question, letter for letter. */
function answers(query: Buffer, answer: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== query.readUInt16BE(0) || (answer.readUInt16BE(2) & 0x8000) === 0 || answer.readUInt16BE(4) !== 1) return false;
  let end = 12;
  while (end < query.length && query[end] !== 0) end += query[end]! + 1;
  return query.subarray(12, end + 5).equals(answer.subarray(12, end + 5));
}
function overUdp({ address, port }: Server, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  const give = (): void => reject(signal.reason);
  signal.addEventListener('abort', give, { once: true });
  socket.on('error', reject);
  socket.on('message', (message) => {
    if (!answers(query, message)) return;
    try {
      readPassing(message);
      resolve(message);
    } catch (err) {
      reject(err);
    }
  });
  // A connected socket takes answers of that resolver alone, and hears when nobody listens there.
  socket.connect(port, address, (err?: Error) => (err ? reject(err) : socket.send(query, (e) => void (e && reject(e)))));
  return promise.finally(() => {
    signal.removeEventListener('abort', give);
    socket.close();
  });
}
function overTcp({ address, port }: Server, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect(port, address);
  const give = (): void => reject(signal.reason);
  signal.addEventListener('abort', give, { once: true });
  let got: Buffer = Buffer.alloc(0);
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the resolver closed the connection')));
  socket.on('data', (part: Buffer) => {
    got = Buffer.concat([got, part]);
    const length = got.length < 2 ? MAX_MESSAGE : got.readUInt16BE(0);
    if (got.length < length + 2) return;
    const message = got.subarray(2, length + 2);
    try {
      readPassing(message);
      if (answers(query, message)) resolve(Buffer.from(message));
      else reject(new Error('the resolver answered another question'));
    } catch (err) {
      reject(err);
    }
  });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  socket.write(Buffer.concat([length, query]));
  return promise.finally(() => {
    signal.removeEventListener('abort', give);
    socket.destroy();
  });
}
