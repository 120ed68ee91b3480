/** OpenAPI with the documents of aggregated servers. */
import { logger } from '#base/logger.ts';
import { encodeOpenApiV2, type Json } from '#machinery/openapi.ts';
import type { OpenApiSource } from '../http/openapi-paths.ts';
import type { GroupDelegate, ResourceRegistry } from '../registry/resource-registry.ts';

const log = logger('aggregator');
type Members = Readonly<Record<string, unknown>>;
const membersOf = (document: object | undefined, name: string): Members => ((document as Members | undefined)?.[name] as Members | undefined) ?? {};
const pathOf = ({ group, version }: GroupDelegate): string => `apis/${group}/${version}`;

/** `own` for what this server answers itself; delegates' documents beside it. */
export function withDelegates(own: OpenApiSource, resources: ResourceRegistry): OpenApiSource {
  const delegate = (path: string) => resources.delegates().find((d) => d.openapi?.v3 && pathOf(d) === path);
  const v2 = (): object => resources.delegates().reduce(mergeV2, own.v2());
  const v2Protobuf = own.v2Protobuf?.bind(own);
  return {
    v2,
    ...(v2Protobuf ? { v2Protobuf: () => (resources.delegates().some((d) => d.openapi?.v2) ? encodeMerged(v2, v2Protobuf) : v2Protobuf()) } : {}),
    v3: (path) => delegate(path)?.openapi?.v3 ?? own.v3(path),
    v3Paths: () => [...new Set([...own.v3Paths(), ...resources.delegates().filter((d) => d.openapi?.v3).map(pathOf)])],
  };
}

/** A document of another server may be of any shape: one that cannot be encoded does not take ours away. */
function encodeMerged(merged: () => object, own: () => Buffer): Buffer {
  try {
    return encodeOpenApiV2(merged() as Json);
  } catch (err) {
    log.warn({ err }, 'The OpenAPI document of an aggregated server has no protobuf form; it is left out there');
    return own();
  }
}
/** Adds the paths of the group and version, and definitions that are not there yet: shared ones are the same everywhere. */
function mergeV2(document: object, delegate: GroupDelegate): object {
  const theirs = delegate.openapi?.v2;
  if (!theirs) return document;
  const prefix = `/${pathOf(delegate)}/`;
  const paths = Object.fromEntries(Object.entries(membersOf(theirs, 'paths')).filter(([path]) => `${path}/`.startsWith(prefix)));
  return { ...document, paths: { ...membersOf(document, 'paths'), ...paths }, definitions: { ...membersOf(theirs, 'definitions'), ...membersOf(document, 'definitions') } };
}
