/** Requests by hand over HTTP/1.1, to see codes, headers and bodies as they are. */
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Status } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { Fixture } from './fixture.ts';

export interface Answer {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON. */
  json<T = KubeObject & Record<string, unknown>>(): T;
  readonly status: Status;
}
export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Without the admin's certificate. */
  readonly anonymous?: boolean;
}

export class Requests {
  readonly #fixture: Fixture;
  readonly #agent: Agent;
  readonly #anonymous: Agent;
  constructor(fixture: Fixture) {
    const { pki } = fixture;
    this.#fixture = fixture;
    this.#agent = new Agent({ keepAlive: true, ca: pki.ca.cert, cert: pki.clients.admin.cert, key: pki.clients.admin.key });
    this.#anonymous = new Agent({ keepAlive: true, ca: pki.ca.cert });
  }
  close(): void {
    this.#agent.destroy();
    this.#anonymous.destroy();
  }
  get tls(): { ca: string; cert: string; key: string } {
    const { pki } = this.#fixture;
    return { ca: pki.ca.cert, cert: pki.clients.admin.cert, key: pki.clients.admin.key };
  }
  open(method: string, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    const { body, headers = {}, anonymous } = options;
    const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    const type = bytes && !('content-type' in headers) ? { 'content-type': 'application/json' } : {};
    return new Promise((resolve, reject) => {
      const target: RequestOptions = { method, agent: anonymous ? this.#anonymous : this.#agent, headers: { ...type, ...headers, ...(bytes ? { 'content-length': bytes.length } : {}) } };
      const request = httpsRequest(`${this.#fixture.url}${path}`, target, resolve);
      request.on('error', reject);
      request.end(bytes);
    });
  }
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const message = await this.open(method, path, options);
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const text = bytes.toString();
    return {
      code: message.statusCode!, headers: message.headers, bytes, text,
      json: <T>() => JSON.parse(text) as T,
      get status() {
        return JSON.parse(text) as Status;
      },
    };
  }
  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.call('GET', path, { headers });
  }
  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.call('POST', path, { body, headers });
  }
}

/** A watch as lines; `next` waits for one event. */
export interface WatchLines {
  next(): Promise<{ type: string; object: KubeObject & Record<string, unknown> } | undefined>;
  close(): void;
}
export async function openWatch(requests: Requests, path: string, headers: Readonly<Record<string, string>> = {}): Promise<WatchLines> {
  const message = await requests.open('GET', path, { headers });
  let rest = '';
  const chunks = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  return {
    async next() {
      for (;;) {
        const end = rest.indexOf('\n');
        if (end >= 0) {
          const line = rest.slice(0, end);
          rest = rest.slice(end + 1);
          return JSON.parse(line) as { type: string; object: KubeObject & Record<string, unknown> };
        }
        const chunk = await chunks.next();
        if (chunk.done) return undefined;
        rest += chunk.value.toString();
      }
    },
    close: () => void message.destroy(),
  };
}
