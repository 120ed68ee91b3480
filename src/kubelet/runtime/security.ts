/** Security contexts as CRI takes them. Source: API reference, PodSecurityContext and SecurityContext. */
import type { AppArmorProfile, Pod, SeccompProfile, SecurityContext } from '#api/gen/core-v1.ts';
import type { Init } from '#cri/schema.ts';
import type { LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceOption, SecurityProfile, UserNamespace } from '#cri/types.ts';
import { StartError, type AnyContainer, type PulledImage } from '../interfaces.ts';
import { allContainers } from '../pods/containers.ts';

/** Paths of /proc and /sys hidden from containers with the default procMount. */
const MASKED_PATHS = ['/proc/asound', '/proc/acpi', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Fields of the container's context that it leaves out are taken from the Pod's. */
export function effectiveSecurityContext(pod: Pod, container: AnyContainer): SecurityContext {
  const p = pod.spec.securityContext ?? {};
  const c = container.securityContext ?? {};
  const { runAsUser, runAsGroup, runAsNonRoot, seLinuxOptions, seccompProfile, appArmorProfile, windowsOptions } = p;
  const fromPod = { runAsUser, runAsGroup, runAsNonRoot, seLinuxOptions, seccompProfile, appArmorProfile, windowsOptions };
  return { ...fromPod, ...Object.fromEntries(Object.entries(c).filter(([, v]) => v !== undefined)) };
}
export function namespaceOptions(pod: Pod, userNamespace: UserNamespace | undefined, container?: AnyContainer, targetId?: string): Init<NamespaceOption> {
  const { hostNetwork, hostPID, hostIPC, shareProcessNamespace } = pod.spec;
  const pid = hostPID ? 'NODE' : shareProcessNamespace ? 'POD' : 'CONTAINER';
  const target = container && 'targetContainerName' in container && container.targetContainerName && targetId && pid === 'CONTAINER';
  return { network: hostNetwork ? 'NODE' : 'POD', ipc: hostIPC ? 'NODE' : 'POD', pid: target ? 'TARGET' : pid, ...(target ? { targetId } : {}), ...(userNamespace ? { usernsOptions: userNamespace } : {}) };
}
function seccomp(profile: SeccompProfile | undefined, seccompRoot: string): Init<SecurityProfile> {
  if (profile?.type === 'RuntimeDefault') return { profileType: 'RuntimeDefault' };
  if (profile?.type === 'Localhost') return { profileType: 'Localhost', localhostRef: `${seccompRoot}/${profile.localhostProfile ?? ''}` };
  return { profileType: 'Unconfined' };
}
function appArmor(profile: AppArmorProfile): Init<SecurityProfile> {
  if (profile.type === 'Unconfined') return { profileType: 'Unconfined' };
  if (profile.type === 'Localhost') return { profileType: 'Localhost', localhostRef: profile.localhostProfile ?? '' };
  return { profileType: 'RuntimeDefault' };
}
function groups(pod: Pod): number[] {
  const { supplementalGroups = [], fsGroup } = pod.spec.securityContext ?? {};
  return [...new Set([...(fsGroup === undefined ? [] : [fsGroup]), ...supplementalGroups])];
}

export function sandboxSecurity(pod: Pod, userNamespace?: UserNamespace): Init<LinuxSandboxSecurityContext> {
  const context = pod.spec.securityContext ?? {};
  const privileged = allContainers(pod).some((c) => c.securityContext?.privileged);
  return {
    privileged,
    namespaceOptions: namespaceOptions(pod, userNamespace),
    // The pause program needs no more than the runtime's default profile, whatever the Pod's containers run with.
    seccomp: { profileType: 'RuntimeDefault' },
    ...(context.runAsUser === undefined ? {} : { runAsUser: { value: context.runAsUser } }),
    ...(context.runAsGroup === undefined || context.runAsUser === undefined ? {} : { runAsGroup: { value: context.runAsGroup } }),
    supplementalGroups: groups(pod),
    supplementalGroupsPolicy: context.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    ...(context.seLinuxOptions ? { selinuxOptions: selinux(context.seLinuxOptions) } : {}),
  };
}
function selinux(o: NonNullable<SecurityContext['seLinuxOptions']>): { user: string; role: string; type: string; level: string } {
  return { user: o.user ?? '', role: o.role ?? '', type: o.type ?? '', level: o.level ?? '' };
}

/** Whether the Pod may only run where AppArmor confines. */
export function requiresAppArmor(pod: Pod): boolean {
  const confines = (context: { readonly appArmorProfile?: AppArmorProfile | undefined } | undefined) => context?.appArmorProfile !== undefined && context.appArmorProfile.type !== 'Unconfined';
  return confines(pod.spec.securityContext) || allContainers(pod).some((c) => confines(c.securityContext));
}
/** `runAsNonRoot` kept: throws the StartError that users know. */
export function verifyRunAsNonRoot(pod: Pod, container: AnyContainer, image: Pick<PulledImage, 'uid' | 'username'>): void {
  const context = effectiveSecurityContext(pod, container);
  if (!context.runAsNonRoot) return;
  const where = `(pod: "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})", container: ${container.name})`;
  const refuse = (why: string) => new StartError('CreateContainerConfigError', `${why} ${where}`);
  if (context.runAsUser !== undefined) {
    if (context.runAsUser === 0) throw refuse("container's runAsUser breaks non-root policy");
    return;
  }
  if (image.uid === 0 || (image.uid === undefined && !image.username)) throw refuse('container has runAsNonRoot and image will run as root');
  if (image.uid === undefined) throw refuse(`container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root`);
}

export interface ContainerSecurityOptions {
  readonly seccompRoot: string;
  readonly appArmor: boolean;
  readonly image: Pick<PulledImage, 'uid' | 'username'>;
  /** Container whose process namespace an ephemeral container joins. */
  readonly targetId?: string | undefined;
  /** The Pod's own ids; undefined where it has the host's. */
  readonly userNamespace?: UserNamespace | undefined;
}
export function containerSecurity(pod: Pod, container: AnyContainer, options: ContainerSecurityOptions): Init<LinuxContainerSecurityContext> {
  const context = effectiveSecurityContext(pod, container);
  const privileged = context.privileged ?? false;
  const masked = context.procMount !== 'Unmasked' && !privileged;
  // The image's own user goes along, so that the runtime need not guess: the group that goes with it comes from the image's passwd.
  const uid = context.runAsUser ?? options.image.uid;
  const name = uid === undefined ? options.image.username : undefined;
  return {
    privileged,
    namespaceOptions: namespaceOptions(pod, options.userNamespace, container, options.targetId),
    ...(uid === undefined ? {} : { runAsUser: { value: uid } }),
    ...(name ? { runAsUsername: name } : {}),
    ...(context.runAsGroup === undefined ? {} : { runAsGroup: { value: context.runAsGroup } }),
    readonlyRootfs: context.readOnlyRootFilesystem ?? false,
    noNewPrivs: context.allowPrivilegeEscalation === false && !privileged,
    supplementalGroups: groups(pod),
    supplementalGroupsPolicy: pod.spec.securityContext?.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    ...(context.capabilities ? { capabilities: { addCapabilities: context.capabilities.add ?? [], dropCapabilities: context.capabilities.drop ?? [] } } : {}),
    maskedPaths: masked ? MASKED_PATHS : [],
    readonlyPaths: masked ? READONLY_PATHS : [],
    seccomp: privileged ? seccomp(undefined, '') : seccomp(context.seccompProfile, options.seccompRoot),
    // Without a word from the Pod the runtime gives its default profile, where the host has AppArmor.
    ...(context.appArmorProfile && options.appArmor ? { apparmor: appArmor(context.appArmorProfile) } : {}),
    ...(context.seLinuxOptions ? { selinuxOptions: selinux(context.seLinuxOptions) } : {}),
  };
}
