/** The checks of the level `baseline`: no known privilege escalations. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { containersOf } from '#api/pod-visitors.ts';
import { containerList, inUserNamespace, joinQuote, offenders, plural, setters, sorted, type Check, type CheckPod } from './check.ts';

const APPARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/';
const appArmorProfile: CheckPod = (spec, metadata) => {
  const bad = (type: string | undefined): type is string => type !== undefined && type !== 'RuntimeDefault' && type !== 'Localhost';
  const podType = spec.securityContext?.appArmorProfile?.type;
  const containers = containersOf(spec).filter((c) => bad(c.securityContext?.appArmorProfile?.type));
  const annotations = Object.entries(metadata.annotations ?? {})
    .filter(([k, v]) => k.startsWith(APPARMOR_ANNOTATION) && v !== '' && v !== 'runtime/default' && !v.startsWith('localhost/'))
    .map(([k, v]) => `${k}=${JSON.stringify(v)}`).toSorted();
  const types: (string | undefined)[] = [podType, ...containers.map((c) => c.securityContext!.appArmorProfile!.type)];
  const values = [...sorted(types.filter(bad)), ...annotations];
  if (values.length === 0) return undefined;
  const who = [setters(bad(podType), containers.map((c) => c.name)), annotations.length ? plural('annotation', annotations.length) : ''].filter((s) => s !== '').join(' and ');
  return { reason: plural('forbidden AppArmor profile', values.length), detail: `${who} must not set AppArmor profile type to ${joinQuote(values)}` };
};

const DEFAULT_CAPABILITIES: ReadonlySet<string> = new Set('AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(' '));
const capabilities: CheckPod = (spec) => {
  const beyond = (c: { readonly securityContext?: coreV1.SecurityContext | undefined }): string[] => (c.securityContext?.capabilities?.add ?? []).filter((name) => !DEFAULT_CAPABILITIES.has(name));
  const names = offenders(spec, (c) => beyond(c).length > 0);
  if (names.length === 0) return undefined;
  return { reason: 'non-default capabilities', detail: `${containerList(names)} must not include ${joinQuote(sorted(containersOf(spec).flatMap(beyond)))} in securityContext.capabilities.add` };
};

const hostNamespaces: CheckPod = (spec) => {
  const used = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((k) => spec[k]).map((k) => `${k}=true`);
  return used.length ? { reason: 'host namespaces', detail: used.join(', ') } : undefined;
};
const hostPathVolumes: CheckPod = (spec) => {
  const names = (spec.volumes ?? []).filter((v) => v.hostPath).map((v) => v.name);
  return names.length ? { reason: 'hostPath volumes', detail: `${plural('volume', names.length)} ${joinQuote(names)}` } : undefined;
};
const hostPorts: CheckPod = (spec) => {
  const names = offenders(spec, (c) => (c.ports ?? []).some((p) => p.hostPort));
  if (names.length === 0) return undefined;
  const ports = sorted(containersOf(spec).flatMap((c) => (c.ports ?? []).filter((p) => p.hostPort).map((p) => String(p.hostPort))));
  return { reason: 'hostPort', detail: `${containerList(names)} ${plural('uses', names.length, 'use')} ${plural('hostPort', ports.length)} ${ports.join(', ')}` };
};

const hostsOf = (h: coreV1.Probe | coreV1.LifecycleHandler | undefined): string[] => [h?.httpGet?.host, h?.tcpSocket?.host].filter((x): x is string => !!x);
const hostProbesAndHostLifecycle: CheckPod = (spec) => {
  const all = containersOf(spec).map((c) => ({ name: c.name, hosts: [c.livenessProbe, c.readinessProbe, c.startupProbe, c.lifecycle?.postStart, c.lifecycle?.preStop].flatMap(hostsOf) })).filter((c) => c.hosts.length);
  if (all.length === 0) return undefined;
  const names = sorted(all.map((c) => c.name));
  const hosts = sorted(all.flatMap((c) => c.hosts));
  return { reason: 'probe or lifecycle host', detail: `${containerList(names)} ${plural('uses', names.length, 'use')} ${plural('probe or lifecycle host', hosts.length)} ${joinQuote(hosts)}` };
};
const privileged: CheckPod = (spec) => {
  const names = offenders(spec, (c) => c.securityContext?.privileged === true);
  return names.length ? { reason: 'privileged', detail: `${containerList(names)} must not set securityContext.privileged=true` } : undefined;
};

/** Unmasked /proc, whatever the Pod's user namespace: the restricted level keeps it from 1.35 on. */
export const procMount: CheckPod = (spec) => {
  const bad = (c: { readonly securityContext?: coreV1.SecurityContext | undefined }): boolean => c.securityContext?.procMount !== undefined && c.securityContext.procMount !== 'Default';
  const names = offenders(spec, bad);
  if (names.length === 0) return undefined;
  const types = sorted(containersOf(spec).filter(bad).map((c) => c.securityContext!.procMount!));
  return { reason: 'procMount', detail: `${containerList(names)} must not set securityContext.procMount to ${joinQuote(types)}` };
};

