/**
 * How an update's metadata is looked at: by the registry as that of an object and as a change, and then once more by most kinds' own
 * validation. Who repeats what shows in the causes of a refusal.
 */
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { FieldError } from '#machinery/field-errors.ts';
import { nameIsPathSegment } from '#machinery/names.ts';
import { validateObjectMeta, validateObjectMetaUpdate } from '#machinery/object-meta.ts';
import { validateFinalizerNames } from './object-meta.ts';
import type { Strategy } from './strategy.ts';

type Look = 'whole' | 'change';
const WHOLE: readonly Look[] = ['whole'];
const WHOLE_THEN_CHANGE: readonly Look[] = ['whole', 'change'];
const CHANGE_THEN_WHOLE: readonly Look[] = ['change', 'whole'];
const kindsAs = (looks: readonly Look[], kinds: string) => kinds.split(' ').map((kind) => [kind, looks] as const);
/** By kind; a kind that is not here looks at the change. */
const LOOKS: ReadonlyMap<string, readonly Look[]> = new Map([
  ...kindsAs([], 'PodDisruptionBudget'),
  ...kindsAs(CHANGE_THEN_WHOLE, 'ConfigMap Endpoints PersistentVolumeClaim Pod Secret ServiceAccount ControllerRevision IngressClass Ingress VolumeAttributesClass'),
  ...kindsAs(WHOLE, 'LimitRange CSINode VolumeAttachment MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy'),
  ...kindsAs(WHOLE, 'ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration EndpointSlice FlowSchema PriorityLevelConfiguration'),
  ...kindsAs(WHOLE_THEN_CHANGE, 'Node Job IPAddress CSIStorageCapacity StorageClass RuntimeClass ResourceClaim ResourceClaimTemplate CertificateSigningRequest DeviceClass'),
  ...kindsAs(WHOLE_THEN_CHANGE, 'ClusterRoleBinding ClusterRole RoleBinding Role'),
  ...kindsAs(['whole', 'whole'], 'PersistentVolume'),
]);
function looksOf({ group, kind }: ResourceInfo): readonly Look[] {
  return (group === '' && kind === 'Event' ? [] : LOOKS.get(kind)) ?? ['change'];
}

/** Of the main resource; a subresource looks at the change only. */
export function validateUpdatedMetadata(next: KubeObject, old: KubeObject, info: ResourceInfo, strategy: Strategy, main: boolean): FieldError[] {
  const common = validateObjectMeta(next.metadata, info.namespaced, nameIsPathSegment);
  const own = (main ? looksOf(info) : ['change' as const]).flatMap((look) =>
    look === 'whole' ? validateObjectMeta(next.metadata, info.namespaced, strategy.validateName) : validateObjectMetaUpdate(next.metadata, old.metadata));
  return [...common, ...validateObjectMetaUpdate(next.metadata, old.metadata), ...own, ...validateFinalizerNames(next, info)];
}
