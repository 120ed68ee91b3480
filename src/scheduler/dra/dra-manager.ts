/** What plugins share of dynamic resource allocation: claims, slices, classes. Upstream's counterpart: the SharedDRAManager. */
import { nameOf } from '#api/object.ts';
import type { Listers } from '../framework/handle.ts';
import { ClaimTracker } from './claim-tracker.ts';
import { DeviceClasses } from './device-classes.ts';
import { DeviceSelectors } from './selectors.ts';
import { SliceIndex } from './slices.ts';

export interface DraManager {
  readonly claims: ClaimTracker;
  readonly slices: SliceIndex;
  readonly classes: DeviceClasses;
  readonly selectors: DeviceSelectors;
}
/** Its handlers must be the informers' first: whoever is told of an event then finds it counted. */
export function newDraManager({ resourceClaims, resourceSlices, deviceClasses }: Pick<Listers, 'resourceClaims' | 'resourceSlices' | 'deviceClasses'>): DraManager {
  const slices = new SliceIndex();
  resourceSlices.addHandler({
    onAdd: (slice) => slices.set(slice),
    onUpdate: (_old, slice) => slices.set(slice),
    onDelete: (slice) => slices.delete(nameOf(slice)),
  });
  return { claims: new ClaimTracker(resourceClaims), slices, classes: new DeviceClasses(deviceClasses), selectors: new DeviceSelectors() };
}
