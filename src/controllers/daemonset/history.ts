/** The revisions of a DaemonSet: the one of the present template, and former ones. */
import type { ControllerRevision, DaemonSet } from '#api/gen/apps-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { CONTROLLER_REVISIONS, DAEMON_SETS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { compareRevisions, CONTROLLER_REVISION_HASH, equalData, newRevision, nextRevisionNumber, renumberRevision } from '../history/revisions.ts';
import { templateHash } from '../workload/hash.ts';

export interface DaemonHistory {
  readonly current: ControllerRevision;
  readonly old: readonly ControllerRevision[];
}
export function hashOf(revision: ControllerRevision): string {
  return revision.metadata.labels?.[CONTROLLER_REVISION_HASH] ?? '';
}

/** Finds the present revision among `revisions`, renumbers it when it was taken up again, or creates it. */
export async function findHistory(client: Client, ds: DaemonSet, revisions: readonly ControllerRevision[], signal: AbortSignal): Promise<DaemonHistory> {
  const wanted = newRevision({ owner: ds, ownerKind: DAEMON_SETS, template: ds.spec.template, number: 0 });
  const same = revisions.filter((r) => equalData(r, wanted)).toSorted(compareRevisions).at(-1);
  const old = revisions.filter((r) => r !== same);
  const number = nextRevisionNumber(old);
  if (same) return { current: same.revision < number ? await renumberRevision(client, same, number, signal) : same, old };
  return { current: await create(client, ds, { ...wanted, revision: number }, signal), old };
}
async function create(client: Client, ds: DaemonSet, revision: ControllerRevision, signal: AbortSignal): Promise<ControllerRevision> {
  const hash = templateHash(ds.spec.template, ds.status?.collisionCount);
  const metadata = { ...revision.metadata, name: `${nameOf(ds)}-${hash}`, labels: { ...revision.metadata.labels, [CONTROLLER_REVISION_HASH]: hash } };
  try {
    return await client.of(CONTROLLER_REVISIONS).create({ ...revision, metadata }, { signal });
  } catch (err) {
    if (!isReason(err, 'AlreadyExists')) throw err;
    const live = await client.of(CONTROLLER_REVISIONS).get(namespaceOf(ds), metadata.name, signal);
    if (equalData(live, revision)) return live;
    // Another template has the name: the next try has another hash.
    const status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0, ...ds.status, collisionCount: (ds.status?.collisionCount ?? 0) + 1 };
    await client.of(DAEMON_SETS).updateStatus({ ...ds, status }, { signal });
    throw err;
  }
}
