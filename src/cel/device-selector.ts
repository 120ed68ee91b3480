/**
 * Selectors of devices: what `device` is in an expression, what it may cost, and whether a device fits.
 * Source: the API reference, "CELDeviceSelector"; KEP-4381.
 */
import { parseQuantity } from '#machinery/quantity.ts';
import { compile, type Program } from './compile.ts';
import { estimateCost, type SizeEstimator } from './cost-estimate.ts';
import type { Environment } from './environment.ts';
import { CelError } from './errors.ts';
import { BINDINGS, kubernetesEnvironment } from './kubernetes.ts';
import { QuantityValue, QUANTITY_TYPE } from './library/quantity.ts';
import { semverOf } from './library/semver.ts';
import { ANY, BOOL, mapOf, objectType, showRuntimeType, STRING } from './types.ts';
import { EntryMap, typeOf, type Value } from './values.ts';

/** In cel-go's units, of one evaluation. */
export const MAX_SELECTOR_COST = 1_000_000;

const DEVICE = objectType('kubernetes.DRADevice', {
  driver: STRING, allowMultipleAllocations: BOOL, attributes: mapOf(STRING, mapOf(STRING, ANY)), capacity: mapOf(STRING, mapOf(STRING, QUANTITY_TYPE)),
});

/** How long values of a type are at most, and those inside it. */
interface Sized {
  readonly max: number;
  readonly keys?: Sized;
  readonly values?: Sized;
  readonly fields?: Readonly<Record<string, Sized>>;
  /** Whether a field selects a value, whatever its name. */
  readonly open?: boolean;
}
const DOMAIN: Sized = { max: 63 };
const NAME: Sized = { max: 32 };
const MAX_ENTRIES = 32;
const SIZES: Sized = {
  max: 0,
  fields: {
    driver: { max: 63 },
    allowMultipleAllocations: { max: 1 },
    attributes: { max: MAX_ENTRIES, keys: DOMAIN, values: { max: MAX_ENTRIES, keys: NAME, values: { max: 64 }, open: true } },
    capacity: { max: MAX_ENTRIES, keys: DOMAIN, values: { max: MAX_ENTRIES, keys: NAME, values: { max: 0 } } },
  },
};
function step(from: Sized, name: string): Sized | undefined {
  if (name === '@keys') return from.keys;
  if (name === '@items' || name === '@values') return from.values;
  return from.fields?.[name] ?? (from.open ? from.values : undefined);
}
const sizes: SizeEstimator = (path) => {
  if (path?.[0] !== 'device') return undefined;
  let current: Sized | undefined = SIZES;
  for (const name of path.slice(1)) current = current && step(current, name);
  return current && { min: 0, max: current.max };
};

/** As it stands in a ResourceSlice. */
export interface SelectableDevice {
  readonly allowMultipleAllocations?: boolean | undefined;
  readonly attributes?: Readonly<Record<string, SelectableAttribute>> | undefined;
  readonly capacity?: Readonly<Record<string, { readonly value: string }>> | undefined;
}
interface SelectableAttribute {
  readonly int?: number | undefined;
  readonly bool?: boolean | undefined;
  readonly string?: string | undefined;
  readonly version?: string | undefined;
}
/** What expressions see of one device. */
export type DeviceValue = Value;

/** Of a domain that a device says nothing of it has no names, rather than that asking for it is an error. */
class Domains extends EntryMap {
  override get(key: Value): Value {
    return super.get(key) ?? NO_NAMES;
  }
  override has(key: Value): boolean {
    return super.get(key) !== undefined;
  }
}
const NO_NAMES = new EntryMap();

function attributeValue(name: string, { int, bool, string, version }: SelectableAttribute): Value {
  if (int !== undefined) return BigInt(int);
  if (bool !== undefined) return bool;
  if (string !== undefined) return string;
  // Lists of values are an alpha feature (KEP-5491).
  if (version === undefined) throw new CelError(`attribute ${name}: unsupported attribute value`);
  try {
    return semverOf(version);
  } catch (err) {
    throw new CelError(`attribute ${name}: parse semantic version: ${(err as Error).message}`);
  }
}
/** By domain and name; names without a domain are in the driver's. */
function byDomain<T>(entries: Readonly<Record<string, T>> | undefined, driver: string, value: (name: string, entry: T) => Value): Domains {
  const out = new Domains();
  const domains = new Map<string, EntryMap>();
  for (const [name, entry] of Object.entries(entries ?? {})) {
    const slash = name.indexOf('/');
    const domain = slash < 0 ? driver : name.slice(0, slash);
    let names = domains.get(domain);
    if (!names) {
      domains.set(domain, (names = new EntryMap()));
      out.put(domain, names);
    }
    names.put(name.slice(slash + 1), value(name, entry));
  }
  return out;
}
/** Throws for attributes that expressions have no value for. */
export function deviceValue(driver: string, device: SelectableDevice): DeviceValue {
  const out = new EntryMap();
  out.put('driver', driver);
  out.put('allowMultipleAllocations', device.allowMultipleAllocations ?? false);
  out.put('attributes', byDomain(device.attributes, driver, attributeValue));
  out.put('capacity', byDomain(device.capacity, driver, (_name, { value }) => new QuantityValue(parseQuantity(value))));
  return out;
}

export interface DeviceSelectorProgram {
  /** Throws what the evaluation failed by. */
  matches(device: DeviceValue): boolean;
  /** What an evaluation costs at most, in cel-go's units. */
  maxCost(): number;
}
export type CompiledSelector = { readonly selector: DeviceSelectorProgram } | { readonly error: string };

let environment: Environment | undefined;
export function compileDeviceSelector(expression: string): CompiledSelector {
  environment ??= kubernetesEnvironment(BINDINGS).withVariables({ device: DEVICE });
  const result = compile(expression, environment);
  if ('errors' in result) return { error: result.failed };
  const { program } = result;
  if (program.type.kind !== 'bool' && program.type !== ANY) return { error: `must evaluate to bool or the unknown type, not ${showRuntimeType(program.type)}` };
  return { selector: { matches: (device) => evaluate(program, device), maxCost: () => estimateCost(program.checked, sizes).max } };
}
function evaluate(program: Program, device: DeviceValue): boolean {
  const { value } = program.evaluate({ get: (name) => (name === 'device' ? device : undefined) }, MAX_SELECTOR_COST);
  if (typeof value === 'boolean') return value;
  const type = showRuntimeType(typeOf(value));
  throw new CelError(`CEL result of type ${type} could not be converted to bool: type conversion error from '${type}' to 'bool'`);
}
