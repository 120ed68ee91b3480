/** How a refusal reads: the sentence every Kubernetes user knows. */
import { forbidden, StatusError } from '#machinery/status-error.ts';
import type { AuthorizationAttributes } from '../interfaces.ts';

/** Nothing in an error shall look like HTML. */
function harmless(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
/** `User "x" cannot list resource "pods" in API group "" in the namespace "default"`. */
export function forbiddenMessage(a: AuthorizationAttributes): string {
  const user = JSON.stringify(a.user.name);
  if (!a.isResourceRequest) return `User ${user} cannot ${a.verb} path ${JSON.stringify(a.path)}`;
  const resource = JSON.stringify(a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`);
  const where = a.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(a.namespace)}`;
  return `User ${user} cannot ${a.verb} resource ${resource} in API group ${JSON.stringify(a.apiGroup)} ${where}`;
}
/** The 403 for a request that no authorizer allows; `reason` is the authorizer's own, '' for none. */
export function forbiddenError(a: AuthorizationAttributes, reason: string): StatusError {
  const message = harmless(forbiddenMessage(a));
  const why = reason === '' ? message : `${message}: ${reason}`;
  if (a.isResourceRequest) return forbidden({ group: a.apiGroup, resource: a.resource }, a.name, why);
  // A path is of no kind.
  return new StatusError({ ...forbidden({ group: '', resource: '' }, '', why).status, details: {} });
}
