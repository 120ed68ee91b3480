/** What was allocated for a ResourceClaim, who uses it, and what drivers say of the devices. */
import type {
  AllocatedDeviceStatus, AllocationResult, DeviceAllocationConfiguration, DeviceRequestAllocationResult, NetworkDeviceData, ResourceClaim, ResourceClaimConsumerReference,
} from '#api/gen/resource-v1.ts';
import type { Draft } from '#base/draft.ts';
import { forbiddenField, invalidValue, notSupported, required, tooLong, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isValidInterfaceAddress } from '#machinery/ip.ts';
import { validateConditions } from '../conditions.ts';
import { validateNodeSelector } from '../core/node-selector.ts';
import { fromMessages, immutable } from '../field-checks.ts';
import { validateBindingConditions } from './binding-conditions.ts';
import { MAX_CONFIGS, requestNamesOf, validateConfiguration, validateRequestRef, validateRequestRefs, type RequestNames } from './claim-spec.ts';
import { validateDriver, validateList, validatePoolName, validateRawObject, validateSet, validateShareID, validateShortName } from './names.ts';

const MAX_RESERVED = 256;
const MAX_RESULTS = 32;
const MAX_CONDITIONS = 8;
const MAX_DATA = 10 * 1024;
const MAX_INTERFACE_NAME = 256;
const MAX_HARDWARE_ADDRESS = 128;
const MAX_IPS = 16;

interface DeviceKey {
  readonly driver: string;
  readonly pool: string;
  readonly device: string;
  readonly shareID?: string | undefined;
}
const keyOf = ({ driver, pool, device, shareID }: DeviceKey) => `${driver}/${pool}/${device}${shareID === undefined ? '' : `/${shareID}`}`;

function validateConsumer(ref: ResourceClaimConsumerReference, path: FieldPath): FieldError[] {
  return (['resource', 'name', 'uid'] as const).filter((field) => !ref[field]).map((field) => required(path.child(field)));
}
function validateNetworkData(data: NetworkDeviceData | undefined, path: FieldPath): FieldError[] {
  if (!data) return [];
  return [
    ...((data.interfaceName?.length ?? 0) > MAX_INTERFACE_NAME ? [tooLong(path.child('interfaceName'), MAX_INTERFACE_NAME)] : []),
    ...((data.hardwareAddress?.length ?? 0) > MAX_HARDWARE_ADDRESS ? [tooLong(path.child('hardwareAddress'), MAX_HARDWARE_ADDRESS)] : []),
    ...validateSet(data.ips, MAX_IPS, path.child('ips'), (ip) => ip, (ip, at) => fromMessages(at, ip, isValidInterfaceAddress(ip))),
  ];
}
function validateDevice(device: AllocatedDeviceStatus, allocated: ReadonlySet<string>, path: FieldPath): FieldError[] {
  const conditions = device.conditions ?? [];
  const errors = [...validateDriver(device.driver, path.child('driver')), ...validatePoolName(device.pool, path.child('pool')), ...validateShortName(device.device, path.child('device'))];
  if (device.shareID !== undefined) errors.push(...validateShareID(device.shareID, path.child('shareID')));
  if (!allocated.has(keyOf(device))) errors.push(invalidValue(path, keyOf(device), 'must be an allocated device in the claim'));
  if (conditions.length > MAX_CONDITIONS) errors.push(tooMany(path.child('conditions'), conditions.length, MAX_CONDITIONS));
  errors.push(...validateConditions(conditions, path.child('conditions')));
  if (device.data !== undefined && device.data !== null) errors.push(...validateRawObject(device.data, MAX_DATA, path.child('data')));
  return [...errors, ...validateNetworkData(device.networkData, path.child('networkData'))];
}
function validateResult(result: DeviceRequestAllocationResult, names: RequestNames, path: FieldPath): FieldError[] {
  return [
    ...validateRequestRef(result.request ?? '', names, path.child('request')), ...validateDriver(result.driver, path.child('driver')), ...validatePoolName(result.pool, path.child('pool')),
    ...validateShortName(result.device, path.child('device')), ...validateBindingConditions(result.bindingConditions, result.bindingFailureConditions, path),
    ...(result.shareID === undefined ? [] : validateShareID(result.shareID, path.child('shareID'))),
  ];
}
function validateAllocatedConfig(config: DeviceAllocationConfiguration, names: RequestNames, path: FieldPath): FieldError[] {
  const source: string = config.source ?? '';
  const at = path.child('source');
  const errors = source === '' ? [required(at)] : source === 'FromClaim' || source === 'FromClass' ? [] : [notSupported(at, source, ['FromClaim', 'FromClass'])];
  return [...errors, ...validateRequestRefs(config.requests, names, path.child('requests')), ...validateConfiguration(config, path)];
}
function validateAllocation(allocation: AllocationResult, names: RequestNames, path: FieldPath): FieldError[] {
  return [
    ...validateList(allocation.devices?.results, MAX_RESULTS, path.child('devices', 'results'), (result, at) => validateResult(result, names, at)),
    ...validateList(allocation.devices?.config, 2 * MAX_CONFIGS, path.child('devices', 'config'), (config, at) => validateAllocatedConfig(config, names, at)),
    ...(allocation.nodeSelector ? validateNodeSelector(allocation.nodeSelector, false, path.child('nodeSelector')) : []),
  ];
}

/** What drivers said of devices goes with their allocation: those who take that away need not know of it. */
export function dropDeallocated(claim: Draft<ResourceClaim>, old: ResourceClaim): void {
  const { status } = claim;
  if (!status?.devices) return;
  const keys = (c: { readonly status?: ResourceClaim['status'] | undefined }): Set<string> => new Set((c.status?.allocation?.devices?.results ?? []).map(keyOf));
  const gone = keys(old).difference(keys(claim as ResourceClaim));
  const left = status.devices.filter((d) => !gone.has(keyOf(d)));
  if (left.length) status.devices = left;
  else delete status.devices;
}
export function validateClaimStatus(claim: ResourceClaim, old: ResourceClaim, path: FieldPath): FieldError[] {
  const { allocation, reservedFor = [], devices } = claim.status ?? {};
  const before = old.status?.allocation;
  const reserved = path.child('reservedFor');
  const allocated = new Set((allocation?.devices?.results ?? []).map(keyOf));
  const errors = [
    ...validateSet(reservedFor, MAX_RESERVED, reserved, ({ uid }) => uid, validateConsumer),
    ...validateSet(devices, Infinity, path.child('devices'), keyOf, (device, at) => validateDevice(device, allocated, at)),
  ];
  if (reservedFor.length > 0) {
    const known = new Set((old.status?.reservedFor ?? []).map(({ uid }) => uid));
    if (!allocation) errors.push(forbiddenField(reserved, 'may not be specified when `allocated` is not set'));
    else if (claim.metadata.deletionTimestamp && reservedFor.some(({ uid }) => !known.has(uid))) {
      errors.push(forbiddenField(reserved, 'new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set'));
    }
  }
  if (!allocation) return errors;
  const at = path.child('allocation');
  return [...errors, ...(before ? immutable(allocation, before, at) : validateAllocation(allocation, requestNamesOf(claim.spec?.devices), at))];
}
