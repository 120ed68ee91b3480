import type { ServiceCIDR } from '#api/gen/networking-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { isValidCIDR, parseCIDR } from '#machinery/ip.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, fromMessages, IMMUTABLE } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';

const CIDRS = fieldPath('spec', 'cidrs');
const ONE_EACH = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96';

function validate({ spec }: Partial<ServiceCIDR>): FieldError[] {
  const cidrs = spec?.cidrs ?? [];
  if (cidrs.length === 0) return [required(CIDRS, 'at least one CIDR required')];
  if (cidrs.length > 2) return [invalidValue(CIDRS, cidrs, 'may only hold up to 2 values')];
  const families = cidrs.map((cidr) => parseCIDR(cidr)?.address.version);
  if (cidrs.length === 2 && (families.includes(undefined) || families[0] === families[1])) return [invalidValue(CIDRS, cidrs, ONE_EACH)];
  return each(cidrs, CIDRS, (cidr, path) => fromMessages(path, cidr, isValidCIDR(cidr)));
}

export const servicecidrs = defineStrategy<ServiceCIDR>('networking.k8s.io', 'v1', 'servicecidrs', {
  prepareForCreate(range) {
    range.status = emptyStatus('networking.k8s.io', 'v1', 'ServiceCIDR');
  },
  validate,
  validateUpdate(range, old) {
    const [now, before] = [range.spec?.cidrs ?? [], old.spec?.cidrs ?? []];
    if (semanticEqual(now, before)) return [];
    // A second family may be added, nothing else.
    if (before.length !== 1 || now.length !== 2) return [invalidValue(CIDRS, now, IMMUTABLE)];
    if (now[0] !== before[0]) return [invalidValue(CIDRS.index(0), now[0], 'primary CIDR can not be changed when using DualStack')];
    return validate(range);
  },
  // Upstream takes any status: its own conditions have no reason.
  validateStatusUpdate: () => [],
  columns: [NAME, text('CIDRs', fieldDoc('api/networking/v1.ServiceCIDRSpec', 'cidrs')), AGE],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', (spec?.cidrs ?? []).join(','), age(metadata, now)],
});
