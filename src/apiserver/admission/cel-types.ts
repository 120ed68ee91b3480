/** Types of what expressions of admission see besides the objects. Source: upstream's `BuildRequestType` and `BuildNamespaceType`. */
import { BOOL, DYN, INT, listOf, mapOf, objectType, STRING, TIMESTAMP, type CelType } from '#cel/types.ts';

const gvk = objectType('kubernetes.GroupVersionKind', { group: STRING, version: STRING, kind: STRING });
const gvr = objectType('kubernetes.GroupVersionResource', { group: STRING, version: STRING, resource: STRING });
export const USER_INFO_TYPE = objectType('kubernetes.UserInfo', { username: STRING, uid: STRING, groups: listOf(STRING), extra: mapOf(STRING, listOf(STRING)) });
export const ADMISSION_REQUEST_TYPE: CelType = objectType('kubernetes.AdmissionRequest', {
  kind: gvk, resource: gvr, subResource: STRING, requestKind: gvk, requestResource: gvr, requestSubResource: STRING, name: STRING, namespace: STRING, operation: STRING, userInfo: USER_INFO_TYPE, dryRun: BOOL, options: DYN,
});

const metadata: CelType = {
  kind: 'object', name: 'kubernetes.NamespaceMetadata',
  fields: new Map(Object.entries({
    name: STRING, generateName: STRING, namespace: STRING, labels: mapOf(STRING, STRING), annotations: mapOf(STRING, STRING), UID: STRING, creationTimestamp: TIMESTAMP, deletionGracePeriodSeconds: INT,
    deletionTimestamp: TIMESTAMP, generation: INT, resourceVersion: STRING, finalizers: listOf(STRING),
  }).map(([name, type]) => [name, { jsonName: name === 'UID' ? 'uid' : name, type }])),
};
export const NAMESPACE_TYPE: CelType = objectType('kubernetes.Namespace', {
  metadata, spec: objectType('kubernetes.NamespaceSpec', { finalizers: listOf(STRING) }), status: objectType('kubernetes.NamespaceStatus', { phase: STRING }),
});
