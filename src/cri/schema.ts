/**
 * The CRI v1 protocol as protobufjs reflection, made from the committed table of facts (`facts.json`).
 * `types.ts` (written by `tools/gen-cri-types.ts`) is the same table as TypeScript interfaces.
 *
 * Names follow the JSON mapping of protobuf: `pod_sandbox_id` is `podSandboxId`. Messages that are absent on the wire are
 * absent in the value; absent scalars, lists and maps have their zero value. Enums are their names. 64-bit integers are
 * numbers: exact up to 2^53, so nanoseconds since the epoch are good to 256 ns.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import type { Messages } from './types.ts';

interface FieldFacts {
  readonly n: number;
  readonly t: string;
  readonly l?: 'repeated';
}
interface MethodFacts {
  readonly in: string;
  readonly out: string;
  readonly serverStream?: boolean;
}
/** A table of facts about a gRPC protocol, as it is written in `facts.json`: CRI here, CSI and plugin registration in the kubelet. */
export interface CriFacts {
  readonly package: string;
  readonly messages: Readonly<Record<string, Readonly<Record<string, FieldFacts>>>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly services: Readonly<Record<string, Readonly<Record<string, MethodFacts>>>>;
}

/** Reads a table of facts on first use; `facts.json` lies beside the module that `url` names. */
export function factsBeside(url: string): () => CriFacts {
  let cached: CriFacts | undefined;
  return () => (cached ??= JSON.parse(readFileSync(new URL('facts.json', url), 'utf8')) as CriFacts);
}
export const criFacts = factsBeside(import.meta.url);

/** `pod_sandbox_id` → `podSandboxId`. */
export function jsonName(field: string): string {
  return field.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}
/** The name of an enum without the message it is declared in. */
export function enumName(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

/** How one message type is turned into bytes and back. */
export interface Codec<Out extends object, In extends object = Init<Out>> {
  encode(value: In): Buffer;
  decode(bytes: Uint8Array): Out;
}

/** What a message may be made from: every field optional, all the way down. */
export type Init<T> = T extends Uint8Array | string | number | boolean | undefined
  ? T
  : T extends readonly (infer U)[]
    ? readonly Init<U>[]
    : { readonly [K in keyof T]?: Init<T[K]> | undefined };

const TO_OBJECT: protobuf.IConversionOptions = { defaults: true, enums: String, longs: Number };

/** A codec over a protobufjs type, with the value shape described at the top of this file. */
export function codecOf<Out extends object>(type: protobuf.Type): Codec<Out> {
  return {
    encode: (value) => Buffer.from(type.encode(type.fromObject(value)).finish()),
    decode: (bytes) => withoutNulls(type.toObject(type.decode(bytes), TO_OBJECT)) as Out,
  };
}

/** protobufjs writes `null` for an absent message when it fills in defaults; here absent means absent. */
function withoutNulls(value: Record<string, unknown>): Record<string, unknown> {
  for (const key in value) {
    const child = value[key];
    if (child === null) delete value[key];
    else if (typeof child === 'object') dropNullsIn(child as object);
  }
  return value;
}
function dropNullsIn(value: object): void {
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) dropNullsIn(item as object);
  } else if (!(value instanceof Uint8Array)) withoutNulls(value as Record<string, unknown>);
}

function descriptorOf(facts: Omit<CriFacts, 'services'>): protobuf.INamespace {
  const nested: Record<string, protobuf.AnyNestedObject> = {};
  for (const [name, values] of Object.entries(facts.enums)) nested[enumName(name)] = { values: { ...values } };
  for (const [name, fields] of Object.entries(facts.messages)) {
    const out: Record<string, protobuf.IField | protobuf.IMapField> = {};
    for (const [field, { n, t, l }] of Object.entries(fields)) {
      const map = /^map<(\w+),(\w+)>$/.exec(t);
      out[jsonName(field)] = map ? { id: n, keyType: map[1]!, type: map[2]! } : l ? { id: n, type: t, rule: l } : { id: n, type: t };
    }
    nested[name] = { fields: out };
  }
  return { edition: 'proto3', nested: { [facts.package]: { nested } } } as protobuf.INamespace;
}

/** The codecs of a protocol's messages, by name. Each is built once, on first use. */
export function codecsOf<M extends { readonly [K in keyof M]: object }>(facts: () => Omit<CriFacts, 'services'>): <K extends keyof M & string>(name: K) => Codec<M[K]> {
  let root: protobuf.Root | undefined;
  const codecs = new Map<string, Codec<object>>();
  return (name) => {
    let codec = codecs.get(name);
    if (!codec) {
      root ??= protobuf.Root.fromJSON(descriptorOf(facts()));
      codec = codecOf<object>(root.lookupType(`${facts().package}.${name}`));
      codecs.set(name, codec);
    }
    return codec as unknown as Codec<M[typeof name]>;
  };
}
/** The codec of a CRI message. */
export const criCodec = codecsOf<Messages>(criFacts);

/** A complete CRI message from a partial one: absent scalars, lists and maps get their zero values, as they do on the wire. */
export function criMessage<K extends keyof Messages>(name: K, init: Init<Messages[K]>): Messages[K] {
  const codec = criCodec(name);
  return codec.decode(codec.encode(init));
}
