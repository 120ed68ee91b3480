/** The three kinds of containers of a Pod, walked in upstream's order. */
import type { Container, EphemeralContainer, PodSpec } from '#api/gen/core-v1.ts';
import type { FieldPath } from '#machinery/field-errors.ts';

export type AnyContainer = Container | EphemeralContainer;

/** Every container with its path: init containers, containers, ephemeral ones. `path` is the spec's. */
export function allContainers(spec: PodSpec, path: FieldPath): { container: AnyContainer; path: FieldPath }[] {
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    ((spec[list] ?? []) as readonly AnyContainer[]).map((container, i) => ({ container, path: path.child(list).index(i) })),
  );
}
