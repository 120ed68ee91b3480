/** Names and addresses of a Pod: DNS, host aliases, hostname, the host's network. */
import type { HostAlias, PodDNSConfig, PodSpec } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, isDNS1123SubdomainWithUnderscore } from '#machinery/names.ts';
import { each, fromMessages } from '../../field-checks.ts';
import { ipErrors } from '../../ip-checks.ts';
import type { PodOptions } from './options.ts';

/** What resolvers of the C library take. */
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;
const MAX_HOSTNAME = 64;

function validateSearches(searches: readonly string[], path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (searches.length > MAX_SEARCHES) errors.push(invalidValue(path, searches, `must not have more than ${MAX_SEARCHES} search paths`));
  if (Buffer.byteLength(searches.join(' ')) > MAX_SEARCH_CHARACTERS) {
    errors.push(invalidValue(path, searches, `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`));
  }
  return [
    ...errors,
    ...each(searches, path, (search, at) => {
      if (search === '.') return [];
      const name = search.replace(/\.$/, '');
      return fromMessages(at, name, isDNS1123SubdomainWithUnderscore(name));
    }),
  ];
}
export function validateDNSConfig(config: PodDNSConfig | undefined, policy: string | undefined, path: FieldPath): FieldError[] {
  const nameservers = config?.nameservers ?? [];
  if (policy === 'None') {
    if (!config) return [required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')];
    if (nameservers.length === 0) return [required(path.child('nameservers'), 'must provide at least one DNS nameserver when `dnsPolicy` is None')];
  }
  if (!config) return [];
  const at = path.child('nameservers');
  return [
    ...(nameservers.length > MAX_NAMESERVERS ? [invalidValue(at, nameservers, `must not have more than ${MAX_NAMESERVERS} nameservers`)] : []),
    ...each(nameservers, at, ipErrors),
    ...validateSearches(config.searches ?? [], path.child('searches')),
    ...each(config.options, path.child('options'), (option, optionPath) => (option.name ? [] : [required(optionPath, 'must not be empty')])),
  ];
}
export function validateHostAliases(aliases: readonly HostAlias[] | undefined, path: FieldPath): FieldError[] {
  return each(aliases, path, (alias, at) => [
    ...ipErrors(alias.ip ?? '', at.child('ip')),
    ...each(alias.hostnames, at.child('hostnames'), (name, namePath) => fromMessages(namePath, name, isDNS1123Subdomain(name))),
  ]);
}
/** On the host's network a container's port and the host's are one; templates may leave the second to the Pod's creation. */
export function validateHostNetworkPorts(spec: PodSpec, options: PodOptions, path: FieldPath): FieldError[] {
  if (!spec.hostNetwork) return [];
  return each(spec.containers, path.child('containers'), (container, at) =>
    each(container.ports, at.child('ports'), (port, portPath) => {
      const host = port.hostPort ?? 0;
      const wrong = (options.isPod || host !== 0) && host !== port.containerPort;
      return wrong ? [invalidValue(portPath.child('hostPort'), host, 'must match `containerPort` when `hostNetwork` is true')] : [];
    }),
  );
}
/** A user namespace of its own goes with network, process and IPC namespaces of its own. */
export function validateHostUsers(spec: PodSpec, path: FieldPath): FieldError[] {
  if (spec.hostUsers !== false) return [];
  const why = 'when `hostUsers` is false';
  return [
    ...(spec.hostNetwork ? [forbiddenField(path.child('hostNetwork'), why)] : []),
    ...(spec.hostPID ? [forbiddenField(path.child('HostPID'), why)] : []),
    ...(spec.hostIPC ? [forbiddenField(path.child('HostIPC'), why)] : []),
    ...(['initContainers', 'containers'] as const).flatMap((list) => each(spec[list], path.child(list), ({ volumeDevices }, at) => (volumeDevices?.length ? [forbiddenField(at.child('volumeDevices'), why)] : []))),
  ];
}
export function validateHostnames(spec: PodSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['hostname', 'subdomain'] as const) {
    const value = spec[field];
    if (value) errors.push(...fromMessages(path.child(field), value, isDNS1123Label(value)));
  }
  const override = spec.hostnameOverride;
  if (override === undefined) return errors;
  const at = path.child('hostnameOverride');
  errors.push(...fromMessages(at, override, isDNS1123Subdomain(override)));
  if (override.length > MAX_HOSTNAME) errors.push(tooLong(at, MAX_HOSTNAME));
  if (spec.setHostnameAsFQDN) errors.push(forbiddenField(at, 'cannot be set when `setHostnameAsFQDN` is true'));
  if (spec.hostNetwork) errors.push(forbiddenField(at, 'cannot be set when `hostNetwork` is true'));
  return errors;
}
