import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileDeviceSelector, deviceValue, MAX_SELECTOR_COST, type SelectableDevice } from './device-selector.ts';

const gpu: SelectableDevice = {
  attributes: {
    model: { string: 'LATEST' }, cores: { int: 64 }, ready: { bool: true }, driverVersion: { version: '1.2.3' }, 'other.example.com/numa': { int: 1 },
  },
  capacity: { memory: { value: '80Gi' }, 'other.example.com/lanes': { value: '16' } },
};
const OWN = 'device.attributes["gpu.example.com"]';

function ask(expression: string, device: SelectableDevice = gpu): boolean | string {
  const compiled = compileDeviceSelector(expression);
  if ('error' in compiled) return compiled.error;
  try {
    return compiled.selector.matches(deviceValue('gpu.example.com', device));
  } catch (err) {
    return (err as Error).message;
  }
}

const table: readonly (readonly [expression: string, want: boolean | string])[] = [
  ['true', true],
  ['device.driver == "gpu.example.com"', true],
  ['device.driver == "nic.example.com"', false],
  [`${OWN}.model == "LATEST"`, true],
  [`${OWN}["model"] == "LATEST"`, true],
  [`${OWN}.cores > 32 && ${OWN}.ready`, true],
  // A result of unknown type is decided when it runs.
  [`${OWN}.ready`, true],
  [`${OWN}.model`, "CEL result of type string could not be converted to bool: type conversion error from 'string' to 'bool'"],
  [`${OWN}.driverVersion.isGreaterThan(semver("1.0.0"))`, true],
  [`${OWN}.driverVersion.isLessThan(semver("v1.2", true))`, false],
  ['device.attributes["other.example.com"].numa == 1', true],
  [`cel.bind(own, ${OWN}, own.cores == 64 && own.model == "LATEST")`, true],
  ['device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("40Gi"))', true],
  ['device.capacity["gpu.example.com"].memory.compareTo(quantity("80Gi")) == 0', true],
  ['"lanes" in device.capacity["other.example.com"]', true],
  ['!("lanes" in device.capacity["gpu.example.com"])', true],
  ['"gpu.example.com" in device.attributes', true],
  ['"no.example.com" in device.attributes', false],
  ['"name" in device.attributes["no.example.com"]', false],
  ['device.attributes["no.example.com"].name == 1', 'no such key: name'],
  [`${OWN}.missing == 1`, 'no such key: missing'],
  ['device.attributes.exists_one(d, d == "other.example.com")', true],
  ['device.allowMultipleAllocations', false],
  ['1', 'must evaluate to bool or the unknown type, not int'],
  ['device.name == "x"', 'compilation failed: ERROR: <input>:1:7: undefined field \'name\'\n | device.name == "x"\n | ......^'],
];
for (const [expression, want] of table) {
  test(`a selector sees of a device: ${expression}`, () => assert.deepEqual(ask(expression), want));
}

test('a device that may be shared says so', () => assert.equal(ask('device.allowMultipleAllocations', { allowMultipleAllocations: true }), true));
test('an attribute without a value that is known fails the selector, also where it is not asked for', () => {
  assert.throws(() => deviceValue('gpu.example.com', { attributes: { names: {} } }), { message: 'attribute names: unsupported attribute value' });
});
test('a selector that costs too much is ended', () => {
  const ten = '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]';
  const nested = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].reduceRight((body, name) => `${ten}.all(${name}, ${body})`, "int('1'.find('[0-9]*')) < 100");
  assert.equal(ask(nested), 'operation cancelled: actual cost limit exceeded');
});
test('maxCost is what the sizes of devices allow at most', () => {
  const cost = (expression: string): number => {
    const compiled = compileDeviceSelector(expression);
    assert.ok('selector' in compiled);
    return compiled.selector.maxCost();
  };
  assert.deepEqual(['true', `${OWN}.name == "fish"`, 'device.attributes.exists_one(x, x == "dra.example.com")', `${OWN}.services.matches("[^a]?sym")`].map(cost), [0, 5, 164, 18]);
  assert.ok(cost(`${OWN}.a.split("").all(x, ${OWN}.b.split("").all(y, ${OWN}.c.split("").all(z, x == y && y == z)))`) > MAX_SELECTOR_COST);
});
