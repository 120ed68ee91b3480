/**
 * What a write to a resource or one of its subresources may change. The rest is put back from the stored object before the
 * strategy sees it: upstream does the same in the `PrepareForUpdate` of each strategy.
 */
import type { KubeObject } from '#api/object.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import type { ResourceInfo } from '#api/resources.ts';

type Fields = Record<string, unknown>;

/** Resources whose main endpoint creates an object with its status: the kubelet registers its node so. */
const STATUS_ON_CREATE: ReadonlySet<string> = new Set(['/nodes']);

export function hasStatus(info: ResourceInfo): boolean {
  return info.subresources.some((s) => s.name === 'status');
}

export function dropStatusOnCreate(draft: Draft<KubeObject>, info: ResourceInfo): void {
  if (!hasStatus(info) || STATUS_ON_CREATE.has(`${info.group}/${info.plural}`)) return;
  const fields = draft as unknown as Fields;
  if (fields['status'] !== undefined) fields['status'] = {};
}

function put(draft: Fields, old: Readonly<Fields>, field: string): void {
  if (old[field] === undefined) delete draft[field];
  else draft[field] = draftOf(old[field]);
}

/** `subresource` '' is the main resource. */
export function keepForeignFields(draft: Draft<KubeObject>, old: KubeObject, info: ResourceInfo, subresource: string): void {
  const next = draft as unknown as Fields;
  const before = old as unknown as Readonly<Fields>;
  if (subresource === '' || subresource === 'finalize') {
    if (hasStatus(info)) put(next, before, 'status');
    return;
  }
  if (subresource !== 'status' && subresource !== 'approval') {
    // ephemeralcontainers and resize: the strategy takes its part of the spec.
    put(next, before, 'status');
    return;
  }
  for (const field of new Set([...Object.keys(next), ...Object.keys(before)])) {
    if (field !== 'status' && field !== 'metadata' && field !== 'kind' && field !== 'apiVersion') put(next, before, field);
  }
  if (subresource === 'status') keepStatusMetadata(draft, old, info);
}

/** Kinds whose status endpoint leaves labels, annotations and finalizers as they are; elsewhere it writes them, as upstream's does. */
const STATUS_WITHOUT_METADATA: ReadonlySet<string> = new Set([
  'admissionregistration.k8s.io/validatingadmissionpolicies', 'apiregistration.k8s.io/apiservices', 'certificates.k8s.io/podcertificaterequests', 'flowcontrol.apiserver.k8s.io/flowschemas',
  'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations', 'networking.k8s.io/servicecidrs', 'resource.k8s.io/resourceclaims', 'storage.k8s.io/volumeattachments',
]);
const STATUS_KEEPS: Readonly<Record<string, readonly string[]>> = { '/pods': ['ownerReferences'], 'apps/deployments': ['labels'] };
/** Metadata that a write to the kind's status has no effect on, by field. */
export function statusKeeps({ group, plural }: ResourceInfo): readonly string[] {
  if (STATUS_WITHOUT_METADATA.has(`${group}/${plural}`)) return ['labels', 'annotations', 'finalizers', 'ownerReferences'];
  return STATUS_KEEPS[`${group}/${plural}`] ?? [];
}
function keepStatusMetadata(draft: Draft<KubeObject>, old: KubeObject, info: ResourceInfo): void {
  const meta = draft.metadata as unknown as Fields;
  const before = old.metadata as unknown as Readonly<Fields>;
  for (const field of statusKeeps(info)) put(meta, before, field);
}
