import type { EndpointAddress, EndpointPort, Endpoints } from '#api/gen/core-v1.ts';
import { fieldPath, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, requiredOneOf } from '../field-checks.ts';
import { ipErrors, specialIPErrors } from '../ip-checks.ts';
import { AGE, age, fieldDoc, NAME, NONE, text } from '../printing.ts';
import { PROTOCOLS, validatePortNumber } from './ports.ts';
import { warningsForIP } from '#machinery/ip.ts';

function validateAddress(address: EndpointAddress, path: FieldPath): FieldError[] {
  const ip = address.ip ?? '';
  const errors = ipErrors(ip, path.child('ip'));
  if (address.hostname) errors.push(...fromMessages(path.child('hostname'), address.hostname, isDNS1123Label(address.hostname)));
  if (address.nodeName !== undefined) errors.push(...fromMessages(path.child('nodeName'), address.nodeName, isDNS1123Subdomain(address.nodeName)));
  return [...errors, ...specialIPErrors(ip, path.child('ip'))];
}
function validatePort(port: EndpointPort, needsName: boolean, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (port.name) errors.push(...fromMessages(path.child('name'), port.name, isDNS1123Label(port.name)));
  else if (needsName) errors.push(required(path.child('name')));
  errors.push(...validatePortNumber(port.port ?? 0, path.child('port')), ...requiredOneOf(port.protocol, PROTOCOLS, path.child('protocol')));
  if (port.appProtocol !== undefined) errors.push(...fromMessages(path.child('appProtocol'), port.appProtocol, isQualifiedName(port.appProtocol)));
  return errors;
}
function validate(endpoints: Endpoints): FieldError[] {
  return (endpoints.subsets ?? []).flatMap((subset, i) => {
    const path = fieldPath('subsets').index(i);
    const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
    const errors = addresses.length + notReadyAddresses.length === 0 ? [required(path, 'must specify `addresses` or `notReadyAddresses`')] : [];
    errors.push(...addresses.flatMap((a, j) => validateAddress(a, path.child('addresses').index(j))));
    errors.push(...notReadyAddresses.flatMap((a, j) => validateAddress(a, path.child('notReadyAddresses').index(j))));
    return [...errors, ...ports.flatMap((p, j) => validatePort(p, ports.length > 1, path.child('ports').index(j)))];
  });
}

const SHOWN = 3;
function endpointsText(endpoints: Endpoints): string {
  const subsets = endpoints.subsets ?? [];
  if (subsets.length === 0) return NONE;
  const all = subsets.flatMap(({ addresses = [], ports = [] }) => {
    const hosts = addresses.map((a) => a.ip);
    return ports.length === 0 ? hosts : ports.flatMap((p) => hosts.map((ip) => (ip.includes(':') ? `[${ip}]:${p.port}` : `${ip}:${p.port}`)));
  });
  const shown = all.slice(0, SHOWN).join(',');
  return all.length > SHOWN ? `${shown} + ${all.length - SHOWN} more...` : shown;
}

export const endpoints = defineStrategy<Endpoints>('', 'v1', 'endpoints', {
  allowCreateOnUpdate: true,
  default(obj) {
    for (const subset of obj.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ||= 'TCP';
  },
  validate,
  validateUpdate: validate,
  warnings: ({ subsets = [] }) =>
    subsets.flatMap((subset, i) =>
      (['addresses', 'notReadyAddresses'] as const).flatMap((list) => (subset[list] ?? []).flatMap(({ ip }, j) => warningsForIP(fieldPath('subsets').index(i).child(list).index(j).child('ip'), ip)))),
  columns: [NAME, text('Endpoints', fieldDoc('api/core/v1.Endpoints', 'subsets')), AGE],
  row: (obj, now) => [obj.metadata.name ?? '', endpointsText(obj), age(obj.metadata, now)],
});
