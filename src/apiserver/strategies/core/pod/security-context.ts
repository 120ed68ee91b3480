/** Security contexts of containers and of the Pod. */
import type { AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl } from '#api/gen/core-v1.ts';
import { structByFactsName } from '#api/schema.ts';
import { duplicate, invalidValue, notSupported, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isValidGroupID, isValidUserID } from '#machinery/names.ts';
import { each, fromMessages, oneOf } from '../../field-checks.ts';
import { internalForm } from '../../internal-form.ts';
import { validateDescendingPath } from '../volume-paths.ts';
import { validateWindowsOptions } from './windows.ts';

const PROFILES = ['Localhost', 'RuntimeDefault', 'Unconfined'];

export function validateSeccomp(profile: SeccompProfile | undefined, path: FieldPath): FieldError[] {
  if (!profile) return [];
  const errors: FieldError[] = [];
  const local = path.child('localhostProfile');
  if (!profile.type) errors.push(required(path.child('type'), 'type is required when seccompProfile is set'));
  else errors.push(...oneOf(profile.type, PROFILES, path.child('type')));
  if (profile.type === 'Localhost') {
    if (profile.localhostProfile === undefined) errors.push(required(local, 'must be set when seccomp type is Localhost'));
    else errors.push(...validateDescendingPath(profile.localhostProfile, local));
  } else if (profile.localhostProfile !== undefined) {
    errors.push(invalidValue(local, { Type: profile.type, LocalhostProfile: profile.localhostProfile }, 'can only be set when seccomp type is Localhost'));
  }
  return errors;
}
const MAX_PROFILE_LENGTH = 4095;
export function validateAppArmor(profile: AppArmorProfile | undefined, path: FieldPath): FieldError[] {
  if (!profile) return [];
  const local = path.child('localhostProfile');
  const name = profile.localhostProfile;
  if (!profile.type) return [required(path.child('type'), 'type is required when appArmorProfile is set')];
  if (profile.type !== 'Localhost') {
    if (!PROFILES.includes(profile.type)) return [notSupported(path.child('type'), profile.type, PROFILES)];
    return name === undefined ? [] : [invalidValue(local, name, 'can only be set when AppArmor type is Localhost')];
  }
  const missing = required(local, 'must be set when AppArmor type is Localhost');
  if (name === undefined) return [missing];
  const errors = name.trim() !== name ? [invalidValue(local, name, 'must not be padded with whitespace')] : name === '' ? [missing] : [];
  if (Buffer.byteLength(name) > MAX_PROFILE_LENGTH) errors.push(tooLong(local, MAX_PROFILE_LENGTH));
  return errors;
}

