/** The /etc/hosts that the kubelet manages for a Pod's containers. */
import { readFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { isHostNetwork } from '../pods/containers.ts';
import { podHostname } from './dns.ts';

function aliasLines(pod: Pod): string {
  const aliases = pod.spec.hostAliases ?? [];
  if (aliases.length === 0) return '';
  return `\n# Entries added by HostAliases.\n${aliases.map((a) => `${a.ip}\t${(a.hostnames ?? []).join('\t')}\n`).join('')}`;
}

/** Content of the file: the host's own entries for a Pod in the host's network, else the Pod's. */
export async function hostsFile(pod: Pod, podIPs: readonly string[], clusterDomain: string): Promise<string> {
  if (isHostNetwork(pod)) {
    const host = await readFile('/etc/hosts', 'utf8').catch(() => '127.0.0.1\tlocalhost\n');
    return `# Kubernetes-managed hosts file (host network).\n${host}${aliasLines(pod)}`;
  }
  const { hostname, domain } = podHostname(pod, clusterDomain);
  const own = podIPs.map((ip) => (domain ? `${ip}\t${hostname}.${domain}\t${hostname}\n` : `${ip}\t${hostname}\n`)).join('');
  return `# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n${own}${aliasLines(pod)}`;
}
