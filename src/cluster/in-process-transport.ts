/** The transport between the components of one process and its API server: no sockets, no text, the server's own objects. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ApiServer } from '#apiserver/server.ts';
import type { UserInfo } from '#apiserver/interfaces.ts';
import type { ApiCall, Transport, WatchEvent } from '#client/transport.ts';

/** Calls of one transport that may be answered in one turn of the event loop. */
const CALLS_A_TURN = 100;

/** Calls act as `user`, which is authorised as any other; `userAgent` names the component. */
export function inProcessTransport(server: Pick<ApiServer, 'call' | 'watch'>, user: UserInfo, userAgent: string): Transport {
  const caller = { user, userAgent };
  let calls = 0;
  return {
    async call(call: ApiCall, signal?: AbortSignal) {
      // A store in memory answers at once: who asks again and again would keep timers and connections of the whole process waiting.
      if (calls++ === 0) setImmediate(() => (calls = 0));
      if (calls > CALLS_A_TURN) await nextTurn();
      return await server.call(call, caller, signal);
    },
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
