/** The devices that a ResourceClaim asks for, and what classes say of them. */
import type {
  DeviceClaim, DeviceClaimConfiguration, DeviceConfiguration, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceSubRequest, DeviceToleration, ExactDeviceRequest,
} from '#api/gen/resource-v1.ts';
import type { Draft } from '#base/draft.ts';
import { invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isValidLabelValue } from '#machinery/names.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';
import { validateDeviceClassName, validateDriver, validateFullyQualifiedName, validateList, validateRawObject, validateSet, validateShortName } from './names.ts';
import { validateSelectorExpression } from './selector-expressions.ts';

export const MAX_REQUESTS = 32;
export const MAX_CONFIGS = 32;
const MAX_SUB_REQUESTS = 8;
const MAX_SELECTORS = 32;
const MAX_CONSTRAINTS = 32;
const MAX_PARAMETERS = 10 * 1024;
export const TAINT_EFFECTS = ['NoExecute', 'NoSchedule', 'None'];
const NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
const ONE_KIND = 'exactly one of `exactly` or `firstAvailable` is required';

/** Names of a claim's requests, each with those of its alternatives. */
export type RequestNames = ReadonlyMap<string, readonly string[]>;
export function requestNamesOf(claim: DeviceClaim | undefined): RequestNames {
  return new Map((claim?.requests ?? []).map((request) => [request.name, (request.firstAvailable ?? []).map(({ name }) => name)]));
}
export function validateRequestRef(name: string, names: RequestNames, path: FieldPath): FieldError[] {
  const parts = name.split('/');
  if (parts.length > 2) return [invalidValue(path, name, NO_REQUEST)];
  const errors = parts.flatMap((part) => validateShortName(part, path));
  const known = names.get(parts[0]!);
  return known && (parts.length === 1 || known.includes(parts[1]!)) ? errors : [...errors, invalidValue(path, name, NO_REQUEST)];
}
export function validateRequestRefs(refs: readonly string[] | undefined, names: RequestNames, path: FieldPath): FieldError[] {
  return validateSet(refs, MAX_REQUESTS, path, (name) => name, (name, at) => validateRequestRef(name, names, at));
}

export function validateSelectors(selectors: readonly DeviceSelector[] | undefined, path: FieldPath): FieldError[] {
  return validateList(selectors, MAX_SELECTORS, path, ({ cel }, at) => {
    return cel ? validateSelectorExpression(cel.expression ?? '', at.child('cel', 'expression')) : [required(at.child('cel'))];
  });
}
function validateToleration({ key, operator, value = '', effect }: DeviceToleration, path: FieldPath): FieldError[] {
  const errors = key ? validateLabelName(key, path.child('key')) : [];
  const at = path.child('value');
  if (operator === 'Exists') errors.push(...(value === '' ? [] : [invalidValue(at, value, 'must be empty for operator `Exists`')]));
  else if (operator === 'Equal') errors.push(...fromMessages(at, value, isValidLabelValue(value)));
  else errors.push(operator ? notSupported(path.child('operator'), operator, ['Equal', 'Exists']) : required(path.child('operator')));
  return effect ? [...errors, ...oneOf(effect, TAINT_EFFECTS, path.child('effect'))] : errors;
}
function validateWanted(request: ExactDeviceRequest | DeviceSubRequest, path: FieldPath): FieldError[] {
  const { allocationMode: mode = '', count = 0 } = request;
  const errors = [...validateDeviceClassName(request.deviceClassName, path.child('deviceClassName')), ...validateSelectors(request.selectors, path.child('selectors'))];
  const at = path.child('count');
  if (mode === 'All') errors.push(...(count === 0 ? [] : [invalidValue(at, count, "must not be specified when allocationMode is 'All'")]));
  else if (mode === 'ExactCount') errors.push(...(count > 0 ? [] : [invalidValue(at, count, 'must be greater than zero')]));
  else errors.push(notSupported(path.child('allocationMode'), mode, ['All', 'ExactCount']));
  return [...errors, ...each(request.tolerations, path.child('tolerations'), validateToleration)];
}
function validateRequest(request: DeviceRequest, path: FieldPath): FieldError[] {
  const errors = validateShortName(request.name, path.child('name'));
  const alternatives = request.firstAvailable ?? [];
  if (request.exactly && alternatives.length > 0) return [...errors, invalidValue(path, null, `${ONE_KIND}, but multiple fields are set`)];
  if (request.exactly) return [...errors, ...validateWanted(request.exactly, path.child('exactly'))];
  if (alternatives.length === 0) return [...errors, required(path, ONE_KIND)];
  const subs = validateSet(alternatives, MAX_SUB_REQUESTS, path.child('firstAvailable'), ({ name }) => name, (sub, at) => [...validateShortName(sub.name, at.child('name')), ...validateWanted(sub, at)]);
  return [...errors, ...subs];
}
function validateConstraint(constraint: DeviceConstraint, names: RequestNames, path: FieldPath): FieldError[] {
  const errors = validateRequestRefs(constraint.requests, names, path.child('requests'));
  const { matchAttribute: match, distinctAttribute: distinct } = constraint;
  if (match !== undefined) return [...errors, ...validateFullyQualifiedName(match, path.child('matchAttribute'))];
  if (distinct !== undefined) return [...errors, ...validateFullyQualifiedName(distinct, path.child('distinctAttribute'))];
  return [...errors, required(path, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set')];
}
export function validateConfiguration({ opaque }: DeviceConfiguration, path: FieldPath): FieldError[] {
  if (!opaque) return [required(path.child('opaque'))];
  return [...validateDriver(opaque.driver, path.child('opaque', 'driver')), ...validateRawObject(opaque.parameters, MAX_PARAMETERS, path.child('opaque', 'parameters'))];
}
export function validateDeviceClaim(claim: DeviceClaim | undefined, path: FieldPath): FieldError[] {
  const names = requestNamesOf(claim);
  return [
    ...validateSet(claim?.requests, MAX_REQUESTS, path.child('requests'), ({ name }) => name, validateRequest),
    ...validateList(claim?.constraints, MAX_CONSTRAINTS, path.child('constraints'), (constraint, at) => validateConstraint(constraint, names, at)),
    ...validateList(claim?.config, MAX_CONFIGS, path.child('config'), (config: DeviceClaimConfiguration, at) => [
      ...validateRequestRefs(config.requests, names, at.child('requests')), ...validateConfiguration(config, at),
    ]),
  ];
}

function defaultWanted(request: Draft<ExactDeviceRequest> | Draft<DeviceSubRequest>): void {
  request.allocationMode ||= 'ExactCount';
  if (request.allocationMode === 'ExactCount') request.count ||= 1;
  for (const toleration of request.tolerations ?? []) toleration.operator ||= 'Equal';
}
export function defaultDeviceClaim(claim: Draft<DeviceClaim> | undefined): void {
  for (const request of claim?.requests ?? []) {
    if (request.exactly) defaultWanted(request.exactly);
    for (const sub of request.firstAvailable ?? []) defaultWanted(sub);
  }
}
