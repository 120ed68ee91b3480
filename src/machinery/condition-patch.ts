/** Strategic merge patches of status conditions. */
interface Typed {
  readonly type: string;
}

/** What a patch of `status` says to change one condition: the others keep their places, and a new one comes last. */
export function conditionPatch<T extends Typed>(before: readonly Typed[] | undefined, condition: T): { readonly conditions: readonly T[]; readonly '$setElementOrder/conditions': readonly Typed[] } {
  const types = new Set([...(before ?? []).map((c) => c.type), condition.type]);
  return { conditions: [condition], '$setElementOrder/conditions': Array.from(types, (type) => ({ type })) };
}
