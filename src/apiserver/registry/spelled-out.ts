/**
 * Lists and maps that a client gave and that are empty, where the type requires them: `rules: []`. They are stored as if they had been left
 * out, and are printed as null; but whoever spells one out owns it (KEP-555).
 */
import type { KubeObject } from '#api/object.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import type { ValuePath } from '#machinery/decode.ts';

const spelledOut = new WeakMap<object, readonly ValuePath[]>();

export function noteEmpties(draft: object, paths: readonly ValuePath[]): void {
  if (paths.length > 0) spelledOut.set(draft, paths);
}
/** For an object that was never text: what is absent is empty in it (see `normalise.ts`). */
export function forgetEmpties(draft: object): void {
  spelledOut.delete(draft);
}
/** A deep copy that remembers the same. */
export function copyDraft(draft: Draft<KubeObject>): Draft<KubeObject> {
  const copy = draftOf(draft) as Draft<KubeObject>;
  noteEmpties(copy, spelledOut.get(draft) ?? []);
  return copy;
}

/** The draft as it is printed, but with `[]` for null where the client has written that. */
export function withEmpties(printed: KubeObject, draft: KubeObject): KubeObject {
  return (spelledOut.get(draft) ?? []).reduce<unknown>((object, path) => fill(object, path), printed) as KubeObject;
}
function fill(value: unknown, [name, ...rest]: ValuePath): unknown {
  if (name === undefined) return value === null ? [] : value;
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return value;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string | number, unknown>;
  copy[name] = fill(copy[name], rest);
  return copy;
}
