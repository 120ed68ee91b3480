/** `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`: what they may be and how they may change (KEP-563, dual-stack). */
import type { Service, ServiceSpec } from '#api/gen/core-v1.ts';
import { duplicate, fieldPath, forbiddenField, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { oneOf } from '../field-checks.ts';
import { familyOf, ipErrors } from '../ip-checks.ts';
import { HEADLESS, isHeadless, needsHealthCheckNodePort } from './service-spec.ts';

const SPEC = fieldPath('spec');
const IPS = SPEC.child('clusterIPs');
const FAMILIES = SPEC.child('ipFamilies');
const POLICY = SPEC.child('ipFamilyPolicy');

function validateFamilies(spec: ServiceSpec): FieldError[] {
  const families = spec.ipFamilies ?? [];
  const errors = families.flatMap((family, i) => [
    ...oneOf(family, ['IPv4', 'IPv6'], FAMILIES.index(i)),
    ...(families.indexOf(family) < i ? [duplicate(FAMILIES.index(i), family)] : []),
  ]);
  if (spec.ipFamilyPolicy !== undefined) errors.push(...oneOf(spec.ipFamilyPolicy, ['SingleStack', 'PreferDualStack', 'RequireDualStack'], POLICY));
  return errors;
}
function validateEach(ips: readonly string[]): FieldError[] {
  return ips.flatMap((ip, i) => {
    if (i === 0 && ip === HEADLESS) return ips.length > 1 ? [invalidValue(IPS, ips, "'None' must be the first and only value")] : [];
    return ipErrors(ip, IPS.index(i));
  });
}

export function validateClusterIPs(spec: ServiceSpec): FieldError[] {
  if (spec.type === 'ExternalName') return [];
  const errors: FieldError[] = [];
  const ips = spec.clusterIPs ?? [];
  if (spec.clusterIP) {
    if (ips.length === 0) errors.push(required(IPS));
    else if (ips[0] !== spec.clusterIP) errors.push(invalidValue(IPS, ips, 'first value must match `clusterIP`'));
  } else if (ips.length > 0) errors.push(invalidValue(IPS, ips, 'must be empty when `clusterIP` is not specified'));
  errors.push(...validateFamilies(spec));
  const bad = validateEach(ips);
  errors.push(...bad);
  if (ips.length > 2) errors.push(invalidValue(IPS, ips, 'may only hold up to 2 values'));
  if (bad.length > 0) return errors;
  if (ips.length > 1 && new Set(ips.map(familyOf)).size < 2) errors.push(invalidValue(IPS, ips, 'may specify no more than one IP for each IP family'));
  if (isHeadless(spec)) return errors;
  for (const [i, ip] of ips.entries()) {
    const family = spec.ipFamilies?.[i];
    if (family && family !== familyOf(ip)) errors.push(invalidValue(IPS.index(i), ip, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``));
  }
  return errors;
}

function clusterIPChanges(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  const before = old.clusterIPs ?? [];
  const after = spec.clusterIPs ?? [];
  const fixed = (i: number) => invalidValue(IPS.index(i), after, 'may not change once set');
  if (isHeadless(old) && isHeadless(spec)) return [];
  if (before.length === after.length) return before.flatMap((ip, i) => (ip === after[i] ? [] : [fixed(i)]));
  const errors: FieldError[] = [];
  if (before.length > after.length && after.length === 0) errors.push(invalidValue(IPS.index(0), after, 'primary clusterIP can not be unset'));
  if (before.length > 0 && after.length > 0 && before[0] !== after[0]) errors.push(fixed(0));
  if (before.length > after.length && after.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    errors.push(invalidValue(POLICY, spec.ipFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP"));
  }
  return errors;
}
function familyChanges(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  if (isHeadless(old) || isHeadless(spec)) return [];
  const before = old.ipFamilies ?? [];
  const after = spec.ipFamilies ?? [];
  if (before.length === after.length) return before.flatMap((f, i) => (f === after[i] ? [] : [invalidValue(FAMILIES.index(0), after, 'may not change once set')]));
  const errors: FieldError[] = [];
  const ips = spec.clusterIPs ?? [];
  if (before.length > after.length && ips.length === 0) errors.push(invalidValue(FAMILIES.index(0), after, 'primary ipFamily can not be unset'));
  if (before.length > 0 && after.length > 0 && before[0] !== after[0]) errors.push(invalidValue(FAMILIES.index(0), ips, 'may not change once set'));
  if (before.length > after.length && after.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    errors.push(invalidValue(POLICY, spec.ipFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary ipFamily"));
  }
  return errors;
}

/** What an update may not do to addresses, families, class and health check port. */
export function validateServiceChanges(service: Service, old: Service): FieldError[] {
  const errors: FieldError[] = [];
  if (service.spec.type !== 'ExternalName' && old.spec.type !== 'ExternalName') {
    errors.push(...clusterIPChanges(service.spec, old.spec), ...familyChanges(service.spec, old.spec));
  }
  if (service.spec.type === 'LoadBalancer' && old.spec.type === 'LoadBalancer' && service.spec.loadBalancerClass !== old.spec.loadBalancerClass) {
    errors.push(invalidValue(SPEC.child('loadBalancerClass'), service.spec.loadBalancerClass, 'may not change once set'));
  }
  if (needsHealthCheckNodePort(old.spec) && needsHealthCheckNodePort(service.spec) && (service.spec.healthCheckNodePort ?? 0) !== (old.spec.healthCheckNodePort ?? 0)) {
    errors.push(forbiddenField(SPEC.child('healthCheckNodePort'), 'field is immutable'));
  }
  return errors;
}
