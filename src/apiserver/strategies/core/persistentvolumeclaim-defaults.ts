import type { PersistentVolumeClaimSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { roundRequirements } from './resource-lists.ts';

/** Defaults of a claim and of the claim templates of Pods and StatefulSets. */
export function defaultClaimSpec(spec: Draft<PersistentVolumeClaimSpec>): void {
  spec.volumeMode ??= 'Filesystem';
  roundRequirements(spec.resources);
}
