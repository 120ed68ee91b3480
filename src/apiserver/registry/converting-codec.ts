import type { KubeObject } from '#api/object.ts';
import type { StructType } from '#api/schema.ts';
import { normalise } from '#machinery/decode.ts';
import { Entry } from '#store/entry.ts';
import type { CacheEntry } from './object-cache.ts';
import type { ResourceCodec } from './resource-registry.ts';

/** Between a served version and the one that is stored. Arguments are not changed. */
export interface Conversion {
  toStorage(object: KubeObject): KubeObject;
  fromStorage(object: KubeObject): KubeObject;
  readonly storageType: StructType;
}

/** A codec whose entries are translated once per revision. */
export function convertingCodec(codec: ResourceCodec, conversion: Conversion): ResourceCodec {
  const served = new WeakMap<CacheEntry, CacheEntry>();
  return {
    structType: codec.structType,
    get apply() {
      return codec.apply;
    },
    decode: (value, text) => codec.decode(value, text),
    normalise: (object) => codec.normalise(object),
    toStorage: (object) => normalise(conversion.storageType, conversion.toStorage(object)) as unknown as KubeObject,
    fromStorage(entry) {
      let translated = served.get(entry);
      if (!translated) {
        translated = new Entry(entry.key, codec.normalise(conversion.fromStorage(entry.object)) as KubeObject, entry.revision);
        served.set(entry, translated);
      }
      return translated;
    },
  };
}
