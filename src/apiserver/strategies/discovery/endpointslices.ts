import type { Endpoint, EndpointHints, EndpointPort, EndpointSlice } from '#api/gen/discovery-v1.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { duplicate, fieldPath, invalidValue, required, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, isFullyQualifiedDomainName, isQualifiedName, isValidLabelValue } from '#machinery/names.ts';
import { validateLabels } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { each, fromMessages, immutable, oneOf } from '../field-checks.ts';
import { familyOf, ipErrors, specialIPErrors } from '../ip-checks.ts';
import { AGE, age, fieldDoc, NAME, text, UNSET } from '../printing.ts';
import { isValidIP, warningsForIP } from '#machinery/ip.ts';
import type { Draft } from '#base/draft.ts';

const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;
const MAX_PORTS = 20_000;
const MAX_TOPOLOGY = 16;
const MAX_HINTS = 8;
const SHOWN = 3;
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
/** Our own controllers write addresses that are in order. */
const CONTROLLERS: ReadonlySet<string> = new Set(['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io']);
const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

function validateAddress(address: string, type: string, list: FieldPath, path: FieldPath): FieldError[] {
  if (type === 'FQDN') return isFullyQualifiedDomainName(path, address);
  if (type !== 'IPv4' && type !== 'IPv6') return [];
  const errors = type === 'IPv6' ? fromMessages(path, address, isValidIP(address)) : ipErrors(address, path);
  if (errors.length) return errors;
  return [...(familyOf(address) === type ? [] : [invalidValue(list, address, `must be an ${type} address`)]), ...specialIPErrors(address, path)];
}
function validateHints(hints: EndpointHints, path: FieldPath): FieldError[] {
  return (['forZones', 'forNodes'] as const).flatMap((field) => {
    const list: readonly { readonly name: string }[] = hints[field] ?? [];
    const at = path.child(field);
    if (list.length > MAX_HINTS) return [tooMany(at, list.length, MAX_HINTS)];
    return each(list, at, ({ name = '' }, itemPath, i) => {
      const where = itemPath.child('name');
      if (list.findIndex((other) => other.name === name) < i) return [duplicate(where, name)];
      return fromMessages(where, name, field === 'forZones' ? isValidLabelValue(name) : isDNS1123Subdomain(name));
    });
  });
}
function validateEndpoint(endpoint: Endpoint, type: string, path: FieldPath): FieldError[] {
  const { addresses = [], nodeName, deprecatedTopology: topology, hostname, hints } = endpoint;
  const errors: FieldError[] = [];
  const at = path.child('addresses');
  if (addresses.length === 0) errors.push(required(at, 'must contain at least 1 address'));
  else if (addresses.length > MAX_ADDRESSES) errors.push(tooMany(at, addresses.length, MAX_ADDRESSES));
  errors.push(...each(addresses, at, (address, addressPath) => validateAddress(address, type, at, addressPath)));
  if (nodeName !== undefined) errors.push(...fromMessages(path.child('nodeName'), nodeName, isDNS1123Subdomain(nodeName)));
  const labels = path.child('deprecatedTopology');
  const count = Object.keys(topology ?? {}).length;
  if (count > MAX_TOPOLOGY) errors.push(tooMany(labels, count, MAX_TOPOLOGY));
  errors.push(...validateLabels(topology, labels));
  if (hostname !== undefined) errors.push(...fromMessages(path.child('hostname'), hostname, isDNS1123Label(hostname)));
  return hints ? [...errors, ...validateHints(hints, path.child('hints'))] : errors;
}
function validatePorts(ports: readonly EndpointPort[], path: FieldPath): FieldError[] {
  if (ports.length > MAX_PORTS) return [tooMany(path, ports.length, MAX_PORTS)];
  return each(ports, path, ({ name = '', protocol, appProtocol }, at, i) => [
    ...(name === '' ? [] : fromMessages(at.child('name'), name, isDNS1123Label(name))),
    ...(ports.findIndex((other) => (other.name ?? '') === name) < i ? [duplicate(at.child('name'), name)] : []),
    ...(protocol === undefined ? [required(at.child('protocol'))] : oneOf(protocol, PROTOCOLS, at.child('protocol'))),
    ...(appProtocol === undefined ? [] : fromMessages(at.child('appProtocol'), appProtocol, isQualifiedName(appProtocol))),
  ]);
}
function validateEndpoints(endpoints: readonly Endpoint[], type: string, path: FieldPath): FieldError[] {
  return endpoints.length > MAX_ENDPOINTS ? [tooMany(path, endpoints.length, MAX_ENDPOINTS)] : each(endpoints, path, (endpoint, at) => validateEndpoint(endpoint, type, at));
}
function validate({ addressType, endpoints = [], ports = [] }: EndpointSlice, old?: EndpointSlice): FieldError[] {
  const at = fieldPath('endpoints');
  const type: string = addressType ?? '';
  return [
    ...(type === '' ? [required(fieldPath('addressType'))] : oneOf(type, ['FQDN', 'IPv4', 'IPv6'], fieldPath('addressType'))),
    ...validatePorts(ports, fieldPath('ports')),
    // What was taken once is not refused for it later.
    ...(old && semanticEqual(old.endpoints, endpoints) ? [] : validateEndpoints(endpoints, type, at)),
  ];
}
function shortList(items: readonly string[]): string {
  if (items.length === 0) return UNSET;
  const shown = items.slice(0, SHOWN).join(',');
  return items.length > SHOWN ? `${shown} + ${items.length - SHOWN} more...` : shown;
}

