/** A Pod's spec as upstream's internal type has it: what its messages and diffs show. */
import type { EphemeralContainer, PodSpec } from '#api/gen/core-v1.ts';
import { structByFactsName } from '#api/schema.ts';
import { internalForm } from '../../internal-form.ts';

const SPEC_ORDER = [
  'volumes', 'initContainers', 'containers', 'ephemeralContainers', 'restartPolicy', 'terminationGracePeriodSeconds', 'activeDeadlineSeconds', 'dnsPolicy', 'nodeSelector',
  'serviceAccountName', 'automountServiceAccountToken', 'nodeName', 'securityContext', 'imagePullSecrets', 'hostname', 'subdomain', 'setHostnameAsFQDN', 'affinity',
  'schedulerName', 'tolerations', 'hostAliases', 'priorityClassName', 'priority', 'preemptionPolicy', 'dnsConfig', 'readinessGates', 'runtimeClassName', 'overhead',
  'enableServiceLinks', 'topologySpreadConstraints', 'os', 'schedulingGates', 'resourceClaims', 'resources', 'hostnameOverride', 'schedulingGroup',
];
const CONTEXT_ORDER = ['seLinuxOptions', 'windowsOptions', 'runAsUser', 'runAsGroup', 'runAsNonRoot', 'supplementalGroups', 'supplementalGroupsPolicy', 'fsGroup', 'fsGroupChangePolicy', 'sysctls'];
/** Fields that the internal type keeps in the security context; the first three are not pointers there. */
const MOVED = ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace', 'hostUsers', 'serviceAccount'];

export function internalPodSpec(spec: PodSpec): Record<string, unknown> {
  const form = internalForm(structByFactsName('api/core/v1.PodSpec'), spec, SPEC_ORDER);
  const context = internalForm(structByFactsName('api/core/v1.PodSecurityContext'), spec.securityContext ?? {}, CONTEXT_ORDER);
  const security = {
    HostNetwork: spec.hostNetwork ?? false,
    HostPID: spec.hostPID ?? false,
    HostIPC: spec.hostIPC ?? false,
    ShareProcessNamespace: spec.shareProcessNamespace ?? null,
    HostUsers: spec.hostUsers ?? null,
    ...context,
  };
  const dropped = new Set(MOVED.map((name) => name.charAt(0).toUpperCase() + name.slice(1)));
  return Object.fromEntries(Object.entries(form).filter(([key]) => !dropped.has(key)).map(([key, value]) => [key, key === 'SecurityContext' ? security : value]));
}
export function internalEphemeralContainer(container: EphemeralContainer): Record<string, unknown> {
  return internalForm(structByFactsName('api/core/v1.EphemeralContainer'), container);
}
