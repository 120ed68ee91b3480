/**
 * Acting as somebody else: the `Impersonate-…` headers, each of which the caller must be allowed to use.
 * Source: the Kubernetes page "User Impersonation".
 */
import { badRequest } from '#machinery/status-error.ts';
import { forbiddenError } from '../authorization/forbidden.ts';
import type { AuthenticationRequest, AuthorizationAttributes, AuthorizationResult, Authorizer, Impersonator, MaybePromise, UserInfo } from '../interfaces.ts';
import { extraOf } from './request-header.ts';
import { ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, ANONYMOUS, serviceAccountGroups, splitServiceAccountUserName } from './users.ts';

const USER = 'impersonate-user';
const GROUP = 'impersonate-group';
const UID = 'impersonate-uid';
const EXTRA_PREFIX = 'impersonate-extra-';

/** One thing that the caller wants to be. */
interface Wish {
  readonly resource: 'users' | 'serviceaccounts' | 'groups' | 'uids' | 'userextras';
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name: string;
}

function wishesOf(user: string, groups: readonly string[], uid: string, extra: Readonly<Record<string, readonly string[]>>): Wish[] {
  const account = splitServiceAccountUserName(user);
  return [
    account ? { resource: 'serviceaccounts', ...account } : { resource: 'users', name: user },
    ...groups.map((name): Wish => ({ resource: 'groups', name })),
    ...Object.entries(extra).flatMap(([key, values]) => values.map((name): Wish => ({ resource: 'userextras', subresource: key, name }))),
    ...(uid === '' ? [] : [{ resource: 'uids', name: uid } as const]),
  ];
}
function attributesOf(wish: Wish, user: UserInfo): AuthorizationAttributes {
  const authentication = wish.resource === 'uids' || wish.resource === 'userextras';
  return {
    isResourceRequest: true,
    verb: 'impersonate',
    path: '',
    apiGroup: authentication ? 'authentication.k8s.io' : '',
    apiVersion: authentication ? 'v1' : '',
    namespace: wish.namespace ?? '',
    resource: wish.resource,
    subresource: wish.subresource ?? '',
    name: wish.name,
    user,
  };
}
/** Groups as given, or those that follow from the name; with `system:authenticated` or `system:unauthenticated`. */
function groupsOf(user: string, asked: readonly string[]): string[] {
  const account = asked.length ? undefined : splitServiceAccountUserName(user);
  const groups = account ? serviceAccountGroups(account.namespace) : [...asked];
  if (user === ANONYMOUS) {
    if (!groups.includes(ALL_UNAUTHENTICATED)) groups.push(ALL_UNAUTHENTICATED);
  } else if (!groups.includes(ALL_AUTHENTICATED) && !groups.includes(ALL_UNAUTHENTICATED)) {
    groups.push(ALL_AUTHENTICATED);
  }
  return groups;
}

export class HeaderImpersonator implements Impersonator {
  readonly #authorizer: Authorizer;
  constructor(authorizer: Authorizer) {
    this.#authorizer = authorizer;
  }
  impersonate(request: AuthenticationRequest, user: UserInfo, signal: AbortSignal): MaybePromise<UserInfo> {
    const name = request.header(USER) ?? '';
    const groups = request.headerValues(GROUP);
    const uid = request.header(UID) ?? '';
    const extra = request.headerNames().some((h) => h.startsWith(EXTRA_PREFIX)) ? extraOf(request, [EXTRA_PREFIX]) : {};
    const others = groups.length > 0 || uid !== '' || Object.keys(extra).length > 0;
    if (name === '') {
      if (others) throw badRequest(`requested ${JSON.stringify(wishesOf('', groups, uid, extra).slice(1).map((w) => w.name))} without impersonating a user`);
      return user;
    }
    return this.#allowed(wishesOf(name, groups, uid, extra), user, signal).then(() => ({ name, groups: groupsOf(name, groups), extra, ...(uid === '' ? {} : { uid }) }));
  }
  async #allowed(wishes: readonly Wish[], user: UserInfo, signal: AbortSignal): Promise<void> {
    for (const wish of wishes) {
      const attributes = attributesOf(wish, user);
      const answer: AuthorizationResult = await this.#authorizer.authorize(attributes, signal);
      if (answer.decision !== 'allow') throw forbiddenError(attributes, answer.reason);
    }
  }
}
