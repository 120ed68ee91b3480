/** `spec.resources`: requests and limits of the Pod as a whole. Source: KEP-2837. */
import type { PodSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { getOwn } from '#base/own.ts';
import { forbiddenField, invalidValue, notSupported, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { eachKey } from '../../field-checks.ts';
import { isHugePages } from '#machinery/resource-names.ts';
import { isOvercommitAllowed, validateResourceName } from '../resource-names.ts';
import { aggregate } from './quantities.ts';
import { validateResourceRequirements } from './resources.ts';

const SUPPORTED = ['cpu', 'memory', 'hugepages-'];

function isSupported(name: string): boolean {
  return name === 'cpu' || name === 'memory' || isHugePages(name);
}

/** Fills in what is given in part: requests from the containers', then from the Pod's limits; of limits only those of huge pages, from the containers'. */
export function defaultPodLevelResources(spec: Draft<PodSpec>): void {
  const resources = spec.resources;
  if (!resources) return;
  const hugePages = [...aggregate(spec, 'limits')].filter(([name]) => isHugePages(name));
  if (Object.keys(resources.requests ?? {}).length + Object.keys(resources.limits ?? {}).length > 0) {
    for (const [name, amount] of hugePages) {
      if (resources.limits?.[name] === undefined && resources.requests?.[name] === undefined) (resources.limits ??= {})[name] = amount.toString();
    }
  }
  if (Object.keys(resources.limits ?? {}).length > 0) {
    const requests = { ...resources.requests };
    for (const [name, amount] of aggregate(spec, 'requests')) {
      if (isSupported(name) && isOvercommitAllowed(name)) requests[name] ??= amount.toString();
    }
    for (const [name, limit] of Object.entries(resources.limits ?? {})) if (isSupported(name)) requests[name] ??= limit;
    if (Object.keys(requests).length > 0) resources.requests = requests;
  }
}

function validateName(name: string, path: FieldPath): FieldError[] {
  const errors = validateResourceName(name, path);
  return errors.length > 0 || isSupported(name) ? errors : [notSupported(path, name, SUPPORTED)];
}

export function validatePodLevelResources(spec: PodSpec, path: FieldPath): FieldError[] {
  const resources = spec.resources;
  if (!resources) return [];
  const errors: FieldError[] = [];
  if (resources.claims) errors.push(forbiddenField(path.child('claims'), 'claims may not be set for Resources at pod-level'));
  errors.push(...validateResourceRequirements(resources, new Set(), path, validateName));
  for (const [name, amount] of aggregate(spec, 'requests')) {
    const pod = resources.requests?.[name];
    if (pod !== undefined && isSupported(name) && amount.cmp(parseQuantity(pod)) > 0) {
      errors.push(invalidValue(path.child('requests').key(name), pod, `must be greater than or equal to aggregate container requests of ${amount.toString()}`));
    }
  }
  for (const [i, container] of (spec.containers ?? []).entries()) {
    errors.push(
      ...eachKey(container.resources?.limits, path, (name, limit) => {
        const pod = getOwn(resources.limits, name);
        if (pod === undefined || parseQuantity(limit).cmp(parseQuantity(pod)) <= 0) return [];
        return [invalidValue(path.child('containers').index(i).key(name).child('limits'), limit, `must be less than or equal to pod limits of ${pod}`)];
      }),
    );
  }
  return errors;
}
