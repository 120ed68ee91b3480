/**
 * Forgets UDP connections to endpoints that are gone: UDP has no end that the kernel sees, so a client that keeps its port would be
 * sent to a dead address for as long as it sends. Uses the tool `conntrack`, where it is installed (`up` and `join` install it).
 */
import { execFile } from 'node:child_process';
import type { Service } from '#api/gen/core-v1.ts';
import { logger } from '#base/logger.ts';
import type { Target, Targets } from './endpoints.ts';
import { clusterIPOf, externalIPsOf } from './service-rules.ts';

const log = logger('kube-proxy');
/** Which connections: by where the client sent them, and to which endpoint they were led. */
export interface StaleFlows {
  readonly ip?: string;
  readonly port: number;
  /** Absent: those that were led nowhere. */
  readonly endpoint?: Pick<Target, 'ip' | 'port'>;
}

type PortTargets = ReadonlyMap<string, Targets>;
const endpointsOf = (targets: Targets | undefined) => new Map([...(targets?.cluster ?? []), ...(targets?.local ?? [])].map(({ ip, port }) => [`${ip}:${port}`, { ip, port }]));

/** What a change of endpoints leaves behind. `before` undefined: the Service is new to us. */
export function staleFlows(service: Service, before: PortTargets | undefined, after: PortTargets): StaleFlows[] {
  const stale: StaleFlows[] = [];
  for (const port of service.spec.ports ?? []) {
    if (port.protocol !== 'UDP') continue;
    const key = `${port.name ?? ''}/UDP`;
    const old = endpointsOf(before?.get(key));
    const now = endpointsOf(after.get(key));
    const gone = [...old].filter(([key]) => !now.has(key)).map(([, endpoint]) => endpoint);
    const wasEmpty = before !== undefined && old.size === 0 && now.size > 0;
    const at = [...[clusterIPOf(service), ...externalIPsOf(service)].filter((ip) => ip !== undefined).map((ip) => ({ ip, port: port.port })), ...(port.nodePort ? [{ port: port.nodePort }] : [])];
    for (const where of at) {
      for (const endpoint of gone) stale.push({ ...where, endpoint });
      if (wasEmpty) stale.push(where);
    }
  }
  return stale;
}

let missing = false;
/** `netns`: path of a network namespace whose connections are meant. Default: the process's own. */
export async function deleteFlows(flows: readonly StaleFlows[], { netns, signal }: { readonly netns?: string | undefined; readonly signal: AbortSignal }): Promise<void> {
  for (const { ip, port, endpoint } of missing ? [] : flows) {
    const led = endpoint ? ['--dst-nat', endpoint.ip, '--reply-port-src', String(endpoint.port)] : [];
    const command = [...(netns ? ['nsenter', `--net=${netns}`] : []), 'conntrack', '-D', '-f', 'ipv4', '-p', 'udp', '--dport', String(port), ...(ip ? ['--orig-dst', ip] : []), ...led];
    const failure = await run(command, signal);
    if (failure === undefined || signal.aborted) continue;
    if (failure.code === 'ENOENT') {
      missing = true;
      return void log.warn('The tool "conntrack" is not installed: UDP clients of a Service may keep sending to endpoints that are gone');
    }
    // It fails also when there was nothing to delete.
    if (!/ 0 flow entries/.test(failure.text)) log.warn({ command, text: failure.text.slice(0, 500) }, 'UDP connections not forgotten');
  }
}
function run([program, ...args]: readonly string[], signal: AbortSignal): Promise<{ code: unknown; text: string } | undefined> {
  return new Promise((resolve) => execFile(program!, args, { signal, timeout: 10_000 }, (err, stdout, stderr) => resolve(err ? { code: err.code, text: `${err.message} ${stdout} ${stderr}` } : undefined)));
}
