/** The resources that are always there: every row of the resource table with its type, strategy, place in the store and handlers. */
import type { KubeObject } from '#api/object.ts';
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { resourcePrefix } from '#store/keys.ts';
import { strategyFor } from '../strategies/index.ts';
import { fromCoreEvent, toCoreEvent } from '../strategies/events/conversion.ts';
import { subresourceHandlers, virtualHandler } from '../subresources/handlers.ts';
import { apiServiceType } from './apiservice-type.ts';
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

function codecOf(info: ResourceInfo): ResourceCodec {
  const type = info.kind === 'APIService' ? apiServiceType() : structByKind(info.group, info.version, info.kind);
  if (!type) throw new Error(`kind "${info.group}/${info.version}, ${info.kind}" is not in the table of facts`);
  const codec = structCodec(type);
  const conversion = CONVERSIONS[`${info.group}/${info.version}/${info.plural}`];
  return conversion ? convertingCodec(codec, conversion) : codec;
}

export function isStored(info: ResourceInfo): boolean {
  return virtualHandler(info) === undefined;
}
/** The prefixes of everything that the table stores. */
export function storedPrefixes(): readonly string[] {
  return [...new Set(RESOURCES.filter(isStored).map(resourcePrefix))];
}

/** `storageOf` gives the cache of a prefix, `claims` those of a kind of the core group, by its plural. */
export function builtinResources(storageOf: (prefix: string) => ObjectStorage, claims: Readonly<Record<string, Claims>> = {}): readonly ServedResource[] {
  return RESOURCES.map((info) => ({
    info,
    strategy: strategyFor(info),
    codec: codecOf(info),
    storage: isStored(info) ? storageOf(resourcePrefix(info)) : undefined,
    subresources: subresourceHandlers(info),
    virtual: virtualHandler(info),
    claims: info.group === '' ? claims[info.plural] : undefined,
  }));
}
