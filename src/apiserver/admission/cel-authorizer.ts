/** What `authorizer` in expressions asks of the API server's authorizer. */
import type { AccessAnswer, AccessChecker, AccessQuestion } from '#cel/library/authorizer.ts';
import { isPromise } from '../maybe-promise.ts';
import type { AdmissionAttributes, AuthorizationAttributes, AuthorizationResult, Authorizer, UserInfo } from '../interfaces.ts';

function serviceAccountUser({ namespace, name }: NonNullable<AccessQuestion['serviceAccount']>): UserInfo {
  return { name: `system:serviceaccount:${namespace}:${name}`, groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'] };
}
function attributesOf(q: AccessQuestion, user: UserInfo): AuthorizationAttributes {
  const selectors = { ...(q.labelSelector === undefined ? {} : { labelSelector: q.labelSelector }), ...(q.fieldSelector === undefined ? {} : { fieldSelector: q.fieldSelector }) };
  const who = q.serviceAccount ? serviceAccountUser(q.serviceAccount) : user;
  if (q.path !== undefined) return { isResourceRequest: false, verb: q.verb, path: q.path, apiGroup: '', apiVersion: '', namespace: '', resource: '', subresource: '', name: '', user: who };
  return {
    isResourceRequest: true, verb: q.verb, path: '', apiGroup: q.group ?? '', apiVersion: '*', namespace: q.namespace ?? '', resource: q.resource ?? '', subresource: q.subresource ?? '', name: q.name ?? '', user: who, ...selectors,
  };
}
function answerOf(result: AuthorizationResult): AccessAnswer {
  return { allowed: result.decision === 'allow', reason: result.reason, ...(result.error === undefined ? {} : { error: result.error }) };
}
export function accessChecker(authorizer: Authorizer, user: AdmissionAttributes['user'], signal: AbortSignal): AccessChecker {
  return {
    check(question) {
      const result = authorizer.authorize(attributesOf(question, user), signal);
      return isPromise(result) ? result.then(answerOf) : answerOf(result);
    },
  };
}
interface Request {
  readonly resource?: { readonly group?: string; readonly resource?: string };
  readonly subResource?: string;
  readonly namespace?: string;
  readonly name?: string;
}
/** `authorizer.requestResource`: a check of the very resource that the request is about. */
export function requestResourceOf(request: unknown): Omit<AccessQuestion, 'verb'> {
  const { resource, subResource, namespace, name } = (request ?? {}) as Request;
  return { group: resource?.group ?? '', resource: resource?.resource ?? '', ...(subResource ? { subresource: subResource } : {}), ...(namespace ? { namespace } : {}), ...(name ? { name } : {}) };
}
