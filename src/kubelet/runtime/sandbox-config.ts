import type { Pod } from '#api/gen/core-v1.ts';
import type { Init } from '#cri/schema.ts';
import type { PodSandboxConfig } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import { LABELS } from '../interfaces.ts';
import { podHostname, type ResolverConfig } from '../network/dns.ts';
import { isHostNetwork } from '../pods/containers.ts';
import { podLogDir, seccompDir } from '../pods/paths.ts';
import { sandboxSecurity } from './security.ts';

export interface SandboxInputs {
  readonly config: KubeletConfig;
  readonly attempt: number;
  readonly resolver: ResolverConfig;
  readonly cgroupParent: string;
}

/** What RunPodSandbox is asked for. The same Pod, attempt and resolver give the same request. */
export function sandboxConfig(pod: Pod, inputs: SandboxInputs): Init<PodSandboxConfig> {
  const { config, attempt, resolver, cgroupParent } = inputs;
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  const { hostname, domain } = podHostname(pod, config.clusterDomain);
  return {
    metadata: { name, namespace, uid, attempt },
    // A Pod in the host's network has the host's UTS namespace: a name would be refused.
    hostname: isHostNetwork(pod) ? '' : pod.spec.setHostnameAsFQDN && domain ? `${hostname}.${domain}` : hostname,
    logDirectory: podLogDir(config, pod),
    dnsConfig: { servers: resolver.servers, searches: resolver.searches, options: resolver.options },
    labels: { ...pod.metadata.labels, [LABELS.podName]: name, [LABELS.podNamespace]: namespace, [LABELS.podUid]: uid },
    annotations: { 'kubernetes.io/config.source': 'api', ...pod.metadata.annotations },
    portMappings: portMappings(pod),
    linux: {
      cgroupParent,
      securityContext: sandboxSecurity(pod, seccompDir(config)),
      sysctls: Object.fromEntries((pod.spec.securityContext?.sysctls ?? []).map((s) => [s.name, s.value])),
    },
  };
}
function portMappings(pod: Pod): { protocol: 'TCP' | 'UDP'; containerPort: number; hostPort: number; hostIp: string }[] {
  if (isHostNetwork(pod)) return [];
  const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
  return [...sidecars, ...pod.spec.containers].flatMap((c) => c.ports ?? [])
    .filter((p) => p.hostPort)
    .map((p) => ({ protocol: p.protocol === 'UDP' ? 'UDP' : 'TCP', containerPort: p.containerPort, hostPort: p.hostPort!, hostIp: p.hostIP ?? '' }));
}
