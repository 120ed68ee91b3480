/** What `spec.os` forbids, and Windows options. */
import type { PodSpec, WindowsSecurityContextOptions } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { fromMessages, oneOf } from '../../field-checks.ts';
import { allContainers } from './container-kinds.ts';

const MAX_SPEC_KIB = 64;
const MAX_DOMAIN = 256;
const MAX_USER = 104;
const NETBIOS = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const DNS_LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const DNS_DOMAIN = new RegExp(`^${DNS_LABEL}(?:\\.${DNS_LABEL})*$`);
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

function runAsUserNameErrors(value: string): string[] {
  if (value === '') return ['runAsUserName cannot be an empty string'];
  if (CONTROL.test(value)) return ['runAsUserName cannot contain control characters'];
  const parts = value.split('\\');
  if (parts.length > 2) return ['runAsUserName cannot contain more than one backslash'];
  const user = parts.at(-1)!;
  const domain = parts.length === 2 ? parts[0]! : undefined;
  const messages: string[] = [];
  if (domain !== undefined && Buffer.byteLength(domain) >= MAX_DOMAIN) messages.push(`runAsUserName's Domain length must be under ${MAX_DOMAIN} characters`);
  if (domain !== undefined && !NETBIOS.test(domain) && !DNS_DOMAIN.test(domain)) messages.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  if (user === '') messages.push("runAsUserName's User cannot be empty");
  else if (Buffer.byteLength(user) > MAX_USER) messages.push(`runAsUserName's User length must not be longer than ${MAX_USER} characters`);
  if (/^[. ]+$/.test(user)) messages.push("runAsUserName's User cannot contain only periods or spaces");
  if (/["/\\:;|=,+*?<>@[\]]/.test(user)) messages.push(`runAsUserName's User cannot contain the following characters: "/\\:;|=,+*?<>@[]`);
  return messages;
}
export function validateWindowsOptions(options: WindowsSecurityContextOptions | undefined, path: FieldPath): FieldError[] {
  if (!options) return [];
  const errors: FieldError[] = [];
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: spec, runAsUserName: user } = options;
  if (name !== undefined) errors.push(...fromMessages(path.child('gmsaCredentialSpecName'), name, isDNS1123Subdomain(name)));
  const specPath = path.child('gmsaCredentialSpec');
  if (spec === '') errors.push(invalidValue(specPath, spec, 'gmsaCredentialSpec cannot be an empty string'));
  else if (spec !== undefined && Buffer.byteLength(spec) > MAX_SPEC_KIB * 1024) errors.push(invalidValue(specPath, spec, `gmsaCredentialSpec size must be under ${MAX_SPEC_KIB} KiB`));
  if (user !== undefined) errors.push(...fromMessages(path.child('runAsUserName'), user, runAsUserNameErrors(user)));
  return errors;
}

/** HostProcess containers: all or none, on the host's network. */
export function validateHostProcess(spec: PodSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const pod = spec.securityContext?.windowsOptions?.hostProcess;
  const containers = allContainers(spec, path);
  let count = 0;
  for (const { container, path: at } of containers) {
    const own = container.securityContext?.windowsOptions?.hostProcess;
    if (pod !== undefined && own !== undefined && pod !== own) {
      const field = at.child('securityContext', 'windowsOptions', 'hostProcess');
      errors.push(invalidValue(field, own, `pod hostProcess value must be identical if both are specified, was ${pod}`));
    }
    if (own ?? pod) count += 1;
  }
  if (count === 0) return errors;
  if (count !== containers.length) errors.push(invalidValue(path, '', 'If pod contains any hostProcess containers then all containers must be HostProcess containers'));
  if (!spec.hostNetwork) errors.push(invalidValue(path.child('hostNetwork'), false, 'hostNetwork must be true if pod contains any hostProcess containers'));
  return errors;
}

const POD_LINUX_ONLY: readonly (readonly [where: 'securityContext' | 'spec', field: string])[] = [
  ['securityContext', 'appArmorProfile'], ['securityContext', 'seLinuxOptions'], ['spec', 'hostUsers'], ['spec', 'hostPID'], ['spec', 'hostIPC'],
  ['securityContext', 'seccompProfile'], ['securityContext', 'fsGroup'], ['securityContext', 'fsGroupChangePolicy'], ['securityContext', 'sysctls'],
  ['spec', 'shareProcessNamespace'], ['securityContext', 'runAsUser'], ['securityContext', 'runAsGroup'], ['securityContext', 'supplementalGroups'],
  ['securityContext', 'supplementalGroupsPolicy'], ['securityContext', 'seLinuxChangePolicy'],
];
const CONTAINER_LINUX_ONLY = [
  'appArmorProfile', 'seLinuxOptions', 'seccompProfile', 'capabilities', 'readOnlyRootFilesystem', 'privileged', 'allowPrivilegeEscalation', 'procMount', 'runAsUser', 'runAsGroup',
] as const;
const POINTERS = ['hostUsers', 'shareProcessNamespace'];

function validateWindows(spec: PodSpec, path: FieldPath): FieldError[] {
  const not = 'cannot be set for a windows pod';
  const errors: FieldError[] = [];
  for (const [where, field] of POD_LINUX_ONLY) {
    const holder = (where === 'spec' ? spec : spec.securityContext) as Readonly<Record<string, unknown>> | undefined;
    const value = holder?.[field];
    const set = where === 'spec' && !POINTERS.includes(field) ? value === true : value !== undefined;
    if (set) errors.push(forbiddenField(where === 'spec' ? path.child(field) : path.child('securityContext', field), not));
  }
  for (const { container, path: at } of allContainers(spec, path)) {
    for (const field of CONTAINER_LINUX_ONLY) {
      if (container.securityContext?.[field] !== undefined) errors.push(forbiddenField(at.child('securityContext', field), not));
    }
  }
  return errors;
}
function validateLinux(spec: PodSpec, path: FieldPath): FieldError[] {
  const not = 'windows options cannot be set for a linux pod';
  const holders = [{ path, windows: spec.securityContext?.windowsOptions }, ...allContainers(spec, path).map((c) => ({ path: c.path, windows: c.container.securityContext?.windowsOptions }))];
  return holders.filter((h) => h.windows).map((h) => forbiddenField(h.path.child('securityContext', 'windowsOptions'), not));
}
export function validateOS(spec: PodSpec, path: FieldPath): FieldError[] {
  if (!spec.os) return [];
  if (!spec.os.name) return [required(path.child('os', 'name'))];
  const errors = oneOf(spec.os.name, ['linux', 'windows'], path.child('os'));
  if (errors.length > 0) return errors;
  return spec.os.name === 'linux' ? validateLinux(spec, path) : validateWindows(spec, path);
}
