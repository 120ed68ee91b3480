import type { Pod } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Init } from '#cri/schema.ts';
import type { PodSandboxConfig, PortMapping, UserNamespace } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import { LABELS } from '../interfaces.ts';
import { podHostname, type ResolverConfig } from '../network/dns.ts';
import { isHostNetwork, isRestartableInit } from '../pods/containers.ts';
import { podResources } from '../pods/admission.ts';
import { podLogDir } from '../pods/paths.ts';
import { CONFIG } from '../static-pods/manifest.ts';
import { computeResources, quantities } from './linux-resources.ts';
import { sandboxSecurity } from './security.ts';

export interface SandboxInputs {
  readonly config: KubeletConfig;
  readonly attempt: number;
  readonly resolver: ResolverConfig;
  readonly cgroupParent: string;
  /** When the kubelet first saw the Pod, in milliseconds since the epoch. */
  readonly firstSeen: number;
  /** The Pod's own ids; undefined where it has the host's. */
  readonly userNamespace?: UserNamespace | undefined;
}

/** What RunPodSandbox is asked for. The same Pod, attempt and resolver give the same request. */
export function sandboxConfig(pod: Pod, inputs: SandboxInputs): Init<PodSandboxConfig> {
  const { config, attempt, resolver, cgroupParent, firstSeen } = inputs;
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  const { hostname, domain } = podHostname(pod, config.clusterDomain);
  return {
    metadata: { name, namespace, uid, attempt },
    // A Pod in the host's network has the host's UTS namespace: a name would be refused.
    hostname: isHostNetwork(pod) ? '' : pod.spec.setHostnameAsFQDN && domain ? `${hostname}.${domain}` : hostname,
    logDirectory: podLogDir(config, pod),
    dnsConfig: { servers: resolver.servers, searches: resolver.searches, options: resolver.options },
    labels: { ...pod.metadata.labels, [LABELS.podName]: name, [LABELS.podNamespace]: namespace, [LABELS.podUid]: uid },
    annotations: { [CONFIG.source]: 'api', [CONFIG.seen]: rfc3339(firstSeen), ...pod.metadata.annotations },
    portMappings: portMappings(pod),
    linux: {
      cgroupParent,
      securityContext: sandboxSecurity(pod, inputs.userNamespace),
      // For runtimes whose sandbox is a machine of its own: how large it has to be.
      overhead: pod.spec.overhead ? computeResources(quantities(pod.spec.overhead), quantities(pod.spec.overhead)) : {},
      resources: computeResources(podResources(pod, 'requests'), podResources(pod, 'limits')),
      sysctls: Object.fromEntries((pod.spec.securityContext?.sysctls ?? []).map((s) => [s.name, s.value])),
    },
  };
}
/** Every port that the Pod declares; those that are the host's too say so. */
function portMappings(pod: Pod): PortMapping[] {
  const sidecars = (pod.spec.initContainers ?? []).filter(isRestartableInit);
  return [...sidecars, ...pod.spec.containers].flatMap((c) => c.ports ?? [])
    .map((p) => ({ protocol: (p.protocol ?? 'TCP') as PortMapping['protocol'], containerPort: p.containerPort, hostPort: p.hostPort ?? 0, hostIp: p.hostIP ?? '' }));
}
