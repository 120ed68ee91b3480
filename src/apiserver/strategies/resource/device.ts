/** One device in a ResourceSlice. */
import type { CounterSet, Device, DeviceAttribute, DeviceCounterConsumption, DeviceTaint } from '#api/gen/resource-v1.ts';
import { invalidValue, required, tooLong, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain, isValidLabelValue } from '#machinery/names.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { validateNodeSelector } from '../core/node-selector.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { eachKey, fromMessages, requiredOneOf } from '../field-checks.ts';
import { validateBindingConditions } from './binding-conditions.ts';
import { validateCapacity } from './capacity-policy.ts';
import { TAINT_EFFECTS } from './claim-spec.ts';
import { validateList, validateQualifiedName, validateSet, validateShortName } from './names.ts';

const MAX_ATTRIBUTES = 32;
const MAX_VALUE = 64;
const MAX_TAINTS = 16;
const MAX_CONSUMPTIONS = 2;
const MAX_COUNTERS = 32;
/** Source: semver.org, version 2.0.0. */
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$/;
const ONE_PLACE = 'exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
const NO_PLACE = '`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec';

function validateAttribute(attribute: DeviceAttribute, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const { string: text, version } = attribute;
  if (text !== undefined && Buffer.byteLength(text) > MAX_VALUE) errors.push(tooLong(path.child('string'), MAX_VALUE));
  if (version !== undefined && !SEMVER.test(version)) errors.push(invalidValue(path.child('version'), version, 'must be a string compatible with semver.org spec 2.0.0'));
  if (version !== undefined && Buffer.byteLength(version) > MAX_VALUE) errors.push(tooLong(path.child('version'), MAX_VALUE));
  const given = Object.values(attribute).filter((value) => value !== undefined).length;
  return given === 1 ? errors : [...errors, invalidValue(path, given === 0 ? '' : attribute, 'exactly one value must be specified')];
}
function validateTaint({ key, value, effect }: DeviceTaint, path: FieldPath): FieldError[] {
  return [
    ...validateLabelName(key ?? '', path.child('key')), ...(value ? fromMessages(path.child('value'), value, isValidLabelValue(value)) : []),
    ...requiredOneOf(effect, TAINT_EFFECTS, path.child('effect')),
  ];
}
function validateCounters(counters: CounterSet['counters'] | undefined, path: FieldPath): FieldError[] {
  const count = Object.keys(counters ?? {}).length;
  if (count === 0) return [required(path)];
  return count > MAX_COUNTERS ? [tooMany(path, count, MAX_COUNTERS)] : eachKey(counters, path, (name, _counter, at) => validateShortName(name, at));
}
function validateConsumption(consumption: DeviceCounterConsumption, path: FieldPath): FieldError[] {
  const at = path.child('counterSet');
  return [...(consumption.counterSet ? validateShortName(consumption.counterSet, at) : [required(at)]), ...validateCounters(consumption.counters, path.child('counters'))];
}
export function validateCounterSet(set: CounterSet, path: FieldPath): FieldError[] {
  return [...(set.name ? validateShortName(set.name, path.child('name')) : [required(path.child('name'))]), ...validateCounters(set.counters, path.child('counters'))];
}
function validatePlace(device: Device, perDevice: boolean, path: FieldPath): FieldError[] {
  const { nodeName, nodeSelector, allNodes } = device;
  if (!perDevice) return nodeName !== undefined || nodeSelector || allNodes !== undefined ? [invalidValue(path, null, NO_PLACE)] : [];
  const errors: FieldError[] = [];
  const given: string[] = [];
  if (nodeName === '') errors.push(invalidValue(path.child('nodeName'), nodeName, 'must not be empty'));
  else if (nodeName !== undefined) {
    given.push('`nodeName`');
    errors.push(...fromMessages(path.child('nodeName'), nodeName, isDNS1123Subdomain(nodeName)));
  }
  if (nodeSelector) {
    given.push('`nodeSelector`');
    errors.push(...validateNodeSelector(nodeSelector, false, path.child('nodeSelector')));
  }
  if (allNodes) given.push('`allNodes`');
  else if (allNodes === false) errors.push(invalidValue(path.child('allNodes'), allNodes, 'must be either unset or set to true'));
  if (given.length === 0) errors.push(required(path, ONE_PLACE));
  if (given.length > 1) errors.push(invalidValue(path, `{${given.join(', ')}}`, ONE_PLACE));
  return errors;
}
export function validateDevice(device: Device, old: Device | undefined, perDevice: boolean, path: FieldPath): FieldError[] {
  const total = Object.keys(device.attributes ?? {}).length + Object.keys(device.capacity ?? {}).length;
  const errors = validateShortName(device.name, path.child('name'));
  if (total > MAX_ATTRIBUTES) errors.push(invalidValue(path, total, `the total number of attributes and capacities must not exceed ${MAX_ATTRIBUTES}`));
  // Of a bad name the map is told, of a bad value its entry.
  const [attributes, capacities] = [path.child('attributes'), path.child('capacity')];
  errors.push(
    ...eachKey(device.attributes, attributes, (name, attribute, at) => [...validateQualifiedName(name, attributes), ...validateAttribute(attribute, at)]),
    ...eachKey(device.capacity, capacities, (name, capacity, at) => [...validateQualifiedName(name, capacities), ...validateCapacity(capacity, device.allowMultipleAllocations === true, at)]),
  );
  if (!old || !semanticEqual(old.taints, device.taints)) errors.push(...validateList(device.taints, MAX_TAINTS, path.child('taints'), validateTaint));
  return [
    ...errors, ...validateSet(device.consumesCounters, MAX_CONSUMPTIONS, path.child('consumesCounters'), ({ counterSet }) => counterSet, validateConsumption),
    ...validatePlace(device, perDevice, path), ...validateBindingConditions(device.bindingConditions, device.bindingFailureConditions, path),
  ];
}
