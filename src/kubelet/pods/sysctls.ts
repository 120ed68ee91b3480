/** Sysctls that Pods may set. Source: tasks/administer-cluster/sysctl-cluster. */
import type { Pod } from '#api/gen/core-v1.ts';
import { goQuote } from '#machinery/go-text.ts';

/** Namespaced, and harmless to others on the node. */
const SAFE = new Set([
  'kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem',
]);
const IPC = new Set(['kernel.sem']);
const IPC_PREFIXES = ['kernel.shm', 'kernel.msg', 'fs.mqueue.'];

function namespaceOf(name: string): 'ipc' | 'net' | undefined {
  if (IPC.has(name) || IPC_PREFIXES.some((p) => name.startsWith(p))) return 'ipc';
  return name.startsWith('net.') ? 'net' : undefined;
}

/** Why the Pod's sysctls are refused, in upstream's words; undefined when they are allowed. */
export function forbiddenSysctl(pod: Pod, allowedUnsafe: readonly string[]): string | undefined {
  for (const { name: given } of pod.spec.securityContext?.sysctls ?? []) {
    // Slashes separate as dots do, dots then belong to names: `net/ipv4/conf/eth0.1/forwarding`.
    const name = /^[^.]*\//.test(given) ? given.replace(/[./]/g, (c) => (c === '/' ? '.' : '/')) : given;
    const namespace = namespaceOf(name);
    const listed = SAFE.has(name) || (namespace !== undefined && allowedUnsafe.some((a) => (a.endsWith('*') ? name.startsWith(a.slice(0, -1)) : a === name)));
    if (!listed) return `forbidden sysctl: ${goQuote(given)} not allowlisted`;
    if (namespace === 'ipc' && pod.spec.hostIPC) return `forbidden sysctl: ${goQuote(given)} not allowed with host ipc enabled`;
    if (namespace === 'net' && pod.spec.hostNetwork) return `forbidden sysctl: ${goQuote(given)} not allowed with host net enabled`;
  }
  return undefined;
}
