/** `resources` of a container: names, amounts, requests within limits, claims. */
import type { ResourceClaim, ResourceRequirements } from '#api/gen/core-v1.ts';
import { getOwn } from '#base/own.ts';
import { duplicate, forbiddenField, invalidValue, notFoundField, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { each, eachKey, fromMessages } from '../../field-checks.ts';
import { isHugePages } from '#machinery/resource-names.ts';
import { isOvercommitAllowed, validateContainerResourceName, validateResourceQuantity } from '../resource-names.ts';

/** Huge pages come whole. */
function hugePageErrors(name: string, amount: string, path: FieldPath): FieldError[] {
  if (!isHugePages(name)) return [];
  const value = parseQuantity(amount).value();
  let size = 0n;
  try {
    size = parseQuantity(name.slice('hugepages-'.length)).value();
  } catch {
    size = 0n; // a size that is none divides nothing
  }
  return size > 0n && value > 0n && value % size === 0n ? [] : [invalidValue(path, amount, `${amount} is not positive integer multiple of ${name}`)];
}

function validateAgainstLimit(name: string, request: string, limit: string | undefined, path: FieldPath): FieldError[] {
  if (limit === undefined) return isOvercommitAllowed(name) ? [] : [required(path.child('limits'), 'Limit must be set for non overcommitable resources')];
  const order = parseQuantity(request).cmp(parseQuantity(limit));
  const at = path.child('requests');
  if (order !== 0 && !isOvercommitAllowed(name)) return [invalidValue(at, request, `must be equal to ${name} limit of ${limit}`)];
  return order > 0 ? [invalidValue(at, request, `must be less than or equal to ${name} limit of ${limit}`)] : [];
}

type NameCheck = (name: string, path: FieldPath) => FieldError[];

/** `claimNames` are those of `spec.resourceClaims`. */
export function validateResourceRequirements(
  resources: ResourceRequirements | undefined, claimNames: ReadonlySet<string>, path: FieldPath, validateName: NameCheck = validateContainerResourceName,
): FieldError[] {
  if (!resources) return [];
  const { limits = {}, requests = {}, claims } = resources;
  const errors = eachKey(limits, path.child('limits'), (name, amount, at) => [
    ...validateName(name, at),
    ...validateResourceQuantity(name, amount, at),
    ...hugePageErrors(name, amount, at),
  ]);
  errors.push(
    ...eachKey(requests, path.child('requests'), (name, amount, at) => [
      ...validateName(name, at),
      ...validateResourceQuantity(name, amount, at),
      ...validateAgainstLimit(name, amount, getOwn(limits, name), path),
      ...hugePageErrors(name, amount, at),
    ]),
  );
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory')) errors.push(forbiddenField(path, 'HugePages require cpu or memory'));
  return [...errors, ...validateClaimReferences(claims, claimNames, path.child('claims'))];
}

function validateClaimReferences(claims: readonly ResourceClaim[] | undefined, known: ReadonlySet<string>, path: FieldPath): FieldError[] {
  const seen = new Set<string>();
  return each(claims, path, (claim, at) => {
    const { name, request = '' } = claim;
    if (!name) return [required(at)];
    const errors: FieldError[] = [];
    if (seen.has(name)) errors.push(duplicate(at, name));
    else {
      const key = request === '' ? name : `${name}/${request}`;
      if (request !== '') errors.push(...fromMessages(at.child('request'), request, isDNS1123Label(request)));
      if (seen.has(key)) errors.push(duplicate(at, key));
      else if (request === '') for (const other of seen) if (other.startsWith(`${name}/`)) errors.push(duplicate(at, name));
      seen.add(key);
    }
    if (!known.has(name)) {
      const missing = notFoundField(at, name);
      const list = known.size === 0 ? ' which is empty' : `: ${[...known].toSorted().join(', ')}`;
      errors.push({ ...missing, body: `${missing.body}: must be one of the names in pod.spec.resourceClaims${list}` });
    }
    return errors;
  });
}