/** This version of the API writes no such field; objects of the one before have it. */
function dropTopology({ endpoints }: Draft<EndpointSlice>): void {
  for (const endpoint of endpoints ?? []) delete endpoint.deprecatedTopology;
}

export const endpointslices = defineStrategy<EndpointSlice>('discovery.k8s.io', 'v1', 'endpointslices', {
  default({ ports }) {
    for (const port of ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  prepareForCreate(slice) {
    slice.metadata.generation = 1;
    dropTopology(slice);
  },
  validate: (slice) => validate(slice),
  validateUpdate: (slice, old) => [...validate(slice, old), ...immutable(slice.addressType, old.addressType, fieldPath('addressType'))],
  warnings({ metadata, addressType, endpoints = [] }, old) {
    const managed = CONTROLLERS.has(metadata.labels?.[MANAGED_BY] ?? '');
    const at = fieldPath('endpoints');
    return [
      ...(!old && addressType === 'FQDN' ? ['spec.addressType: FQDN endpoints are deprecated'] : []),
      ...(managed || addressType === 'FQDN' ? [] : endpoints.flatMap(({ addresses = [] }, i) => addresses.flatMap((ip, j) => warningsForIP(at.index(i).child('addresses').index(j), ip)))),
    ];
  },
  prepareForUpdate(slice, old) {
    if (!semanticEqual(slice.endpoints, old.endpoints)) dropTopology(slice);
    // Labels say which Service the endpoints are of: they count as the rest does.
    if (!semanticEqual(slice.metadata.labels ?? {}, old.metadata.labels ?? {})) slice.metadata.generation = (old.metadata.generation ?? 0) + 1;
  },
  generationFields: ['addressType', 'endpoints', 'ports'],
  columns: [
    NAME,
    text('AddressType', fieldDoc('api/discovery/v1.EndpointSlice', 'addressType')),
    text('Ports', fieldDoc('api/discovery/v1.EndpointSlice', 'ports')),
    text('Endpoints', fieldDoc('api/discovery/v1.EndpointSlice', 'endpoints')),
    AGE,
  ],
  row({ metadata, addressType, endpoints = [], ports = [] }, now) {
    const portTexts = ports.map(({ port, name }) => (port === undefined ? name || '*' : String(port)));
    return [metadata.name ?? '', addressType, shortList(portTexts), shortList(endpoints.flatMap((endpoint) => endpoint.addresses ?? [])), age(metadata, now)];
  },
});
