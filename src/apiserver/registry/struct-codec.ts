/** The codec of a built-in kind: everything follows from its Go type in the table of facts. */
import type { KubeObject } from '#api/object.ts';
import type { StructType } from '#api/schema.ts';
import type { Draft } from '#base/draft.ts';
import { structSchema, zeroObject } from '#machinery/apply/struct-schema.ts';
import { decodeInto, normalise, strictMessages } from '#machinery/decode.ts';
import type { ResourceCodec } from './resource-registry.ts';
import type { Strategy } from './strategy.ts';

/** `versions`: the other versions of the kind, for field ownership; `unreadable` as in {@link Strategy}. */
export function structCodec(type: StructType, versions?: ResourceCodec['apply']['versions'], unreadable?: Strategy['unreadable']): ResourceCodec {
  let apply: ResourceCodec['apply'] | undefined;
  return {
    structType: type,
    get apply() {
      return (apply ??= { schema: structSchema(type), zero: zeroObject(type), ...(versions ? { versions } : {}) });
    },
    decode(value, text) {
      const { object, unknown, errors } = decodeInto(type, value);
      if (errors.length) throw new Error(errors[0]);
      const draft = normalise(type, object) as unknown as Draft<KubeObject>;
      const fault = unreadable?.(draft);
      if (fault !== undefined) throw new Error(fault);
      return { object: draft, strict: strictMessages(unknown, text, type) };
    },
    normalise: (object) => normalise(type, object) as unknown as Draft<KubeObject>,
    toStorage: (object) => object,
    fromStorage: (entry) => entry,
  };
}
