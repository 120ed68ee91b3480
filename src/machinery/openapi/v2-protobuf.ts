/**
 * The v2 document in protobuf, which kubectl before 1.26 asks for and takes nothing else: the message `openapi.v2.Document`
 * of gnostic. Field numbers are those of its published `OpenAPIv2.proto`; what the builder never writes is left out.
 */
import { Writer } from '../protobuf-wire.ts';
import { dumpYaml } from '../yaml-dump.ts';
import type { Json } from './definitions.ts';

/** The media type by which clients ask for {@link encodeOpenApiV2}'s bytes. */
export const OPENAPI_V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
/** The content type of the answer: Go's MIME parser does not take the one that was asked for. */
export const OPENAPI_V2_PROTOBUF_ANSWER = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** Writes a message backwards: the last field first. */
type Body = (w: Writer) => void;
const message = (w: Writer, field: number, body: Body): void => {
  const before = w.length;
  body(w);
  w.varint(w.length - before);
  w.tag(field, 2);
};
const text = (w: Writer, field: number, value: unknown): void => {
  if (typeof value !== 'string' || value === '') return;
  w.string(value);
  w.tag(field, 2);
};
const flag = (w: Writer, field: number, value: unknown): void => {
  if (value !== true) return;
  w.varint(1);
  w.tag(field, 0);
};
const texts = (w: Writer, field: number, values: unknown): void => {
  for (const value of ((values as readonly string[] | undefined) ?? []).toReversed()) {
    w.string(value);
    w.tag(field, 2);
  }
};
/** Repeated messages of name (1) and value (2). */
const named = (w: Writer, field: number, entries: readonly (readonly [string, Body])[]): void => {
  for (const [name, body] of entries.toReversed()) {
    message(w, field, (inner) => {
      message(inner, 2, body);
      text(inner, 1, name);
    });
  }
};
/** `Any` with YAML text in it. */
const any = (value: unknown): Body => (w) => text(w, 2, dumpYaml(value));
const extensions = (w: Writer, field: number, object: Json): void => {
  named(w, field, Object.entries(object).filter(([key]) => key.startsWith('x-')).map(([key, value]) => [key, any(value)] as const));
};
const child = (object: Json, key: string): Json | undefined => object[key] as Json | undefined;

const schema = (s: Json): Body => (w) => {
  extensions(w, 31, s);
  const properties = child(s, 'properties');
  if (properties) message(w, 25, (inner) => named(inner, 1, Object.entries(properties).map(([name, value]) => [name, schema(value as Json)] as const)));
  for (const part of ((s['allOf'] as readonly Json[] | undefined) ?? []).toReversed()) message(w, 24, schema(part));
  const items = child(s, 'items');
  if (items) message(w, 23, (inner) => message(inner, 1, schema(items)));
  if (typeof s['type'] === 'string') message(w, 22, (inner) => text(inner, 1, s['type']));
  const additional = s['additionalProperties'];
  if (typeof additional === 'object' && additional !== null) message(w, 21, (inner) => message(inner, 1, schema(additional as Json)));
  for (const value of ((s['enum'] as readonly unknown[] | undefined) ?? []).toReversed()) message(w, 20, any(value));
  texts(w, 19, s['required']);
  if (s['default'] !== undefined) message(w, 5, any(s['default']));
  text(w, 4, s['description']);
  text(w, 2, s['format']);
  text(w, 1, s['$ref']);
};

/** Numbers of the fields of a path parameter are one below those of a query parameter from `type` on. */
const parameter = (p: Json): Body => (w) => {
  if (p['in'] === 'body') {
    message(w, 1, (outer) => message(outer, 1, (inner) => {
      message(inner, 5, schema(child(p, 'schema') ?? {}));
      flag(inner, 4, p['required']);
      text(inner, 3, 'body');
      text(inner, 2, p['name']);
      text(inner, 1, p['description']);
    }));
    return;
  }
  const isQuery = p['in'] === 'query';
  const shift = isQuery ? 1 : 0;
  message(w, 1, (outer) => message(outer, 2, (middle) => message(middle, isQuery ? 3 : 4, (inner) => {
    flag(inner, 19 + shift, p['uniqueItems']);
    text(inner, 5 + shift, p['type']);
    text(inner, 4, p['name']);
    text(inner, 3, p['description']);
    text(inner, 2, p['in']);
    flag(inner, 1, p['required']);
  })));
};
const parameters = (w: Writer, field: number, list: unknown): void => {
  for (const p of ((list as readonly Json[] | undefined) ?? []).toReversed()) message(w, field, parameter(p));
};

const response = (r: Json): Body => (w) => {
  message(w, 1, (inner) => {
    const own = child(r, 'schema');
    if (own) message(inner, 2, (item) => message(item, 1, schema(own)));
    text(inner, 1, r['description']);
  });
};
const operation = (o: Json): Body => (w) => {
  extensions(w, 13, o);
  texts(w, 10, o['schemes']);
  message(w, 9, (inner) => named(inner, 1, Object.entries(child(o, 'responses') ?? {}).map(([code, r]) => [code, response(r as Json)] as const)));
  parameters(w, 8, o['parameters']);
  texts(w, 7, o['consumes']);
  texts(w, 6, o['produces']);
  text(w, 5, o['operationId']);
  text(w, 3, o['description']);
  texts(w, 1, o['tags']);
};
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'] as const;
const pathItem = (item: Json): Body => (w) => {
  parameters(w, 9, item['parameters']);
  for (const [i, method] of [...METHODS.entries()].toReversed()) {
    const own = child(item, method);
    if (own) message(w, i + 2, operation(own));
  }
};

/** A document made by `buildOpenApiV2` in protobuf. */
export function encodeOpenApiV2(document: Json): Buffer {
  const w = new Writer();
  const security = child(document, 'securityDefinitions') ?? {};
  message(w, 13, (inner) => named(inner, 1, Object.entries(security).map(([name, value]) => [name, (item: Writer) => message(item, 2, (key) => {
    text(key, 4, (value as Json)['description']);
    text(key, 3, (value as Json)['in']);
    text(key, 2, (value as Json)['name']);
    text(key, 1, (value as Json)['type']);
  })] as const)));
  message(w, 12, (inner) => named(inner, 1, Object.keys(security).map((name) => [name, () => {}] as const)));
  message(w, 9, (inner) => named(inner, 1, Object.entries(child(document, 'definitions') ?? {}).map(([name, value]) => [name, schema(value as Json)] as const)));
  message(w, 8, (inner) => named(inner, 2, Object.entries(child(document, 'paths') ?? {}).map(([name, value]) => [name, pathItem(value as Json)] as const)));
  message(w, 2, (inner) => {
    const info = child(document, 'info') ?? {};
    text(inner, 2, info['version']);
    text(inner, 1, info['title']);
  });
  text(w, 1, document['swagger']);
  return w.finish();
}
