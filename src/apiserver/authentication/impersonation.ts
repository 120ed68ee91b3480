/**
 * Acting as somebody else: the `Impersonate-…` headers, each of which the caller must be allowed to use.
 *
 * Constrained impersonation (KEP-5284) comes first: the verb `impersonate:<mode>` for the identity, and `impersonate-on:<mode>:<verb>` for the
 * request at hand. The plain verb `impersonate`, which allows every request, comes last. When nothing allows it, the first refusal is told.
 * Source: the Kubernetes page "User Impersonation".
 */
import { goQuote } from '#machinery/go-text.ts';
import { badRequest, isReason, type StatusError } from '#machinery/status-error.ts';
import { forbiddenError } from '../authorization/forbidden.ts';
import type { AuthenticationRequest, AuthorizationAttributes, Authorizer, Impersonator, MaybePromise, RequestInfo, UserInfo } from '../interfaces.ts';
import { extraOf } from './request-header.ts';
import { ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, ANONYMOUS, EXTRA, NODE_USER_PREFIX, NODES_GROUP, serviceAccountGroups, splitServiceAccountUserName, SYSTEM_PRIVILEGED_GROUP } from './users.ts';

const USER = 'impersonate-user';
const GROUP = 'impersonate-group';
const UID = 'impersonate-uid';
const EXTRA_PREFIX = 'impersonate-extra-';
const AUTHENTICATION_GROUP = 'authentication.k8s.io';
const MODES = ['associated-node', 'arbitrary-node', 'serviceaccount', 'user-info'] as const;
type Mode = (typeof MODES)[number];

/** Whom the caller wants to be. */
interface Wanted {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}
/** One thing to be allowed. */
interface Wish {
  readonly resource: 'users' | 'nodes' | 'serviceaccounts' | 'groups' | 'uids' | 'userextras';
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name: string;
}

/** As Go prints its own type. */
function shownUser(uid: string, groups: readonly string[], extra: Readonly<Record<string, readonly string[]>>): string {
  const list = (values: readonly string[]): string => `[]string{${values.map(goQuote).join(', ')}}`;
  const map = Object.entries(extra).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, values]) => `${goQuote(key)}:${list(values)}`);
  return `&user.DefaultInfo{Name:"", UID:${goQuote(uid)}, Groups:${groups.length ? list(groups) : '[]string(nil)'}, Extra:map[string][]string${map.length ? `{${map.join(', ')}}` : '(nil)'}}`;
}
function wantedOf(request: AuthenticationRequest): Wanted | undefined {
  const name = request.header(USER) ?? '';
  const groups = request.headerValues(GROUP);
  const uid = request.header(UID) ?? '';
  const extra = request.headerNames().some((h) => h.startsWith(EXTRA_PREFIX)) ? extraOf(request, [EXTRA_PREFIX]) : {};
  if (name !== '') return { name, uid, groups, extra };
  if (groups.length || uid !== '' || Object.keys(extra).length) throw badRequest(`requested ${shownUser(uid, groups, extra)} without impersonating a user name`);
  return undefined;
}
function nodeNameOf(user: string): string | undefined {
  return user.startsWith(NODE_USER_PREFIX) && user.length > NODE_USER_PREFIX.length ? user.slice(NODE_USER_PREFIX.length) : undefined;
}
const onlyName = (w: Wanted): boolean => w.uid === '' && w.groups.length === 0 && Object.keys(w.extra).length === 0;