export function validateSecurityContext(context: SecurityContext | undefined, hostUsers: boolean, path: FieldPath): FieldError[] {
  if (!context) return [];
  const errors: FieldError[] = [];
  const { runAsUser, runAsGroup, procMount } = context;
  if (runAsUser !== undefined) errors.push(...fromMessages(path.child('runAsUser'), runAsUser, isValidUserID(runAsUser)));
  if (runAsGroup !== undefined) errors.push(...fromMessages(path.child('runAsGroup'), runAsGroup, isValidGroupID(runAsGroup)));
  if (procMount !== undefined) {
    errors.push(...oneOf(procMount, ['Default', 'Unmasked'], path.child('procMount')));
    if (hostUsers && procMount === 'Unmasked') errors.push(invalidValue(path.child('procMount'), procMount, '`hostUsers` must be false to use `Unmasked`'));
  }
  errors.push(...validateSeccomp(context.seccompProfile, path.child('seccompProfile')));
  if (context.allowPrivilegeEscalation === false) {
    const shown = () => internalForm(structByFactsName('api/core/v1.SecurityContext'), context);
    if (context.privileged) errors.push(invalidValue(path, shown(), 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'));
    for (const capability of context.capabilities?.add ?? []) {
      if (capability === 'CAP_SYS_ADMIN') errors.push(invalidValue(path, shown(), 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'));
    }
  }
  return [...errors, ...validateWindowsOptions(context.windowsOptions, path.child('windowsOptions')), ...validateAppArmor(context.appArmorProfile, path.child('appArmorProfile'))];
}

const SYSCTL_MAX_LENGTH = 253;
const SYSCTL = '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$';
const SYSCTL_PATTERN = /^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$/;
const IPC_SYSCTLS = ['kernel.sem'];
const IPC_PREFIXES = ['kernel.shm', 'kernel.msg', 'fs.mqueue.'];
/** The namespace a sysctl belongs to. Source: the documentation, "Using sysctls in a Kubernetes Cluster". */
function sysctlNamespace(name: string): 'net' | 'ipc' | undefined {
  const dotted = name.replaceAll('/', '.');
  if (dotted.startsWith('net.')) return 'net';
  return IPC_SYSCTLS.includes(dotted) || IPC_PREFIXES.some((prefix) => dotted.startsWith(prefix)) ? 'ipc' : undefined;
}
function validateSysctls(sysctls: readonly Sysctl[] | undefined, spec: PodSpec, path: FieldPath): FieldError[] {
  const names = new Set<string>();
  return each(sysctls, path, ({ name = '' }, at) => {
    const errors: FieldError[] = [];
    const field = at.child('name');
    if (name === '') errors.push(required(field));
    else if (name.length > SYSCTL_MAX_LENGTH || !SYSCTL_PATTERN.test(name)) {
      errors.push(invalidValue(field, name, `must have at most ${SYSCTL_MAX_LENGTH} characters and match regex ${SYSCTL}`));
    } else if (names.has(name)) errors.push(duplicate(field, name));
    const namespace = sysctlNamespace(name);
    if (spec.hostNetwork && namespace === 'net') errors.push(invalidValue(field, name, "may not be specified when 'hostNetwork' is true"));
    else if (spec.hostIPC && namespace === 'ipc') errors.push(invalidValue(field, name, "may not be specified when 'hostIPC' is true"));
    names.add(name);
    return errors;
  });
}

export function validatePodSecurityContext(context: PodSecurityContext | undefined, spec: PodSpec, path: FieldPath): FieldError[] {
  if (!context) return [];
  const errors: FieldError[] = [];
  const { fsGroup, runAsUser, runAsGroup } = context;
  if (fsGroup !== undefined) errors.push(...fromMessages(path.child('fsGroup'), fsGroup, isValidGroupID(fsGroup)));
  if (runAsUser !== undefined) errors.push(...fromMessages(path.child('runAsUser'), runAsUser, isValidUserID(runAsUser)));
  if (runAsGroup !== undefined) errors.push(...fromMessages(path.child('runAsGroup'), runAsGroup, isValidGroupID(runAsGroup)));
  errors.push(...each(context.supplementalGroups, path.child('supplementalGroups'), (gid, at) => fromMessages(at, gid, isValidGroupID(gid))));
  if (spec.shareProcessNamespace && spec.hostPID) errors.push(invalidValue(path.child('shareProcessNamespace'), true, 'ShareProcessNamespace and HostPID cannot both be enabled'));
  errors.push(...validateSysctls(context.sysctls, spec, path.child('sysctls')));
  if (context.fsGroupChangePolicy !== undefined) errors.push(...oneOf(context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], path.child('fsGroupChangePolicy')));
  errors.push(
    ...validateSeccomp(context.seccompProfile, path.child('seccompProfile')),
    ...validateWindowsOptions(context.windowsOptions, path.child('windowsOptions')),
    ...validateAppArmor(context.appArmorProfile, path.child('appArmorProfile')),
  );
  if (context.supplementalGroupsPolicy !== undefined) errors.push(...oneOf(context.supplementalGroupsPolicy, ['Merge', 'Strict'], path.child('supplementalGroupsPolicy')));
  if (context.seLinuxChangePolicy !== undefined) errors.push(...oneOf(context.seLinuxChangePolicy, ['Recursive'], path.child('seLinuxChangePolicy')));
  return errors;
}
