import type { Device, ResourcePool, ResourceSlice, ResourceSliceSpec } from '#api/gen/resource-v1.ts';
import type { Draft } from '#base/draft.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { validateNodeSelector } from '../core/node-selector.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';
import { validateCounterSet, validateDevice } from './device.ts';
import { validateDriver, validatePoolName, validateSet } from './names.ts';

const SPEC = fieldPath('spec');
const MAX_DEVICES = 128;
/** Devices with taints or counters say more, so there may be fewer. */
const MAX_DETAILED_DEVICES = 64;
const MAX_COUNTER_SETS = 8;
const ONE_PLACE = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';

function validatePool(pool: ResourcePool | undefined, path: FieldPath): FieldError[] {
  const { name, resourceSliceCount: count = 0, generation = 0 } = pool ?? {};
  return [
    ...validatePoolName(name, path.child('name')), ...(count > 0 ? [] : [invalidValue(path.child('resourceSliceCount'), count, 'must be greater than zero')]),
    ...(generation >= 0 ? [] : [invalidValue(path.child('generation'), generation, 'must be greater than or equal to zero')]),
  ];
}
function validatePlace(spec: ResourceSliceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const given: string[] = [];
  const { nodeName, nodeSelector } = spec;
  if (nodeName === '') errors.push(invalidValue(SPEC.child('nodeName'), nodeName, 'must be either unset or set to a non-empty string'));
  else if (nodeName !== undefined) {
    given.push('`nodeName`');
    errors.push(...fromMessages(SPEC.child('nodeName'), nodeName, isDNS1123Subdomain(nodeName)));
  }
  if (nodeSelector) {
    given.push('`nodeSelector`');
    errors.push(...validateNodeSelector(nodeSelector, false, SPEC.child('nodeSelector')));
    const terms = nodeSelector.nodeSelectorTerms ?? [];
    if (terms.length !== 1) errors.push(invalidValue(SPEC.child('nodeSelector', 'nodeSelectorTerms'), terms, 'must have exactly one node selector term'));
  }
  for (const field of ['allNodes', 'perDeviceNodeSelection'] as const) {
    if (spec[field]) given.push(`\`${field}\``);
    else if (spec[field] === false) errors.push(invalidValue(SPEC.child(field), false, 'must be either unset or set to true'));
  }
  if (given.length === 0) errors.push(required(SPEC, ONE_PLACE));
  if (given.length > 1) errors.push(invalidValue(SPEC, `{${given.join(', ')}}`, `${ONE_PLACE}, but multiple fields are set`));
  return errors;
}
function validate(slice: ResourceSlice, old?: ResourceSlice): FieldError[] {
  const { spec } = slice;
  const devices = spec?.devices ?? [];
  const errors = [...validateDriver(spec?.driver, SPEC.child('driver')), ...validatePool(spec?.pool, SPEC.child('pool'))];
  if (old) {
    errors.push(
      ...immutable(spec?.pool?.name, old.spec?.pool?.name, SPEC.child('pool', 'name')), ...immutable(spec?.driver, old.spec?.driver, SPEC.child('driver')),
      ...immutable(spec?.nodeName, old.spec?.nodeName, SPEC.child('nodeName')),
    );
  }
  if (!spec) return errors;
  errors.push(...validatePlace(spec));
  if (spec.sharedCounters && spec.devices) errors.push(invalidValue(SPEC, '', 'only one of `sharedCounters` or `devices` is allowed'));
  const detailed = devices.some((device) => device.taints?.length || device.consumesCounters?.length);
  return [
    ...errors,
    ...validateSet(devices, detailed ? MAX_DETAILED_DEVICES : MAX_DEVICES, SPEC.child('devices'), ({ name }) => name, (device, path) =>
      validateDevice(device, old?.spec?.devices?.find(({ name }) => name === device.name), spec.perDeviceNodeSelection === true, path)),
    ...validateSet(spec.sharedCounters, MAX_COUNTER_SETS, SPEC.child('sharedCounters'), ({ name }) => name, validateCounterSet),
  ];
}
const LISTS = ['ints', 'bools', 'strings', 'versions'] as const;
const hasLists = ({ attributes }: Device) => Object.values(attributes ?? {}).some((attribute) => LISTS.some((list) => attribute[list] !== undefined));
/** Lists in attributes and shares of a node's own resources are off by default: a slice without them gets none. */
function dropUnofferedFields({ spec }: Draft<ResourceSlice>, old: ResourceSlice | undefined): void {
  const before = old?.spec?.devices ?? [];
  const keepLists = before.some(hasLists);
  const keepMappings = before.some((device) => device.nodeAllocatableResourceMappings !== undefined);
  for (const device of spec?.devices ?? []) {
    if (!keepMappings) delete device.nodeAllocatableResourceMappings;
    if (!keepLists) for (const attribute of Object.values(device.attributes ?? {})) for (const list of LISTS) delete attribute[list];
  }
}
function stampTaints({ spec }: Draft<ResourceSlice>, now: number): void {
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  for (const device of spec?.devices ?? []) for (const taint of device.taints ?? []) taint.timeAdded ??= time;
}

export const resourceslices = defineStrategy<ResourceSlice>('resource.k8s.io', 'v1', 'resourceslices', {
  givenEmpty: ['spec.sharedCounters', 'spec.devices'],
  // An empty list matters only beside the other.
  default({ spec }) {
    if (!spec || (spec.sharedCounters && spec.devices)) return;
    if (spec.sharedCounters?.length === 0) delete spec.sharedCounters;
    if (spec.devices?.length === 0) delete spec.devices;
  },
  prepareForCreate(slice, ctx) {
    slice.metadata.generation = 1;
    dropUnofferedFields(slice, undefined);
    stampTaints(slice, ctx.now);
  },
  prepareForUpdate(slice, old, ctx) {
    // What is dropped counts, too.
    if (!semanticEqual(slice.spec, old.spec)) slice.metadata.generation = (old.metadata.generation ?? 0) + 1;
    dropUnofferedFields(slice, old);
    stampTaints(slice, ctx.now);
  },
  validate: (slice) => validate(slice),
  validateUpdate: (slice, old) => validate(slice, old),
  generationFields: ['spec'],
  warnings({ spec }) {
    const driver = spec?.driver ?? '';
    return driver === driver.toLowerCase() ? [] : [`spec.driver: driver names should be lowercase; ${JSON.stringify(driver)} contains uppercase characters`];
  },
  columns: [
    NAME,
    text('Node', fieldDoc('api/resource/v1.ResourceSliceSpec', 'nodeName')),
    text('Driver', fieldDoc('api/resource/v1.ResourceSliceSpec', 'driver')),
    text('Pool', fieldDoc('api/resource/v1.ResourcePool', 'name')),
    AGE,
  ],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', spec?.nodeName ?? '', spec?.driver ?? '', spec?.pool?.name ?? '', age(metadata, now)],
  selectableFields: { 'spec.nodeName': ({ spec }) => spec?.nodeName ?? '', 'spec.driver': ({ spec }) => spec?.driver ?? '' },
});
