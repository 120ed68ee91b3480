/** A Pod's resolver configuration. Source: API reference PodSpec.dnsPolicy and dnsConfig; concepts/services-networking/dns-pod-service. */
import { readFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import type { KubeletConfig } from '../config.ts';

export interface ResolverConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}
const MAX_SERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARS = 2048;

/** Parses resolv.conf; the last `search` line counts. */
export function parseResolvConf(text: string): ResolverConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[0] === 'nameserver' && fields[1]) servers.push(fields[1]);
    if (fields[0] === 'search' || fields[0] === 'domain') searches = fields.slice(1).map((s) => (s === '.' ? s : s.replace(/\.$/, '')));
    if (fields[0] === 'options') options = fields.slice(1);
  }
  return { servers, searches, options };
}

/** What goes into the Pod's resolv.conf. `warn` is told when limits of the resolver cut something off. */
export async function podResolver(pod: Pod, config: KubeletConfig, warn: (message: string, reason?: 'DNSConfigForming' | 'MissingClusterDNS') => void): Promise<ResolverConfig> {
  const { dnsPolicy = 'ClusterFirst', hostNetwork, dnsConfig } = pod.spec;
  const cluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  let base: ResolverConfig = { servers: [], searches: [], options: [] };
  if (cluster && config.clusterDNS.length) {
    const d = config.clusterDomain;
    const host = await hostResolver(config);
    base = { servers: config.clusterDNS, searches: [...new Set([`${pod.metadata.namespace}.svc.${d}`, `svc.${d}`, d, ...host.searches])], options: ['ndots:5'] };
  } else if (dnsPolicy !== 'None') {
    if (cluster) warn(`kubelet does not have ClusterDNS IP configured and cannot create Pod using "${dnsPolicy}" policy. Falling back to "Default" policy.`, 'MissingClusterDNS');
    base = await hostResolver(config);
  }
  return withinLimits(withDnsConfig(base, dnsConfig), warn);
}
async function hostResolver(config: KubeletConfig): Promise<ResolverConfig> {
  try {
    return parseResolvConf(await readFile(config.resolvConf, 'utf8'));
  } catch {
    return { servers: [], searches: [], options: [] }; // a host without a resolver gives its Pods none
  }
}
function withDnsConfig(base: ResolverConfig, extra: Pod['spec']['dnsConfig']): ResolverConfig {
  if (!extra) return base;
  const options = new Map(base.options.map((o) => [o.split(':')[0]!, o]));
  for (const { name, value } of extra.options ?? []) options.set(name ?? '', value === undefined || value === '' ? (name ?? '') : `${name}:${value}`);
  return {
    servers: [...new Set([...base.servers, ...(extra.nameservers ?? [])])],
    searches: [...new Set([...base.searches, ...(extra.searches ?? [])])],
    options: [...options.values()],
  };
}
function withinLimits(resolver: ResolverConfig, warn: (message: string) => void): ResolverConfig {
  const servers = resolver.servers.slice(0, MAX_SERVERS);
  if (servers.length < resolver.servers.length) warn(`Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(' ')}`);
  let searches = resolver.searches.slice(0, MAX_SEARCHES);
  while (searches.join(' ').length > MAX_SEARCH_CHARS) searches = searches.slice(0, -1);
  if (searches.length < resolver.searches.length) warn(`Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(' ')}`);
  return { servers, searches, options: resolver.options };
}

const MAX_HOSTNAME = 64;
/** Throws where `setHostnameAsFQDN` asks for a name that the kernel cannot hold. */
export function checkHostname(pod: Pod, clusterDomain: string): void {
  const { hostname, domain } = podHostname(pod, clusterDomain);
  if (!pod.spec.setHostnameAsFQDN || !domain) return;
  const fqdn = `${hostname}.${domain}`;
  if (fqdn.length > MAX_HOSTNAME) throw new Error(`failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long (${MAX_HOSTNAME} characters is the max, ${fqdn.length} characters requested)`);
}
/** Host name and domain of a Pod: `web` and `web.sub.ns.svc.cluster.local` when it has a subdomain. */
export function podHostname(pod: Pod, clusterDomain: string): { hostname: string; domain: string } {
  const { hostname, subdomain, hostnameOverride } = pod.spec;
  if (hostnameOverride) return { hostname: hostnameOverride, domain: '' };
  const name = hostname || (pod.metadata.name ?? '').slice(0, 63).replace(/[-.]+$/, '');
  return { hostname: name, domain: subdomain ? `${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}` : '' };
}
