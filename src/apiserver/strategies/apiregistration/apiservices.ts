import type { APIService, APIServiceSpec } from '#api/gen/apiregistration-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { isDNS1035Label, isDNS1123Subdomain, isValidPortNum, nameIsPathSegment } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';
import { AGE, age, NAME, text } from '../printing.ts';

const SPEC = fieldPath('spec');
const MAX_GROUP_PRIORITY = 20_000;
const MAX_VERSION_PRIORITY = 1000;
const HTTPS_PORT = 443;

function validateName(name: string, field: string, { group = '', version = '' }: APIServiceSpec): FieldError[] {
  const expected = `${version}.${group}`;
  return name === expected ? [] : [invalidValue(fieldPath('metadata', field), name, `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(expected)}`)];
}
/** Served by this server itself: nothing to trust. */
function validateLocal({ caBundle = '', insecureSkipTLSVerify }: APIServiceSpec): FieldError[] {
  const size = Buffer.from(caBundle, 'base64').length;
  return [
    ...(size > 0 ? [invalidValue(SPEC.child('caBundle'), `${size} bytes`, 'local APIServices may not have a caBundle')] : []),
    ...(insecureSkipTLSVerify ? [invalidValue(SPEC.child('insecureSkipTLSVerify'), true, 'local APIServices may not have insecureSkipTLSVerify')] : []),
  ];
}
function validateRemote(spec: APIServiceSpec, service: NonNullable<APIServiceSpec['service']>): FieldError[] {
  const at = SPEC.child('service');
  const port = service.port ?? 0;
  const problems = isValidPortNum(port);
  return [
    ...(service.namespace ? [] : [required(at.child('namespace'))]), ...(service.name ? [] : [required(at.child('name'))]),
    ...(problems.length > 0 ? [invalidValue(at.child('port'), port, `port is not valid: ${problems.join(', ')}`)] : []),
    ...(spec.insecureSkipTLSVerify && spec.caBundle ? [invalidValue(SPEC.child('insecureSkipTLSVerify'), true, 'may not be true if caBundle is present')] : []),
  ];
}
function validate({ metadata, spec }: APIService): FieldError[] {
  const { group = '', version = '', groupPriorityMinimum: groupPriority = 0, versionPriority = 0, service } = spec ?? {};
  // Whatever begins the name must be all of it.
  const errors = [...(metadata.generateName ? validateName(metadata.generateName, 'generateName', spec ?? {}) : []), ...validateName(metadata.name ?? '', 'name', spec ?? {})];
  if (group === '' && version !== 'v1') errors.push(required(SPEC.child('group'), 'only v1 may have an empty group and it better be legacy kube'));
  if (group !== '') errors.push(...fromMessages(SPEC.child('group'), group, isDNS1123Subdomain(group)));
  errors.push(...fromMessages(SPEC.child('version'), version, isDNS1035Label(version)));
  if (groupPriority <= 0 || groupPriority > MAX_GROUP_PRIORITY) errors.push(invalidValue(SPEC.child('groupPriorityMinimum'), groupPriority, `must be positive and less than ${MAX_GROUP_PRIORITY}`));
  if (versionPriority <= 0 || versionPriority > MAX_VERSION_PRIORITY) errors.push(invalidValue(SPEC.child('versionPriority'), versionPriority, `must be positive and less than ${MAX_VERSION_PRIORITY}`));
  return [...errors, ...(service ? validateRemote(spec, service) : validateLocal(spec ?? {}))];
}

export const apiservices = defineStrategy<APIService>('apiregistration.k8s.io', 'v1', 'apiservices', {
  validateName: nameIsPathSegment,
  default({ spec }) {
    if (spec?.service) spec.service.port ??= HTTPS_PORT;
  },
  prepareForCreate(service, ctx) {
    const lastTransitionTime = new Date(ctx.now).toISOString().replace(/\.\d+Z$/, 'Z');
    const local = [{ type: 'Available', status: 'True', lastTransitionTime, reason: 'Local', message: 'Local APIServices are always available' }];
    service.status = service.spec?.service ? {} : { conditions: local };
  },
  validate,
  validateUpdate: validate,
  validateStatusUpdate: ({ status }) => each(status?.conditions, fieldPath('status', 'conditions'), (condition, path) => oneOf(condition.status, ['True', 'False', 'Unknown'], path.child('status'))),
  allowUnconditionalUpdate: false,
  columns: [NAME, text('Service', 'The reference to the service that hosts this API endpoint.'), text('Available', 'Whether this service is available.'), AGE],
  row({ metadata, spec, status }, now) {
    const service = spec?.service ? `${spec.service.namespace ?? ''}/${spec.service.name ?? ''}` : 'Local';
    const available = status?.conditions?.find(({ type }) => type === 'Available');
    const shown = available === undefined ? 'Unknown' : available.status === 'True' ? 'True' : `${available.status} (${available.reason ?? ''})`;
    return [metadata.name ?? '', service, shown, age(metadata, now)];
  },
});
