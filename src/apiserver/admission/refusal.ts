/** How admission plugins refuse: upstream's `admission.NewForbidden`, which knows names that are still to be generated. */
import type { KubeObject } from '#api/object.ts';
import { forbidden, isReason, type GroupResource, type StatusError } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionOperation } from '../interfaces.ts';

export function groupResourceOf(a: AdmissionAttributes): GroupResource {
  return { group: a.resource.group, resource: a.resource.plural };
}
/** The object's name, or what it will start with. */
export function nameForMessage(a: AdmissionAttributes): string {
  const metadata = (a.object as Partial<KubeObject> | undefined)?.metadata;
  return a.name || metadata?.name || metadata?.generateName || 'Unknown';
}
/** `pods "x" is forbidden: why`. A refusal that is one already stays as it is. */
export function refusal(a: AdmissionAttributes, why: string | StatusError): StatusError {
  if (typeof why !== 'string') return isReason(why, 'Forbidden') ? why : forbidden(groupResourceOf(a), nameForMessage(a), why.message);
  return forbidden(groupResourceOf(a), nameForMessage(a), why);
}
/** Whether the request is about this resource of a group, main object unless a subresource is given. */
export function isAbout(a: AdmissionAttributes, group: string, plural: string, subresource = ''): boolean {
  return a.resource.plural === plural && a.resource.group === group && a.subresource === subresource;
}
export function oneOf(...operations: AdmissionOperation[]): (operation: AdmissionOperation) => boolean {
  return (operation) => operations.includes(operation);
}
/** Go's `%q`. */
export const quote = (text: string): string => JSON.stringify(text);
