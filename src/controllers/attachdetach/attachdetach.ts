/**
 * Attaches volumes to the nodes of the Pods that want them, and detaches them when the node has unmounted them. The attaching itself
 * is done by the driver's external attacher, which answers to VolumeAttachments. Upstream's counterpart: attachdetach-controller.
 *
 * ```
 *   Pod on node ──▶ VolumeAttachment ──▶ attached ──▶ node.status.volumesAttached ──▶ the kubelet mounts
 *   Pod gone ──▶ not in node.status.volumesInUse ──▶ off volumesAttached ──▶ VolumeAttachment deleted
 * ```
 */
import type { AttachedVolume, Node, Pod } from '#api/gen/core-v1.ts';
import type { VolumeAttachment } from '#api/gen/storage-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS } from '#client/kinds.ts';
import { csiUniqueName } from '#machinery/volume-names.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { claimNames } from '../pvc-protection/pvc-protection.ts';
import { isEnded, isExclusive, isManaged, maySnatch, multiAttachMessage, wantedOn, type Known, type Wanted } from './attachable.ts';

const OURS = /^csi-[0-9a-f]{64}$/;
/** Upstream's `maxWaitForUnmountDuration`. */
const UNMOUNT_WAIT_MS = 360_000;
/** After this long without an answer of the external attacher the Pods are told. */
const ATTACH_WAIT_MS = 120_000;

