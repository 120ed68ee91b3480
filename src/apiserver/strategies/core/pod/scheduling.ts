/** What else steers scheduling: tolerations, topology spread, gates. */
import type { PodSchedulingGate, Toleration, TopologySpreadConstraint } from '#api/gen/core-v1.ts';
import { duplicate, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName, isValidLabelValue } from '#machinery/names.ts';
import { validateLabelName, validateLabelSelector } from '#machinery/object-meta.ts';
import { each, fromMessages, NOT_POSITIVE, oneOf, positive } from '../../field-checks.ts';
import { TAINT_EFFECTS } from '../nodes.ts';
import { validateLabelKeys } from './affinity.ts';
import type { PodOptions } from './options.ts';

function validateTolerationValue(toleration: Toleration, path: FieldPath): FieldError[] {
  const { operator, value = '' } = toleration;
  switch (operator ?? '') {
    case '':
    case 'Equal': {
      const messages = isValidLabelValue(value);
      return messages.length > 0 ? [invalidValue(path, value, messages.join(';'))] : [];
    }
    case 'Exists':
      return value === '' ? [] : [invalidValue(path, value, "value must be empty when `operator` is 'Exists'")];
    case 'Lt':
    case 'Gt':
      // Comparing numbers is off by default; upstream names the operators all the same.
      return [notSupported(path, operator, ['Equal', 'Exists', 'Lt', 'Gt'], 'listed')];
    default:
      return [notSupported(path, operator, ['Equal', 'Exists'])];
  }
}
export function validateTolerations(tolerations: readonly Toleration[] | undefined, path: FieldPath): FieldError[] {
  return each(tolerations, path, (toleration, at) => {
    const { key = '', operator = '', effect = '' } = toleration;
    const errors = key === '' ? [] : validateLabelName(key, at.child('key'));
    if (key === '' && operator !== 'Exists') {
      errors.push(invalidValue(at.child('operator'), operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"'));
    }
    if (toleration.tolerationSeconds !== undefined && effect !== 'NoExecute') {
      errors.push(invalidValue(at.child('effect'), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    }
    errors.push(...validateTolerationValue(toleration, at.child('operator')));
    return effect === '' ? errors : [...errors, ...oneOf(effect, TAINT_EFFECTS, at.child('effect'), 'listed')];
  });
}

function validateMinDomains({ minDomains, whenUnsatisfiable }: TopologySpreadConstraint, path: FieldPath): FieldError[] {
  if (minDomains === undefined) return [];
  const errors = minDomains <= 0 ? [invalidValue(path, minDomains, NOT_POSITIVE)] : [];
  if (whenUnsatisfiable !== 'DoNotSchedule') errors.push(invalidValue(path, minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable ?? ''}`));
  return errors;
}
export function validateTopologySpread(constraints: readonly TopologySpreadConstraint[] | undefined, options: PodOptions, path: FieldPath): FieldError[] {
  return each(constraints, path, (constraint, at, i) => {
    const { maxSkew = 0, topologyKey = '', whenUnsatisfiable = '', nodeAffinityPolicy, nodeTaintsPolicy, labelSelector } = constraint;
    const repeated = constraints!.slice(i + 1).some((c) => c.topologyKey === topologyKey && c.whenUnsatisfiable === whenUnsatisfiable);
    return [
      ...positive(maxSkew, at.child('maxSkew')),
      ...(topologyKey === '' ? [required(at.child('topologyKey'), 'can not be empty')] : []),
      ...oneOf(whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway'], at.child('whenUnsatisfiable')),
      ...(repeated ? [duplicate(at.child('{topologyKey, whenUnsatisfiable}'), `{${topologyKey}, ${whenUnsatisfiable}}`)] : []),
      ...validateMinDomains(constraint, at.child('minDomains')),
      ...(nodeAffinityPolicy === undefined ? [] : oneOf(nodeAffinityPolicy, ['Honor', 'Ignore'], at.child('nodeAffinityPolicy'))),
      ...(nodeTaintsPolicy === undefined ? [] : oneOf(nodeTaintsPolicy, ['Honor', 'Ignore'], at.child('nodeTaintsPolicy'))),
      ...validateLabelKeys(constraint, at),
      ...(options.allowInvalidSelectorValues ? [] : validateLabelSelector(labelSelector, at.child('labelSelector'))),
    ];
  });
}

export function validateSchedulingGates(gates: readonly PodSchedulingGate[] | undefined, path: FieldPath): FieldError[] {
  const seen = new Set<string>();
  return each(gates, path, ({ name = '' }, at) => {
    const errors = fromMessages(at, name, isQualifiedName(name));
    if (seen.has(name)) errors.push(duplicate(at, name));
    seen.add(name);
    return errors;
  });
}
