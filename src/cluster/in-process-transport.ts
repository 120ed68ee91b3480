/** The transport between the components of one process and its API server: no sockets, no text, the server's own objects. */
import type { ApiServer } from '#apiserver/server.ts';
import type { UserInfo } from '#apiserver/interfaces.ts';
import type { ApiCall, Transport, WatchEvent } from '#client/transport.ts';

/** Calls act as `user`, which is authorised as any other; `userAgent` names the component. */
export function inProcessTransport(server: ApiServer, user: UserInfo, userAgent: string): Transport {
  const caller = { user, userAgent };
  return {
    call: (call: ApiCall, signal?: AbortSignal) => server.call(call, caller, signal),
    watch: (call: ApiCall, signal: AbortSignal) => server.watch(call, caller, signal) as AsyncIterable<readonly WatchEvent[]>,
  };
}

/** A user of the control plane, as its client certificate would name it. */
export function componentUser(name: string, ...groups: string[]): UserInfo {
  return { name, groups: [...groups, 'system:authenticated'] };
}
/** A service account, as its token would name it. */
export function serviceAccountUser(namespace: string, name: string): UserInfo {
  return componentUser(`system:serviceaccount:${namespace}:${name}`, 'system:serviceaccounts', `system:serviceaccounts:${namespace}`);
}