const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t'];
const seLinuxOptions = (types: readonly string[]): CheckPod => (spec) => {
  const bad = (o: coreV1.SELinuxOptions | undefined): boolean => o !== undefined && (!types.includes(o.type ?? '') || !!o.user || !!o.role);
  const pod = spec.securityContext?.seLinuxOptions;
  const containers = containersOf(spec).filter((c) => bad(c.securityContext?.seLinuxOptions));
  if (!bad(pod) && containers.length === 0) return undefined;
  const all = [pod, ...containers.map((c) => c.securityContext?.seLinuxOptions)].filter((o) => o !== undefined);
  const badTypes = sorted(all.map((o) => o.type ?? '').filter((t) => !types.includes(t)));
  const what = [
    ...(badTypes.length ? [`${plural('type', badTypes.length)} ${joinQuote(badTypes)}`] : []),
    ...(all.some((o) => o.user) ? ['user may not be set'] : []),
    ...(all.some((o) => o.role) ? ['role may not be set'] : []),
  ];
  return { reason: 'seLinuxOptions', detail: `${setters(bad(pod), containers.map((c) => c.name))} set forbidden securityContext.seLinuxOptions: ${what.join('; ')}` };
};

const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod';
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/';
const seccompAnnotations: CheckPod = (spec, metadata) => {
  const keys = [SECCOMP_POD, ...containersOf(spec).map((c) => SECCOMP_CONTAINER + c.name)];
  const bad = (v: string): boolean => v !== 'runtime/default' && v !== 'docker/default' && !v.startsWith('localhost/');
  const forbidden = sorted(keys.flatMap((k) => {
    const value = metadata.annotations?.[k];
    return value !== undefined && bad(value) ? [`${k}=${JSON.stringify(value)}`] : [];
  }));
  return forbidden.length ? { reason: 'seccompProfile', detail: `forbidden ${plural('annotation', forbidden.length)} ${forbidden.join(', ')}` } : undefined;
};
/** Whether a profile is set to something other than the runtime's default or a local one. */
export function badSeccomp(profile: coreV1.SeccompProfile | undefined): boolean {
  return profile !== undefined && profile.type !== 'RuntimeDefault' && profile.type !== 'Localhost';
}
export const seccompProfile: CheckPod = (spec) => {
  const pod = spec.securityContext?.seccompProfile;
  const containers = containersOf(spec).filter((c) => badSeccomp(c.securityContext?.seccompProfile));
  if (!badSeccomp(pod) && containers.length === 0) return undefined;
  const values = sorted([...(badSeccomp(pod) ? [pod!.type] : []), ...containers.map((c) => c.securityContext!.seccompProfile!.type)]);
  return { reason: 'seccompProfile', detail: `${setters(badSeccomp(pod), containers.map((c) => c.name))} must not set securityContext.seccompProfile.type to ${joinQuote(values)}` };
};

const SYSCTLS = ['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_unprivileged_port_start'];
const SYSCTLS_27 = [...SYSCTLS, 'net.ipv4.ip_local_reserved_ports'];
const SYSCTLS_29 = [...SYSCTLS_27, 'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes'];
const SYSCTLS_32 = [...SYSCTLS_29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'];
const sysctls = (allowed: readonly string[]): CheckPod => (spec) => {
  const names = (spec.securityContext?.sysctls ?? []).map((s) => s.name).filter((n) => !allowed.includes(n));
  return names.length ? { reason: 'forbidden sysctls', detail: names.join(', ') } : undefined;
};
const windowsHostProcess: CheckPod = (spec) => {
  const pod = spec.securityContext?.windowsOptions?.hostProcess === true;
  const names = offenders(spec, (c) => c.securityContext?.windowsOptions?.hostProcess === true);
  return pod || names.length ? { reason: 'hostProcess', detail: `${setters(pod, names)} must not set securityContext.windowsOptions.hostProcess=true` } : undefined;
};

const baseline = (id: string, ...versions: [since: number, check: CheckPod][]): Check => ({ id, level: 'baseline', versions: versions.map(([since, check]) => ({ since, check })) });
/** In the order in which findings are printed. */
export const BASELINE_CHECKS: readonly Check[] = [
  baseline('appArmorProfile', [0, appArmorProfile]),
  baseline('capabilities_baseline', [0, capabilities]),
  baseline('hostNamespaces', [0, hostNamespaces]),
  baseline('hostPathVolumes', [0, hostPathVolumes]),
  baseline('hostPorts', [0, hostPorts]),
  baseline('hostProbesAndHostLifecycle', [34, hostProbesAndHostLifecycle]),
  baseline('privileged', [0, privileged]),
  baseline('procMount', [0, procMount], [35, (spec, metadata) => (inUserNamespace(spec) ? undefined : procMount(spec, metadata))]),
  baseline('seLinuxOptions', [0, seLinuxOptions(SELINUX_TYPES)], [31, seLinuxOptions([...SELINUX_TYPES, 'container_engine_t'])]),
  baseline('seccompProfile_baseline', [0, seccompAnnotations], [19, seccompProfile]),
  baseline('sysctls', [0, sysctls(SYSCTLS)], [27, sysctls(SYSCTLS_27)], [29, sysctls(SYSCTLS_29)], [32, sysctls(SYSCTLS_32)]),
  baseline('windowsHostProcess', [0, windowsHostProcess]),
];
