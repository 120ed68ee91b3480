/** Slices, classes and claims of devices for tests. */
import type { Device, DeviceAttribute, DeviceClass, DeviceClassSpec, DeviceConstraint, DeviceRequest, ExactDeviceRequest, ResourceClaim, ResourceClaimStatus, ResourceSlice, ResourceSliceSpec } from '#api/gen/resource-v1.ts';

export const DRIVER = 'gpu.example.com';

/** `attributes` are by their short names: strings, numbers and truths. */
export function makeDevice(name: string, attributes: Readonly<Record<string, string | number | boolean>> = {}, more: Partial<Device> = {}): Device {
  const of = (value: string | number | boolean): DeviceAttribute => (typeof value === 'string' ? { string: value } : typeof value === 'number' ? { int: value } : { bool: value });
  return { name, attributes: Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, of(value)])), ...more };
}
/** On a node, unless `more` says otherwise, in a pool of the node's name with this one slice. */
export function makeSlice(name: string, nodeName: string | undefined, devices: readonly Device[], more: Partial<ResourceSliceSpec> = {}): ResourceSlice {
  return {
    apiVersion: 'resource.k8s.io/v1', kind: 'ResourceSlice', metadata: { name, uid: name },
    spec: { driver: DRIVER, pool: { name: nodeName ?? 'shared', generation: 1, resourceSliceCount: 1 }, ...(nodeName === undefined ? {} : { nodeName }), devices, ...more },
  };
}
/** A class of all devices of {@link DRIVER}, unless `spec` says otherwise. */
export function makeDeviceClass(name: string, spec: DeviceClassSpec = { selectors: [selector(`device.driver == "${DRIVER}"`)] }): DeviceClass {
  return { apiVersion: 'resource.k8s.io/v1', kind: 'DeviceClass', metadata: { name, uid: name }, spec };
}
export function selector(expression: string): { cel: { expression: string } } {
  return { cel: { expression } };
}
/** One device of the class `gpu`, unless `more` says otherwise. */
export function exactly(name: string, more: Partial<ExactDeviceRequest> = {}): DeviceRequest {
  return { name, exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1, ...more } };
}
export function anyOf(name: string, ...alternatives: readonly (readonly [name: string, more: Partial<ExactDeviceRequest>])[]): DeviceRequest {
  return { name, firstAvailable: alternatives.map(([sub, more]) => ({ name: sub, deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1, ...more })) };
}
export interface ClaimOptions {
  readonly requests?: readonly DeviceRequest[];
  readonly constraints?: readonly DeviceConstraint[];
  readonly status?: ResourceClaimStatus;
  readonly metadata?: Partial<ResourceClaim['metadata']>;
}
export function makeResourceClaim(name: string, { requests = [exactly('r')], constraints, status, metadata }: ClaimOptions = {}): ResourceClaim {
  return {
    apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name, namespace: 'default', uid: name, resourceVersion: '1', ...metadata },
    spec: { devices: { requests, ...(constraints ? { constraints } : {}) } }, ...(status ? { status } : {}),
  };
}
/** The status of a claim that has these devices of the node's pool. */
export function allocatedOn(nodeName: string, ...devices: readonly string[]): ResourceClaimStatus {
  return {
    allocation: {
      devices: { results: devices.map((device) => ({ request: 'r', driver: DRIVER, pool: nodeName, device })) },
      nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }] },
    },
  };
}
