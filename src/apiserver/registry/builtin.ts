/** The resources that are always there: every row of the resource table with its type, strategy, place in the store and handlers. */
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import { ALL_RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { structSchema } from '#machinery/apply/struct-schema.ts';
import type { JsonObject } from '#machinery/patch/json.ts';
import { resourcePrefix } from '#store/keys.ts';
import { strategyFor } from '../strategies/index.ts';
import { fromCoreEvent, toCoreEvent } from '../strategies/events/conversion.ts';
import { subresourceHandlers, virtualHandler } from '../subresources/handlers.ts';
import { convertingCodec, type Conversion } from './converting-codec.ts';
import { hpaV1FromV2, hpaV2FromV1 } from './hpa-conversion.ts';
import type { Claims } from './claims.ts';
import type { ObjectStorage } from './object-cache.ts';
import type { ResourceCodec, ServedResource } from './resource-registry.ts';
import { structCodec } from './struct-codec.ts';

/** Versions that are stored as another one: by group, version and plural. */
const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  'events.k8s.io/v1/events': {
    toStorage: (object) => toCoreEvent(object as Parameters<typeof toCoreEvent>[0]) as KubeObject,
    fromStorage: (object) => fromCoreEvent(object as Parameters<typeof fromCoreEvent>[0]) as KubeObject,
    storageType: structByKind('', 'v1', 'Event')!,
  },
  'autoscaling/v1/horizontalpodautoscalers': {
    toStorage: hpaV2FromV1,
    fromStorage: hpaV1FromV2,
    storageType: structByKind('autoscaling', 'v2', 'HorizontalPodAutoscaler')!,
  },
};

/** Between versions that differ in nothing but their name. */
function renaming({ group, version, kind, sameAs }: ResourceInfo): Conversion | undefined {
  if (sameAs === undefined) return undefined;
  const named = (to: string) => (object: KubeObject): KubeObject => ({ ...object, apiVersion: apiVersionOf(group, to) });
  return { toStorage: named(sameAs), fromStorage: named(version), storageType: structByKind(group, sameAs, kind)! };
}

/** The versions of a kind that differ in nothing but their name: what was written in one of them is owned in all. */
function ownedVersions(info: ResourceInfo): ResourceCodec['apply']['versions'] {
  const { group, version, plural } = info;
  const stored = info.sameAs ?? version;
  const same = ALL_RESOURCES.filter((r) => r.group === group && r.plural === plural && r.version !== version && (r.sameAs ?? r.version) === stored);
  if (same.length === 0 || (info.sameAs === undefined && same.every((r) => r.sameAs === undefined))) return undefined;
  const renamed = (apiVersion: string) => (object: JsonObject): JsonObject => ({ ...object, apiVersion });
  const versions = new Map(same.map((r) => {
    const apiVersion = apiVersionOf(group, r.version);
    return [apiVersion, { schema: structSchema(structByKind(group, r.version, r.kind)!), convert: renamed(apiVersion), revert: renamed(apiVersionOf(group, version)) }] as const;
  }));
  return (apiVersion) => versions.get(apiVersion);
}

/** What every request for a kind of the core group is told that goes out of use. */
const DEPRECATED: Readonly<Record<string, readonly string[]>> = {
  componentstatuses: ['v1 ComponentStatus is deprecated in v1.19+'],
  endpoints: ['v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice'],
};

function codecOf(info: ResourceInfo): ResourceCodec {
  const type = structByKind(info.group, info.version, info.kind);
  if (!type) throw new Error(`kind "${info.group}/${info.version}, ${info.kind}" is not in the table of facts`);
  const codec = structCodec(type, ownedVersions(info), strategyFor(info));
  const conversion = CONVERSIONS[`${info.group}/${info.version}/${info.plural}`] ?? renaming(info);
  return conversion ? convertingCodec(codec, conversion) : codec;
}

export function isStored(info: ResourceInfo): boolean {
  return virtualHandler(info) === undefined;
}
/** The prefixes of everything that the table stores, whether it is served or not. */
export function storedPrefixes(): readonly string[] {
  return [...new Set(ALL_RESOURCES.filter(isStored).map(resourcePrefix))];
}

/** `served` are the rows of the table to serve, `storageOf` gives the cache of a prefix, `claims` those of a kind of the core group, by its plural. */
export function builtinResources(served: readonly ResourceInfo[], storageOf: (prefix: string) => ObjectStorage, claims: Readonly<Record<string, Claims>> = {}): readonly ServedResource[] {
  return served.map((info) => ({
    info,
    strategy: strategyFor(info),
    codec: codecOf(info),
    storage: isStored(info) ? storageOf(resourcePrefix(info)) : undefined,
    subresources: subresourceHandlers(info),
    virtual: virtualHandler(info),
    warnings: info.group === '' ? DEPRECATED[info.plural] : undefined,
    claims: info.group === '' ? claims[info.plural] : undefined,
  }));
}