export function newAttachDetachController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const nodes = informers.informer(NODES);
  const pods = informers.informer(PODS);
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  const attachments = informers.informer(VOLUME_ATTACHMENTS);
  const drivers = informers.informer(CSI_DRIVERS);
  const recorder = recorderOf(context, 'attachdetach-controller');
  pods.addIndex('attachable-node', (p) => (p.spec.nodeName && claimNames(p).length ? [p.spec.nodeName] : []));
  pods.addIndex('claim', (p) => claimNames(p).map((name) => `${namespaceOf(p)}/${name}`));
  const known: Known = { claim: (namespace, name) => claims.get(namespace, name), volume: (name) => volumes.get('', name), driver: (name) => drivers.get('', name) };
  /** Made by us, not yet seen by the informer. */
  const made = new Map<string, VolumeAttachment>();
  /** By attachment: since when it is asked for without an answer. */
  const waiting = new Map<string, number>();
  /** By attachment: since when it is not wanted any more. */
  const unwanted = new Map<string, number>();
  /** By attachment: the last reason why it could not be made. */
  const refused = new Map<string, { readonly nodeName: string; readonly message: string }>();

  const wantedBy = (nodeName: string): Map<string, Wanted> => wantedOn(nodeName, pods.byIndex('attachable-node', nodeName), known);
  const all = (): VolumeAttachment[] => [...attachments.list(), ...made.values()].filter((a) => OURS.test(nameOf(a)));
  const podsOfVolume = (volumeName: string): Pod[] => {
    const ref = volumes.get('', volumeName)?.spec.claimRef;
    return ref ? pods.byIndex('claim', `${ref.namespace}/${ref.name}`) : [];
  };
  const nodesOf = (list: readonly Pod[]): string[] => list.flatMap((p) => (p.spec.nodeName ? [p.spec.nodeName] : []));
  const nodesOfVolume = (volumeName: string): string[] => nodesOf(podsOfVolume(volumeName));

  function tell(list: readonly Pod[], type: 'Normal' | 'Warning', reason: string, message: string): void {
    for (const pod of list) recorder.event(pod, type, reason, message);
  }
  /** What the external attacher answered is told once, when it comes. */
  function answered(before: VolumeAttachment | undefined, now: VolumeAttachment): void {
    const volume = now.spec.source.persistentVolumeName ?? '';
    const list = wantedBy(now.spec.nodeName).get(nameOf(now))?.pods ?? [];
    if (now.status?.attached && !before?.status?.attached) return tell(list, 'Normal', 'SuccessfulAttachVolume', `AttachVolume.Attach succeeded for volume "${volume}" `);
    const error = now.status?.attachError;
    if (error && error.time !== before?.status?.attachError?.time) tell(list, 'Warning', 'FailedAttachVolume', `AttachVolume.Attach failed for volume "${volume}" : ${error.message ?? ''}`);
  }

  async function attach(nodeName: string, wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { volume, attachmentName } = wanted;
    if (isExclusive(volume) && all().some((a) => a.spec.source.persistentVolumeName === nameOf(volume) && a.spec.nodeName !== nodeName)) {
      const others = podsOfVolume(nameOf(volume)).filter((p) => p.spec.nodeName !== nodeName && p.spec.nodeName && !isEnded(p));
      for (const pod of wanted.pods) {
        const message = multiAttachMessage(nameOf(volume), pod, others);
        if (refused.get(attachmentName)?.message !== message) recorder.event(pod, 'Warning', 'FailedAttachVolume', message);
        refused.set(attachmentName, { nodeName, message });
      }
      return;
    }
    refused.delete(attachmentName);
    const attachment: VolumeAttachment = {
      apiVersion: 'storage.k8s.io/v1', kind: 'VolumeAttachment', metadata: { name: attachmentName },
      spec: { attacher: volume.spec.csi!.driver, nodeName, source: { persistentVolumeName: nameOf(volume) } },
    };
    made.set(attachmentName, attachment);
    try {
      await client.of(VOLUME_ATTACHMENTS).create(attachment, { signal });
    } catch (err) {
      made.delete(attachmentName);
      if (isReason(err, 'AlreadyExists')) return;
      tell(wanted.pods, 'Warning', 'FailedAttachVolume', `AttachVolume.Attach failed for volume "${nameOf(volume)}" : ${(err as Error).message}`);
      throw err;
    }
  }
  /** Milliseconds until the attacher's silence is worth a word; undefined where it has answered. */
  function silence({ attachmentName, volume, pods: list }: Wanted, attachment: VolumeAttachment | undefined): number | undefined {
    if (attachment?.status?.attached || attachment?.status?.attachError) {
      waiting.delete(attachmentName);
      return undefined;
    }
    const now = clock.monotonic();
    const since = waiting.get(attachmentName) ?? now;
    if (now - since < ATTACH_WAIT_MS) {
      waiting.set(attachmentName, since);
      return since + ATTACH_WAIT_MS - now;
    }
    waiting.set(attachmentName, now);
    const { driver, volumeHandle } = volume.spec.csi!;
    tell(list, 'Warning', 'FailedAttachVolume', `AttachVolume.Attach failed for volume "${nameOf(volume)}" : timed out waiting for external-attacher of ${driver} CSI driver to attach volume ${volumeHandle}`);
    return ATTACH_WAIT_MS;
  }
  const uniqueNameOf = (attachment: VolumeAttachment): string | undefined => {
    const csi = volumes.get('', attachment.spec.source.persistentVolumeName ?? '')?.spec.csi;
    return csi && csiUniqueName(csi.driver, csi.volumeHandle);
  };
  /** Milliseconds until what nobody wants may be detached; 0: now. */
  function unmountWait(attachment: VolumeAttachment, node: Node | undefined): number {
    const inUse = !node || node.status?.volumesInUse?.some((name) => name === uniqueNameOf(attachment));
    const snatch = maySnatch(node);
    if (!inUse || snatch === 'now') return 0;
    const since = unwanted.get(nameOf(attachment)) ?? clock.monotonic();
    unwanted.set(nameOf(attachment), since);
    return snatch === 'no' ? Infinity : Math.max(0, since + UNMOUNT_WAIT_MS - clock.monotonic());
  }
  async function report(node: Node, names: readonly string[], signal: AbortSignal): Promise<void> {
    const volumesAttached: AttachedVolume[] = names.toSorted().map((name) => ({ name, devicePath: '' }));
    if (JSON.stringify(volumesAttached) === JSON.stringify(node.status?.volumesAttached ?? [])) return;
    await client.of(NODES).patch('', nameOf(node), 'application/strategic-merge-patch+json', { status: { volumesAttached } }, { subresource: 'status', signal });
  }

  return newController({
    name: 'attachdetach-controller',
    context,
    // One at a time: two nodes must not both find that nobody has a volume.
    workers: 1,
    baseDelayMs: 100,
    maxDelayMs: 60_000,
    sources: (queue) => {
      const add = (names: Iterable<string>) => { for (const name of names) queue.add(name); };
      const attachmentKeys = (a: VolumeAttachment): string[] => [a.spec.nodeName, ...nodesOfVolume(a.spec.source.persistentVolumeName ?? '')];
      const status = ({ metadata, status: s, spec }: Node): string => JSON.stringify([metadata.annotations, spec.taints, s?.volumesInUse, s?.volumesAttached, maySnatch({ metadata, status: s, spec })]);
      return [
        sourceWith(context, NODES, { onAdd: (n) => queue.add(nameOf(n)), onUpdate: (old, n) => status(old) !== status(n) && queue.add(nameOf(n)), onDelete: (n) => queue.add(nameOf(n)) }),
        source(context, queue, PODS, (p) => (claimNames(p).length ? nodesOf([p]) : [])),
        source(context, queue, PERSISTENT_VOLUME_CLAIMS, (c) => nodesOf(pods.byIndex('claim', keyOf(c)))),
        source(context, queue, PERSISTENT_VOLUMES, (v) => (v.spec.csi ? nodesOfVolume(nameOf(v)) : [])),
        source(context, queue, CSI_DRIVERS, () => nodes.list().map(nameOf)),
        sourceWith(context, VOLUME_ATTACHMENTS, {
          onAdd(a) {
            if (made.delete(nameOf(a))) answered(undefined, a);
            add(attachmentKeys(a));
          },
          onUpdate(old, a) {
            answered(old, a);
            add(attachmentKeys(a));
          },
          onDelete(a) {
            for (const map of [made, waiting, unwanted]) map.delete(nameOf(a));
            add(attachmentKeys(a));
          },
        }),
      ];
    },
    async reconcile(nodeName, signal) {
      const node = nodes.get('', nodeName);
      const wanted = node && isManaged(node) ? wantedBy(nodeName) : new Map<string, Wanted>();
      const waits: number[] = [];
      const attached: string[] = [];
      const gone: VolumeAttachment[] = [];
      const has = new Map(all().filter((a) => a.spec.nodeName === nodeName).map((a) => [nameOf(a), a]));
      for (const [name, attachment] of has) {
        if (wanted.has(name)) unwanted.delete(name);
        const wait = wanted.has(name) ? Infinity : unmountWait(attachment, node);
        if (wait === 0 && !attachment.metadata.deletionTimestamp) gone.push(attachment);
        if (wait > 0 && Number.isFinite(wait)) waits.push(wait);
        const uniqueName = uniqueNameOf(attachment);
        if (wait > 0 && attachment.status?.attached && !attachment.metadata.deletionTimestamp && uniqueName !== undefined) attached.push(uniqueName);
      }
      for (const [name, want] of wanted) {
        if (!has.has(name)) await attach(nodeName, want, signal);
        const wait = refused.has(name) ? undefined : silence(want, has.get(name));
        if (wait !== undefined) waits.push(wait);
      }
      for (const [name, at] of refused) if (at.nodeName === nodeName && !wanted.has(name)) refused.delete(name);
      // Off the list before it is off the node: the kubelet must not mount what is about to go.
      if (node) await report(node, attached, signal);
      for (const attachment of gone) {
        await client.of(VOLUME_ATTACHMENTS).delete('', nameOf(attachment), {}, signal).catch((err: unknown) => {
          if (!isReason(err, 'NotFound')) throw err;
        });
      }
      return waits.length ? { afterMs: Math.min(...waits) } : undefined;
    },
  });
}
