/**
 * The codec of one version of a custom resource: pruned and defaulted by its schema when it is read, converted between the version that is stored
 * and the one that is served.
 */
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { structSchema } from '#machinery/apply/struct-schema.ts';
import { customResourceSchema, type StructuralSchema } from '#machinery/apply/structural-schema.ts';
import { decodeInto, normalise, strictMessages } from '#machinery/decode.ts';
import { checkDepth } from '#machinery/json.ts';
import type { JsonObject } from '#machinery/patch/json.ts';
import { Entry } from '#store/entry.ts';
import type { CacheEntry } from '../registry/object-cache.ts';
import type { ResourceCodec } from '../registry/resource-registry.ts';
import type { Converter } from './conversion.ts';
import { OBJECT_META, settleEmbedded } from './embedded-objects.ts';
import { applyDefaults, dropNulls, prune } from './pruning.ts';
import { asRoot, isObject, sameJson, type Json, type Schema } from './schema.ts';

export interface VersionSchema {
  readonly info: ResourceInfo;
  readonly schema: Schema;
}
export interface CustomCodecOptions {
  readonly served: VersionSchema;
  readonly storage: VersionSchema;
  /** By `apiVersion`: all versions of the definition. */
  readonly versions: ReadonlyMap<string, VersionSchema>;
  readonly converter: Converter;
  /** `spec.preserveUnknownFields`: nothing is pruned. */
  readonly preserve: boolean;
}
const applySchema = (schema: Schema) => customResourceSchema(schema as StructuralSchema, structSchema(OBJECT_META));
const versionOf = (v: VersionSchema): string => apiVersionOf(v.info.group, v.info.version);

export function customCodec(options: CustomCodecOptions): ResourceCodec {
  const { served, storage, converter, preserve } = options;
  const [servedVersion, storedVersion] = [versionOf(served), versionOf(storage)];
  const root = asRoot(served.schema);
  const storageRoot = asRoot(storage.schema);
  const shown = new WeakMap<CacheEntry, CacheEntry>();
  let apply: ResourceCodec['apply'] | undefined;

  const pruned = (object: Json, schema: Schema): readonly string[] => (preserve ? [] : prune(object, schema).unknown);
  /** The stored object as its own version's schema has it today. */
  function settled(entry: CacheEntry): KubeObject {
    const copy = draftOf(entry.object) as unknown as Json;
    const own = options.versions.get(entry.object.apiVersion ?? storedVersion);
    const schema = own ? asRoot(own.schema) : storageRoot;
    pruned(copy, schema);
    dropNulls(copy, schema);
    applyDefaults(copy, schema);
    return sameJson(copy, entry.object) ? entry.object : (copy as unknown as KubeObject);
  }
  function inServed(converted: KubeObject): KubeObject {
    if (servedVersion === storedVersion) return converted;
    const copy = draftOf(converted) as unknown as Json;
    pruned(copy, root);
    return copy as unknown as KubeObject;
  }
  function remember(entry: CacheEntry, object: KubeObject): CacheEntry {
    const made = object === entry.object ? entry : (new Entry(entry.key, object, entry.revision) as CacheEntry);
    shown.set(entry, made);
    return made;
  }
  const needsConverting = (object: KubeObject): boolean => (object.apiVersion ?? storedVersion) !== servedVersion;

  return {
    structType: undefined,
    waits: !converter.convert,
    get apply() {
      return (apply ??= { schema: applySchema(served.schema), versions: otherVersions(options) });
    },
    decode(value, text) {
      if (!isObject(value)) throw new Error(`json: cannot unmarshal ${Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value} into Go value of type map[string]interface {}`);
      checkDepth(value);
      const object = draftOf(value) as Json;
      const unknown = [...[...settleMetadata(object), ...settleEmbedded(object, served.schema)].toSorted(), ...pruned(object, root)];
      dropNulls(object, root);
      applyDefaults(object, root);
      return { object: object as unknown as Draft<KubeObject>, strict: strictMessages(unknown, text) };
    },
    normalise: (object) => inOrder(object) as unknown as Draft<KubeObject>,
    toStorage(object) {
      if (servedVersion === storedVersion) return object;
      const settle = (converted: KubeObject): KubeObject => {
        const copy = draftOf(converted) as unknown as Json;
        pruned(copy, storageRoot);
        applyDefaults(copy, storageRoot);
        return copy as unknown as KubeObject;
      };
      return converter.convert ? settle(converter.convert(object, storedVersion)) : converter.convertAll([object], storedVersion).then(([converted]) => settle(converted!));
    },
    fromStorage(entry) {
      const known = shown.get(entry);
      if (known) return known;
      const object = settled(entry);
      if (!needsConverting(object)) return remember(entry, object);
      if (!converter.convert) throw new Error(`"${entry.key}" was not converted before it was asked for`);
      return remember(entry, inServed(converter.convert(object, servedVersion)));
    },
    isStale: (entry) => entry.object.apiVersion !== storedVersion,
    prepare(entries) {
      if (converter.convert) return undefined;
      const waiting = entries.filter((entry) => !shown.has(entry));
      const objects = waiting.map(settled);
      if (!objects.some(needsConverting)) return undefined;
      return converter.convertAll(objects, servedVersion).then((converted) => {
        for (const [i, entry] of waiting.entries()) remember(entry, needsConverting(objects[i]!) ? inServed(converted[i]!) : objects[i]!);
      });
    },
  };
}

/** Types the metadata as ObjectMeta; gives what it does not have. Throws as Go's decoder does. */
function settleMetadata(object: Json): string[] {
  const { metadata } = object;
  if (metadata === undefined || metadata === null) {
    object['metadata'] = {};
    return [];
  }
  const { object: meta, unknown, errors } = decodeInto(OBJECT_META, metadata);
  if (errors.length) throw new Error(errors[0]);
  object['metadata'] = normalise(OBJECT_META, meta);
  return unknown.map((path) => `metadata.${path}`);
}
const FIRST = ['apiVersion', 'kind', 'metadata'];
/** Keys in the order in which upstream prints them. */
function inOrder(object: KubeObject): Json {
  const given = object as unknown as Json;
  const keys = [...FIRST.filter((key) => Object.hasOwn(given, key)), ...Object.keys(given).filter((key) => !FIRST.includes(key)).toSorted()];
  return Object.fromEntries(keys.map((key) => [key, key === 'metadata' ? normalise(OBJECT_META, given[key]) : draftOf(given[key])]));
}

/** Other versions for field ownership: only where converting needs no webhook. Managers of versions that cannot be reached are forgotten. */
function otherVersions({ versions, converter, served }: CustomCodecOptions): NonNullable<ResourceCodec['apply']['versions']> {
  const known = new Map<string, ReturnType<NonNullable<ResourceCodec['apply']['versions']>>>();
  return (apiVersion) => {
    const version = versions.get(apiVersion);
    const { convert } = converter;
    if (!version || !convert) return undefined;
    return known.getOrInsertComputed(apiVersion, () => ({
      schema: applySchema(version.schema),
      convert: (object: JsonObject) => convert(object as unknown as KubeObject, apiVersion) as unknown as JsonObject,
      revert: (object: JsonObject) => convert(object as unknown as KubeObject, versionOf(served)) as unknown as JsonObject,
    }));
  };
}
