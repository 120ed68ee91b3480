/** `/openapi/v2`, `/openapi/v3` and `/openapi/v3/…`: documents made when first asked for and kept until the resources change (KEP-2896). */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { MaybePromise } from '../interfaces.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import type { ApiRequest, ApiResult, RawResult } from '../request.ts';
import { OPENAPI_V2_PROTOBUF, OPENAPI_V2_PROTOBUF_ANSWER } from '#machinery/openapi.ts';
import { parseAccept } from './negotiation.ts';

/** Makes the documents. `#machinery/openapi.ts` is behind it; custom resources add theirs. */
export interface OpenApiSource {
  /** Swagger 2.0 of everything. */
  v2(): object;
  /** The same in gnostic's protobuf form; absent: clients get JSON. */
  v2Protobuf?(): Buffer;
  /** OpenAPI 3.0 of one group and version: `api/v1`, `apis/apps/v1`. */
  v3(path: string): object | undefined;
  /** Paths that {@link v3} has documents for. */
  v3Paths(): readonly string[];
}
interface Document {
  readonly body: Buffer;
  readonly hash: string;
}
/** Old clients ask by a name that is no valid media type, and refuse an answer that carries it. */
const isProtobuf = (type: string): boolean => type === OPENAPI_V2_PROTOBUF || type === OPENAPI_V2_PROTOBUF_ANSWER;
/** A document whose address carries its hash never changes. */
const IMMUTABLE = 'public, immutable';

const documentOf = (body: Buffer): Document => ({ body, hash: createHash('sha512').update(body).digest('hex').toUpperCase() });

export class OpenApiPaths {
  readonly #resources: ResourceRegistry;
  readonly #source: OpenApiSource;
  readonly #documents = new Map<string, Document>();
  #generation = -1;

  constructor(resources: ResourceRegistry, source: OpenApiSource) {
    this.#resources = resources;
    this.#source = source;
  }

  /** `rest`: the path behind `/openapi`. */
  answer(rest: readonly string[], request: ApiRequest): MaybePromise<ApiResult | undefined> {
    if (this.#generation !== this.#resources.generation) {
      this.#documents.clear();
      this.#generation = this.#resources.generation;
    }
    const [version, ...path] = rest;
    if (version === 'v2' && path.length === 0) return this.#v2(request);
    if (version !== 'v3') return undefined;
    return path.length === 0 ? this.#v3Index(request) : this.#v3(path.join('/'), request);
  }

  #document(id: string, make: () => Buffer): Document {
    let document = this.#documents.get(id);
    if (!document) {
      document = documentOf(make());
      this.#documents.set(id, document);
    }
    return document;
  }

  #v2(request: ApiRequest): RawResult {
    const accept = request.auth.header('accept');
    const chosen = parseAccept(accept ?? '').find((c) => isProtobuf(c.type) || c.type === 'application/json' || c.type === '*/*');
    if (this.#source.v2Protobuf && isProtobuf(chosen?.type ?? '')) return respond(request, this.#document('v2 protobuf', () => this.#source.v2Protobuf!()), OPENAPI_V2_PROTOBUF_ANSWER, 'no-cache, private');
    return respond(request, this.#document('v2', () => Buffer.from(JSON.stringify(this.#source.v2()))), 'application/json', 'no-cache, private');
  }
  #v3Document(path: string): Document | undefined {
    if (!this.#source.v3Paths().includes(path)) return undefined;
    return this.#document(path, () => Buffer.from(JSON.stringify(this.#source.v3(path))));
  }
  /** Needs every document's hash: they are made one in a turn of the event loop, so that nobody waits for all of them. */
  async #v3Index(request: ApiRequest): Promise<RawResult> {
    const generation = this.#generation;
    if (!this.#documents.has('v3')) {
      for (const path of this.#source.v3Paths()) {
        this.#v3Document(path);
        await setImmediate();
      }
    }
    // Resources that changed meanwhile: what follows makes the rest at once.
    if (generation !== this.#generation) this.#documents.delete('v3');
    const index = this.#document('v3', () => {
      const paths = this.#source.v3Paths().map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${this.#v3Document(path)!.hash}` }]);
      return Buffer.from(JSON.stringify({ paths: Object.fromEntries(paths) as object }));
    });
    return respond(request, index, 'application/json', 'no-cache, private');
  }
  #v3(path: string, request: ApiRequest): RawResult | undefined {
    const document = this.#v3Document(path);
    if (!document) return undefined;
    const asked = request.query.get('hash');
    if (asked !== '' && asked !== document.hash) {
      return { kind: 'raw', code: 301, headers: { location: `/openapi/v3/${path}?hash=${document.hash}`, 'content-type': 'text/plain' }, body: Buffer.alloc(0) };
    }
    return respond(request, document, 'application/json', asked === '' ? 'no-cache, private' : IMMUTABLE);
  }
}

function respond(request: ApiRequest, document: Document, contentType: string, cacheControl: string): RawResult {
  const etag = `"${document.hash}"`;
  const headers = { 'content-type': contentType, 'cache-control': cacheControl, etag, vary: 'Accept-Encoding, Accept' };
  if (request.auth.header('if-none-match') === etag) return { kind: 'raw', code: 304, headers: { etag }, body: Buffer.alloc(0) };
  return { kind: 'raw', code: 200, headers, body: document.body };
}
