/** Node selectors: of Pods' affinity and of volumes. */
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain, isValidLabelValue } from '#machinery/names.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { each, fromMessages } from '../field-checks.ts';

function validateRequirement(requirement: NodeSelectorRequirement, allowInvalidValues: boolean, path: FieldPath): FieldError[] {
  const { key = '', operator = '', values = [] } = requirement;
  const errors: FieldError[] = [];
  const at = path.child('values');
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) errors.push(required(at, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) errors.push(forbiddenField(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1) errors.push(required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
      break;
    default:
      errors.push(invalidValue(path.child('operator'), operator, 'not a valid selector operator'));
  }
  errors.push(...validateLabelName(key, path.child('key')));
  if (!allowInvalidValues) errors.push(...each(values, at, (value, valuePath) => fromMessages(valuePath, value, isValidLabelValue(value))));
  return errors;
}
function validateFieldRequirement(requirement: NodeSelectorRequirement, path: FieldPath): FieldError[] {
  const { key = '', operator = '', values = [] } = requirement;
  const errors: FieldError[] = [];
  if (operator !== 'In' && operator !== 'NotIn') errors.push(invalidValue(path.child('operator'), operator, 'not a valid selector operator'));
  else if (values.length !== 1) errors.push(required(path.child('values'), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
  if (key !== 'metadata.name') return [...errors, invalidValue(path.child('key'), key, 'not a valid field selector key')];
  return [...errors, ...each(values, path.child('values'), (value, at) => fromMessages(at, value, isDNS1123Subdomain(value)))];
}
export function validateNodeSelectorTerm(term: NodeSelectorTerm | undefined, allowInvalidValues: boolean, path: FieldPath): FieldError[] {
  return [
    ...each(term?.matchExpressions, path.child('matchExpressions'), (r, at) => validateRequirement(r, allowInvalidValues, at)),
    ...each(term?.matchFields, path.child('matchFields'), validateFieldRequirement),
  ];
}
export function validateNodeSelector(selector: NodeSelector, allowInvalidValues: boolean, path: FieldPath): FieldError[] {
  const at = path.child('nodeSelectorTerms');
  if (!selector.nodeSelectorTerms?.length) return [required(at, 'must have at least one node selector term')];
  return each(selector.nodeSelectorTerms, at, (term, termPath) => validateNodeSelectorTerm(term, allowInvalidValues, termPath));
}
