/** Picks the default among classes of storage or ingress: the newest of those so annotated, by name where they are equally old. */
import { nameOf, type KubeObject } from '#api/object.ts';

export function defaultClass<T extends KubeObject>(classes: readonly T[], annotations: readonly string[]): T | undefined {
  const created = (c: T): number => Date.parse(c.metadata.creationTimestamp ?? '') || 0;
  return classes
    .filter((c) => annotations.some((name) => c.metadata.annotations?.[name] === 'true'))
    .toSorted((x, y) => created(y) - created(x) || (nameOf(x) < nameOf(y) ? -1 : 1))[0];
}
