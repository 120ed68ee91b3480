/** The AdmissionRequest of a request: what webhooks are sent and what expressions see as `request`. Source: the API reference, admission.k8s.io/v1. */
import type { AdmissionAttributes } from '../interfaces.ts';

export interface AdmissionRequestBody extends Readonly<Record<string, unknown>> {
  readonly uid: string;
}
const OPTIONS_KIND = { CREATE: 'CreateOptions', UPDATE: 'UpdateOptions', DELETE: 'DeleteOptions' } as const;
/** The options with their kind, as webhooks get them; connects have none. */
function optionsOf(a: AdmissionAttributes): unknown {
  if (a.operation === 'CONNECT') return null;
  return { kind: OPTIONS_KIND[a.operation], apiVersion: 'meta.k8s.io/v1', ...a.options };
}
/** `withObjects`: false leaves `object` and `oldObject` out, which expressions have under names of their own. */
export function admissionRequestOf(a: AdmissionAttributes, uid: string, withObjects: boolean): AdmissionRequestBody {
  const { group, version, plural } = a.resource;
  const resource = { group, version, resource: plural };
  const kind = { group: a.kind.group, version: a.kind.version, kind: a.kind.kind };
  const sub = a.subresource === '' ? {} : { subResource: a.subresource };
  const requestSub = a.subresource === '' ? {} : { requestSubResource: a.subresource };
  return {
    uid, kind, resource, ...sub, requestKind: kind, requestResource: resource, ...requestSub,
    ...(a.name === '' ? {} : { name: a.name }),
    ...(a.namespace === '' ? {} : { namespace: a.namespace }),
    operation: a.operation,
    userInfo: { username: a.user.name, ...(a.user.uid ? { uid: a.user.uid } : {}), groups: a.user.groups, ...(a.user.extra ? { extra: a.user.extra } : {}) },
    ...(withObjects ? { object: a.object ?? null, oldObject: a.oldObject ?? null } : {}),
    dryRun: a.dryRun,
    options: optionsOf(a),
  };
}
