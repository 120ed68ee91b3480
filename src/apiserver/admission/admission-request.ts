/** The AdmissionRequest of a request: what webhooks are sent and what expressions see as `request`. Source: the API reference, admission.k8s.io/v1. */
import { printedObject } from '#machinery/object-text.ts';
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
/** `withObjects`: false leaves `object` and `oldObject` out, which expressions have under names of their own. `original`: the request in its own version. */
export function admissionRequestOf(a: AdmissionAttributes, uid: string, withObjects: boolean, original = a): AdmissionRequestBody {
  const resourceOf = ({ resource: { group, version, plural } }: AdmissionAttributes) => ({ group, version, resource: plural });
  const kindOf = ({ kind: { group, version, kind } }: AdmissionAttributes) => ({ group, version, kind });
  const sub = a.subresource === '' ? {} : { subResource: a.subresource };
  const requestSub = a.subresource === '' ? {} : { requestSubResource: a.subresource };
  return {
    uid, kind: kindOf(a), resource: resourceOf(a), ...sub, requestKind: kindOf(original), requestResource: resourceOf(original), ...requestSub,
    ...(a.name === '' ? {} : { name: a.name }),
    ...(a.namespace === '' ? {} : { namespace: a.namespace }),
    operation: a.operation,
    userInfo: { username: a.user.name, ...(a.user.uid ? { uid: a.user.uid } : {}), groups: a.user.groups, ...(a.user.extra ? { extra: a.user.extra } : {}) },
    ...(withObjects ? { object: a.object ? printedObject(a.object) : null, oldObject: a.oldObject ? printedObject(a.oldObject) : null } : {}),
    dryRun: a.dryRun,
    options: optionsOf(a),
  };
}
