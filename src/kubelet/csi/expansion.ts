/** The node's part of growing a volume: after its PersistentVolume has grown, the file system on it does. Source: KEP-1790; upstream's counterpart: node expansion. */
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import { PERSISTENT_VOLUME_CLAIMS } from '#client/kinds.ts';
import { isCriError } from '#cri/error.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { VolumeError } from '../volumes/volume-error.ts';

const RESIZE_CONDITIONS = new Set(['Resizing', 'FileSystemResizePending', 'ControllerResizeError', 'NodeResizeError']);
/** Answers after which the driver need not be asked again for the same size. */
const INFEASIBLE = ['InvalidArgument', 'OutOfRange', 'NotFound'] as const;

export interface ExpansionContext {
  readonly client: Client;
  readonly recorder: EventRecorder;
  readonly nodeName: string;
}

/** The size that a mounted volume is to grow to, by its PersistentVolume and what the claim has so far. */
export function pendingGrowth(claim: PersistentVolumeClaim, volume: PersistentVolume): string | undefined {
  const [to, from] = [volume.spec.capacity?.['storage'], claim.status?.capacity?.['storage']];
  if (to === undefined || from === undefined || claim.status?.allocatedResourceStatuses?.['storage'] === 'NodeResizeInfeasible') return undefined;
  return parseQuantity(to).cmp(parseQuantity(from)) > 0 ? to : undefined;
}

/** Has the driver grow the volume and tells claim and Pod. A failure is told and left for the next time: the Pod runs on. */
export async function expandOnNode(ctx: ExpansionContext, pod: Pod, claim: PersistentVolumeClaim, volume: PersistentVolume, storage: string, grow: (bytes: number) => Promise<void>, signal: AbortSignal): Promise<void> {
  const claims = ctx.client.of(PERSISTENT_VOLUME_CLAIMS);
  const write = (status: object) => claims.patch(namespaceOf(claim), nameOf(claim), 'application/merge-patch+json', { status }, { subresource: 'status', signal });
  const managed = claim.status?.allocatedResourceStatuses?.['storage'] !== undefined;
  try {
    if (managed) await write({ allocatedResourceStatuses: { storage: 'NodeResizeInProgress' } });
    await grow(Number(parseQuantity(storage).value()));
  } catch (err) {
    if (signal.aborted) throw err;
    const { message } = new VolumeError('NodeExpandVolume.NodeExpandVolume', nameOf(volume), new Error(`Expander.NodeExpand failed to expand the volume : ${(err as Error).message}`, { cause: err }));
    ctx.recorder.eventFor(referenceTo(pod), 'Warning', 'VolumeResizeFailed', message);
    if (managed && INFEASIBLE.some((code) => isCriError(err, code))) await write({ allocatedResourceStatuses: { storage: 'NodeResizeInfeasible' } });
    return;
  }
  const conditions = (claim.status?.conditions ?? []).filter((c) => !RESIZE_CONDITIONS.has(c.type));
  await write({ capacity: { storage }, conditions: conditions.length ? conditions : null, allocatedResourceStatuses: { storage: null } });
  for (const ref of [referenceTo(pod), referenceTo(claim)]) ctx.recorder.eventFor(ref, 'Normal', 'FileSystemResizeSuccessful', `MountVolume.NodeExpandVolume succeeded for volume "${nameOf(volume)}" ${ctx.nodeName}`);
}
