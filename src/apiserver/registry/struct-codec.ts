/** The codec of a built-in kind: everything follows from its Go type in the table of facts. */
import type { KubeObject } from '#api/object.ts';
import type { StructType } from '#api/schema.ts';
import type { Draft } from '#base/draft.ts';
import { structSchema, zeroObject } from '#machinery/apply/struct-schema.ts';
import { decodeInto, normalise, strictMessages } from '#machinery/decode.ts';
import type { ResourceCodec } from './resource-registry.ts';
import { noteEmpties } from './spelled-out.ts';
import type { Strategy } from './strategy.ts';

/** `versions`: the other versions of the kind, for field ownership; `rules` of the kind for what is read. */
export function structCodec(type: StructType, versions?: ResourceCodec['apply']['versions'], rules: Pick<Strategy, 'givenEmpty' | 'unreadable'> = {}): ResourceCodec {
  let apply: ResourceCodec['apply'] | undefined;
  return {
    structType: type,
    get apply() {
      return (apply ??= { schema: structSchema(type), zero: zeroObject(type), ...(versions ? { versions } : {}) });
    },
    decode(value, text) {
      const { object, unknown, errors, empties } = decodeInto(type, value);
      if (errors.length) throw new Error(errors[0]);
      const draft = normalise(type, object) as unknown as Draft<KubeObject>;
      for (const path of rules.givenEmpty ?? []) keepEmpty(object, draft, path.split('.'));
      noteEmpties(draft, empties);
      const fault = rules.unreadable?.(draft);
      if (fault !== undefined) throw new Error(fault);
      return { object: draft, strict: strictMessages(unknown, text, type) };
    },
    normalise: (object) => normalise(type, object) as unknown as Draft<KubeObject>,
    toStorage: (object) => object,
    fromStorage: (entry) => entry,
  };
}

/** Puts an empty list or map that was given at the path into the object in normal form. */
function keepEmpty(given: unknown, draft: unknown, [name, ...rest]: readonly string[]): void {
  const [from, to] = [given, draft] as (Record<string, unknown> | null | undefined)[];
  if (!from || !to || name === undefined) return;
  if (rest.length > 0) keepEmpty(from[name], to[name], rest);
  else if (typeof from[name] === 'object' && from[name] !== null && Object.keys(from[name]).length === 0) to[name] = Array.isArray(from[name]) ? [] : {};
}