/** Whether a mode is about this wish at all. */
function applies(mode: Mode, wanted: Wanted, user: UserInfo): boolean {
  const node = nodeNameOf(wanted.name);
  const account = splitServiceAccountUserName(wanted.name);
  switch (mode) {
    case 'associated-node': {
      const own = user.extra?.[EXTRA.nodeName];
      return node !== undefined && onlyName(wanted) && splitServiceAccountUserName(user.name) !== undefined && own?.length === 1 && own[0] === node;
    }
    case 'arbitrary-node':
      return node !== undefined && onlyName(wanted);
    case 'serviceaccount':
      return account !== undefined && onlyName(wanted);
    case 'user-info':
      return node === undefined && account === undefined;
  }
}
/** Everything that must be allowed. `mode` undefined: the plain verb. */
function wishesOf(wanted: Wanted, mode: Mode | undefined): Wish[] {
  const account = splitServiceAccountUserName(wanted.name);
  const node = mode === undefined ? undefined : nodeNameOf(wanted.name);
  const who: Wish = account ? { resource: 'serviceaccounts', ...account } : node === undefined ? { resource: 'users', name: wanted.name } : { resource: 'nodes', name: mode === 'associated-node' ? '*' : node };
  return [
    who,
    ...(wanted.uid === '' ? [] : [{ resource: 'uids', name: wanted.uid } as const]),
    ...wanted.groups.map((name): Wish => ({ resource: 'groups', name })),
    ...Object.entries(wanted.extra).flatMap(([key, values]) => values.map((name): Wish => ({ resource: 'userextras', subresource: key, name }))),
  ];
}
function attributesOf(wish: Wish, mode: Mode | undefined, user: UserInfo): AuthorizationAttributes {
  // The plain verb asks for users, groups and accounts in the core group, as it always did.
  const core = mode === undefined && wish.resource !== 'uids' && wish.resource !== 'userextras';
  return {
    isResourceRequest: true, verb: mode === undefined ? 'impersonate' : `impersonate:${mode}`, path: '', apiGroup: core ? '' : AUTHENTICATION_GROUP, apiVersion: 'v1',
    namespace: wish.namespace ?? '', resource: wish.resource, subresource: wish.subresource ?? '', name: wish.name, user,
  };
}
/** What the constrained modes never allow, as the reason of the refusal. */
function taboo(wish: Wish): string | undefined {
  if (wish.resource === 'groups') {
    if (wish.name === '') return 'impersonating the empty string group is not allowed';
    if (wish.name === SYSTEM_PRIVILEGED_GROUP) return 'impersonating the system:masters group is not allowed';
  }
  if (wish.resource !== 'userextras') return undefined;
  const key = wish.subresource ?? '';
  if (key === '') return 'impersonating the empty string key in extra is not allowed';
  if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?\/.+$/.test(key)) return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${JSON.stringify(key)}: must be a domain-prefixed path (such as "acme.io/foo")`;
  return wish.name === '' ? 'impersonating the empty string value in extra is not allowed' : undefined;
}
/** The user that the caller becomes. */
function becomes(wanted: Wanted, mode: Mode | undefined): UserInfo {
  const account = splitServiceAccountUserName(wanted.name);
  const isNode = mode === 'associated-node' || mode === 'arbitrary-node';
  const groups = isNode ? [NODES_GROUP] : account && wanted.groups.length === 0 ? serviceAccountGroups(account.namespace) : [...wanted.groups];
  if (wanted.name === ANONYMOUS) {
    if (!groups.includes(ALL_UNAUTHENTICATED)) groups.push(ALL_UNAUTHENTICATED);
  } else if (!groups.includes(ALL_AUTHENTICATED) && !groups.includes(ALL_UNAUTHENTICATED)) {
    groups.push(ALL_AUTHENTICATED);
  }
  return { name: wanted.name, groups, extra: wanted.extra, ...(wanted.uid === '' ? {} : { uid: wanted.uid }) };
}

export class HeaderImpersonator implements Impersonator {
  readonly #authorizer: Authorizer;
  constructor(authorizer: Authorizer) {
    this.#authorizer = authorizer;
  }
  /** Without `info` only the plain verb can allow it. */
  impersonate(request: AuthenticationRequest, user: UserInfo, signal: AbortSignal, info?: RequestInfo): MaybePromise<UserInfo> {
    const wanted = wantedOf(request);
    return wanted ? this.#become(wanted, user, info, signal) : user;
  }
  async #become(wanted: Wanted, user: UserInfo, info: RequestInfo | undefined, signal: AbortSignal): Promise<UserInfo> {
    let first: StatusError | undefined;
    for (const mode of [...(info ? MODES.filter((m) => applies(m, wanted, user)) : []), undefined]) {
      try {
        if (mode !== undefined) await this.#constrained(wanted, mode, user, info!, signal);
        else for (const wish of wishesOf(wanted, undefined)) await this.#check(attributesOf(wish, undefined, user), signal);
        return becomes(wanted, mode);
      } catch (err) {
        if (!isReason(err, 'Forbidden')) throw err;
        first ??= err as StatusError;
      }
    }
    throw first!;
  }
  async #constrained(wanted: Wanted, mode: Mode, user: UserInfo, info: RequestInfo, signal: AbortSignal): Promise<void> {
    // Whoever acts for its own node is known by that alone: the answer must hold for every node.
    const asker = mode === 'associated-node' ? { ...user, extra: { 'authentication.kubernetes.io/associated-node-keys': Object.keys(user.extra ?? {}).toSorted() } } : user;
    await this.#check({ ...info, verb: `impersonate-on:${mode}:${info.verb}`, user: asker }, signal);
    for (const wish of wishesOf(wanted, mode)) {
      const attributes = attributesOf(wish, mode, asker);
      const never = taboo(wish);
      if (never !== undefined) throw forbiddenError(attributes, never);
      await this.#check(attributes, signal);
    }
  }
  async #check(attributes: AuthorizationAttributes, signal: AbortSignal): Promise<void> {
    const { decision, reason } = await this.#authorizer.authorize(attributes, signal);
    if (decision !== 'allow') throw forbiddenError(attributes, reason);
  }
}
