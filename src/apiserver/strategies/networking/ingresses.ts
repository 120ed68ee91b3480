import type { HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressSpec, IngressTLS } from '#api/gen/networking-v1.ts';
import { fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isValidIP } from '#machinery/ip.ts';
import { isDNS1123Label, isDNS1123Subdomain, isValidPortName, isValidPortNum, isWildcardDNS1123Subdomain } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';
import { ipErrors } from '../ip-checks.ts';
import { AGE, age, NAME, NONE, text } from '../printing.ts';
import { validateTypedReference } from './references.ts';

const SPEC = fieldPath('spec');
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';
const INVALID_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F'];
const INVALID_SUFFIXES = ['/..', '/.'];
const NOT_AN_IP = 'must be a DNS name, not an IP address';
const SHOWN_HOSTS = 3;

function validateHost(host: string, path: FieldPath): FieldError[] {
  return fromMessages(path, host, host.includes('*') ? isWildcardDNS1123Subdomain(host) : isDNS1123Subdomain(host));
}
function validateServiceBackend({ name, port }: NonNullable<IngressBackend['service']>, path: FieldPath): FieldError[] {
  const at = path.child('service', 'name');
  const errors = name ? fromMessages(at, name, isDNS1123Label(name)) : [required(at)];
  if (port?.name && port.number) errors.push(invalidValue(path, '', 'cannot set both port name & port number'));
  else if (port?.name) errors.push(...fromMessages(path.child('service', 'port', 'name'), port.name, isValidPortName(port.name)));
  else if (port?.number) errors.push(...fromMessages(path.child('service', 'port', 'number'), port.number, isValidPortNum(port.number)));
  else errors.push(required(path, 'port name or number is required'));
  return errors;
}
function validateBackend(backend: IngressBackend | undefined, path: FieldPath): FieldError[] {
  const { resource, service } = backend ?? {};
  if (resource && service) return [invalidValue(path, '', 'cannot set both resource and service backends')];
  if (resource) return validateTypedReference(resource, path.child('resource'));
  return service ? validateServiceBackend(service, path) : [invalidValue(path, '', 'resource or service backend is required')];
}
function validatePath(entry: HTTPIngressPath, path: FieldPath): FieldError[] {
  const { pathType, path: value = '', backend } = entry;
  const at = path.child('path');
  if (pathType === undefined) return [required(path.child('pathType'), 'pathType must be specified')];
  const errors = oneOf(pathType, ['Exact', 'ImplementationSpecific', 'Prefix'], path.child('pathType'));
  if (errors.length === 0) {
    const exacting = pathType !== 'ImplementationSpecific';
    if (!value.startsWith('/') && (exacting || value !== '')) errors.push(invalidValue(at, value, 'must be an absolute path'));
    if (exacting) {
      errors.push(...INVALID_SEQUENCES.filter((s) => value.includes(s)).map((s) => invalidValue(at, value, `must not contain '${s}'`)));
      errors.push(...INVALID_SUFFIXES.filter((s) => value.endsWith(s)).map((s) => invalidValue(at, value, `cannot end with '${s}'`)));
    }
  }
  return [...errors, ...validateBackend(backend, path.child('backend'))];
}
function validateRule({ host, http }: IngressRule, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (host) {
    if (isValidIP(host).length === 0) errors.push(invalidValue(path.child('host'), host, NOT_AN_IP));
    errors.push(...validateHost(host, path.child('host')));
  }
  if (!http) return errors;
  const at = path.child('http', 'paths');
  return [...errors, ...(http.paths?.length ? [] : [required(at)]), ...each(http.paths, at, validatePath)];
}
function validateTLS({ hosts, secretName }: IngressTLS, path: FieldPath): FieldError[] {
  const errors = each(hosts, path.child('hosts'), validateHost);
  return secretName ? [...errors, ...fromMessages(path.child('secretName'), secretName, isDNS1123Subdomain(secretName))] : errors;
}
function validateSpec(spec: IngressSpec): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.rules?.length && !spec.defaultBackend) errors.push(invalidValue(SPEC, spec.rules ?? null, 'either `defaultBackend` or `rules` must be specified'));
  if (spec.defaultBackend) errors.push(...validateBackend(spec.defaultBackend, SPEC.child('defaultBackend')));
  errors.push(...each(spec.rules, SPEC.child('rules'), validateRule), ...each(spec.tls, SPEC.child('tls'), validateTLS));
  const name = spec.ingressClassName;
  return name === undefined ? errors : [...errors, ...fromMessages(SPEC.child('ingressClassName'), name, isDNS1123Subdomain(name))];
}
function hostsText(rules: readonly IngressRule[]): string {
  const hosts = rules.flatMap(({ host }) => (host ? [host] : []));
  if (hosts.length === 0) return '*';
  const shown = hosts.slice(0, SHOWN_HOSTS).join(',');
  return hosts.length > SHOWN_HOSTS || (hosts.length === SHOWN_HOSTS && rules.length > SHOWN_HOSTS) ? `${shown} + ${rules.length - SHOWN_HOSTS} more...` : shown;
}

export const ingresses = defineStrategy<Ingress>('networking.k8s.io', 'v1', 'ingresses', {
  prepareForCreate(ingress) {
    ingress.status = { loadBalancer: {} };
    ingress.metadata.generation = 1;
  },
  validate({ metadata, spec = {} }) {
    const annotated = metadata.annotations?.[CLASS_ANNOTATION];
    const clash = annotated !== undefined && spec.ingressClassName !== undefined && annotated !== spec.ingressClassName;
    const errors = clash ? [invalidValue(fieldPath('annotations').child(CLASS_ANNOTATION), annotated, 'must match `ingressClassName` when both are specified')] : [];
    return [...errors, ...validateSpec(spec)];
  },
  validateUpdate: ({ spec = {} }) => validateSpec(spec),
  validateStatusUpdate({ status }) {
    return each(status?.loadBalancer?.ingress, fieldPath('status', 'loadBalancer', 'ingress'), ({ ip, hostname }, path) => {
      const errors = ip ? ipErrors(ip, path.child('ip')) : [];
      if (!hostname) return errors;
      const at = path.child('hostname');
      errors.push(...fromMessages(at, hostname, isDNS1123Subdomain(hostname)));
      return isValidIP(hostname).length === 0 ? [...errors, invalidValue(at, hostname, NOT_AN_IP)] : errors;
    });
  },
  warnings({ metadata, spec }, old) {
    const annotated = !old && metadata.annotations?.[CLASS_ANNOTATION] !== undefined && spec?.ingressClassName === undefined;
    return annotated ? [`annotation "${CLASS_ANNOTATION}" is deprecated, please use 'spec.ingressClassName' instead`] : [];
  },
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Class', 'The name of the IngressClass resource that should be used for additional configuration'),
    text('Hosts', 'Hosts that incoming requests are matched against before the ingress rule'),
    text('Address', 'Address is a list containing ingress points for the load-balancer'),
    text('Ports', 'Ports of TLS configurations that open'),
    AGE,
  ],
  row({ metadata, spec = {}, status }, now) {
    const addresses = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => (ip || hostname ? [ip || hostname!] : []));
    return [
      metadata.name ?? '', spec.ingressClassName ?? NONE, hostsText(spec.rules ?? []), [...new Set(addresses)].toSorted().join(','), spec.tls?.length ? '80, 443' : '80', age(metadata, now),
    ];
  },
});
