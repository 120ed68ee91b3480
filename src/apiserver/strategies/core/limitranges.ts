import type { LimitRange, LimitRangeItem } from '#api/gen/core-v1.ts';
import { getOwn } from '#base/own.ts';
import { duplicate, fieldPath, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { defineStrategy } from '../define.ts';
import { each, eachKey, fromMessages } from '../field-checks.ts';
import { CREATED_AT, NAME } from '../printing.ts';
import { roundUpToMilli } from './resource-lists.ts';
import { isOvercommitAllowed, validateContainerResourceName, validateResourceName } from './resource-names.ts';

const LIMITS = fieldPath('spec', 'limits');
const BOUNDS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;
type Bound = (typeof BOUNDS)[number];
type Bounds = Readonly<Partial<Record<Bound, Quantity>>>;

function validateType(type: string, path: FieldPath): FieldError[] {
  const errors = fromMessages(path, type, isQualifiedName(type));
  if (errors.length > 0 || type.includes('/')) return errors;
  return ['Pod', 'Container', 'PersistentVolumeClaim'].includes(type) ? [] : [invalidValue(path, type, 'must be a standard limit type or fully qualified')];
}

interface Rule {
  readonly low: Bound;
  readonly high: Bound;
  /** The field the error is on, and the one whose value it shows. */
  readonly at: Bound;
  readonly shown: Bound;
  readonly names: readonly [low: string, high: string];
}
const RULES: readonly Rule[] = [
  { low: 'min', high: 'max', at: 'min', shown: 'min', names: ['min value', 'max value'] },
  { low: 'min', high: 'defaultRequest', at: 'defaultRequest', shown: 'defaultRequest', names: ['min value', 'default request value'] },
  { low: 'defaultRequest', high: 'max', at: 'defaultRequest', shown: 'defaultRequest', names: ['default request value', 'max value'] },
  { low: 'defaultRequest', high: 'default', at: 'defaultRequest', shown: 'defaultRequest', names: ['default request value', 'default limit value'] },
  { low: 'min', high: 'default', at: 'default', shown: 'min', names: ['min value', 'default value'] },
  { low: 'default', high: 'max', at: 'default', shown: 'max', names: ['default value', 'max value'] },
];
function validateRatio(bounds: Bounds, path: FieldPath): FieldError[] {
  const { maxLimitRequestRatio: ratio, min, max } = bounds;
  if (!ratio) return [];
  const errors = ratio.cmp(parseQuantity('1')) < 0 ? [invalidValue(path, ratio.toString(), `ratio ${ratio.toString()} is less than 1`)] : [];
  if (!min || !max) return errors;
  const possible = Number(max.milliValue()) / Number(min.milliValue());
  if (Number(ratio.milliValue()) / 1000 > possible) errors.push(invalidValue(path, ratio.toString(), `ratio ${ratio.toString()} is greater than max/min = ${possible.toFixed(6)}`));
  return errors;
}
function validateResource(name: string, bounds: Bounds, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const { low, high, at, shown, names } of RULES) {
    const [less, more] = [bounds[low], bounds[high]];
    if (!less || !more || less.cmp(more) <= 0) continue;
    errors.push(invalidValue(path.child(at).key(name), bounds[shown]!.toString(), `${names[0]} ${less.toString()} is greater than ${names[1]} ${more.toString()}`));
  }
  errors.push(...validateRatio(bounds, path.child('maxLimitRequestRatio').key(name)));
  const { default: limit, defaultRequest: request } = bounds;
  if (limit && request && !isOvercommitAllowed(name) && limit.cmp(request) !== 0) {
    const detail = `default value ${limit.toString()} must equal to defaultRequest value ${request.toString()} in ${name}`;
    errors.push(invalidValue(path.child('defaultRequest').key(name), request.toString(), detail));
  }
  return errors;
}
function validateItem(item: LimitRangeItem, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const checkName = item.type === 'Pod' || item.type === 'Container' ? validateContainerResourceName : validateResourceName;
  const checkNames = (bound: Bound) => errors.push(...eachKey(item[bound], path.child(bound), (name, _value, at) => checkName(name, at)));
  const isPod = item.type === 'Pod';
  checkNames('max');
  checkNames('min');
  for (const bound of ['default', 'defaultRequest'] as const) {
    if (!isPod) checkNames(bound);
    else if (Object.keys(item[bound] ?? {}).length > 0) errors.push(forbiddenField(path.child(bound), "may not be specified when `type` is 'Pod'"));
  }
  if (item.type === 'PersistentVolumeClaim' && item.min?.['storage'] === undefined && item.max?.['storage'] === undefined) {
    errors.push(required(path.child('limits'), 'either minimum or maximum storage value is required, but neither was provided'));
  }
  checkNames('maxLimitRequestRatio');
  const used = BOUNDS.filter((bound) => !isPod || (bound !== 'default' && bound !== 'defaultRequest'));
  const names = [...new Set(used.flatMap((bound) => Object.keys(item[bound] ?? {})))].toSorted();
  for (const name of names) {
    const given = used.filter((bound) => getOwn(item[bound], name) !== undefined);
    errors.push(...validateResource(name, Object.fromEntries(given.map((bound) => [bound, parseQuantity(item[bound]![name]!)])), path));
  }
  return errors;
}
function validate({ spec }: LimitRange): FieldError[] {
  const items = spec?.limits ?? [];
  return each(items, LIMITS, (item, path, i) => {
    const type = item.type ?? '';
    const repeated = items.findIndex((other) => (other.type ?? '') === type) < i;
    return [...validateType(type, path.child('type')), ...(repeated ? [duplicate(path.child('type'), type)] : []), ...validateItem(item, path)];
  });
}

export const limitranges = defineStrategy<LimitRange>('', 'v1', 'limitranges', {
  default({ spec }) {
    for (const item of spec?.limits ?? []) {
      for (const bound of BOUNDS) roundUpToMilli(item[bound]);
      if (item.type !== 'Container') continue;
      // What is bounded above is limited to that bound; what is limited asks for as much; then what is bounded below asks for that.
      const limits = { ...item.max, ...item.default };
      const requests = { ...item.min, ...limits, ...item.defaultRequest };
      if (Object.keys(limits).length > 0) item.default = limits;
      if (Object.keys(requests).length > 0) item.defaultRequest = requests;
    }
  },
  // One that nobody named is known by its identity.
  prepareForCreate: ({ metadata }) => void (metadata.name ||= metadata.uid ?? ''),
  validate,
  validateUpdate: validate,
  allowCreateOnUpdate: true,
  columns: [NAME, CREATED_AT],
  row: ({ metadata }) => [metadata.name ?? '', metadata.creationTimestamp ?? null],
});
