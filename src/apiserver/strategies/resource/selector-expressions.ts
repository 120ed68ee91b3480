/** What a selector of devices says in CEL. Source: the API reference, "CELDeviceSelector". */
import { compile } from '#cel/compile.ts';
import { estimateCost, type SizeEstimator } from '#cel/cost-estimate.ts';
import type { Environment } from '#cel/environment.ts';
import { BINDINGS, kubernetesEnvironment } from '#cel/kubernetes.ts';
import { QUANTITY_TYPE } from '#cel/library/quantity.ts';
import { ANY, BOOL, mapOf, objectType, showRuntimeType, STRING } from '#cel/types.ts';
import { forbiddenField, invalidValue, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';

const MAX_EXPRESSION = 10 * 1024;
/** In cel-go's units. */
const MAX_COST = 1_000_000;

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

let environment: Environment | undefined;
/** Compiles the expression, as no claim could use one that does not. */
export function validateSelectorExpression(expression: string, path: FieldPath): FieldError[] {
  if (Buffer.byteLength(expression) > MAX_EXPRESSION) return [tooLong(path, MAX_EXPRESSION)];
  environment ??= kubernetesEnvironment(BINDINGS).withVariables({ device: DEVICE });
  const result = compile(expression, environment);
  if ('errors' in result) return [invalidValue(path, expression, `compilation failed: ${result.text}`)];
  const { type, checked } = result.program;
  if (type.kind !== 'bool' && type !== ANY) return [invalidValue(path, expression, `must evaluate to bool or the unknown type, not ${showRuntimeType(type)}`)];
  return estimateCost(checked, sizes).max > MAX_COST ? [forbiddenField(path, 'too complex, exceeds cost limit')] : [];
}
