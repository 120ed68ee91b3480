/** The scale subresource of a custom resource, at the paths of its definition. */
import type { CustomResourceSubresourceScale } from '#api/gen/apiextensions-v1.ts';
import type * as autoscalingV1 from '#api/gen/autoscaling-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { ScalableKind } from '../subresources/scale.ts';
import { isObject, type Json } from './schema.ts';

export const pathSteps = (path: string): string[] => path.replace(/^\./, '').split('.');
export function valueAt(object: unknown, steps: readonly string[]): unknown {
  let current = object;
  for (const step of steps) current = isObject(current) ? getOwn(current, step) : undefined;
  return current;
}
const MAX_REPLICAS = 2 ** 31 - 1;

export function customScalable(scale: CustomResourceSubresourceScale, apiVersion: string): ScalableKind {
  const [spec, status] = [pathSteps(scale.specReplicasPath), pathSteps(scale.statusReplicasPath)];
  const selectorPath = scale.labelSelectorPath ? pathSteps(scale.labelSelectorPath) : undefined;
  return {
    scaleOf(object: KubeObject): autoscalingV1.Scale {
      const replicas = valueAt(object, spec);
      if (typeof replicas !== 'number') throw badRequest(`the spec replicas field ${JSON.stringify(scale.specReplicasPath)} does not exist`);
      const selector = selectorPath && valueAt(object, selectorPath);
      const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
      const current = valueAt(object, status);
      return {
        kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name, namespace, uid, resourceVersion, creationTimestamp }, spec: replicas ? { replicas } : {},
        status: { replicas: typeof current === 'number' ? current : 0, ...(typeof selector === 'string' && selector ? { selector } : {}) },
      };
    },
    setReplicas(draft, replicas) {
      let current = draft as unknown as Json;
      for (const step of spec.slice(0, -1)) {
        const next = getOwn(current, step);
        if (isObject(next)) current = next;
        else {
          const made: Json = {};
          setOwn(current, step, made);
          current = made;
        }
      }
      setOwn(current, spec.at(-1)!, replicas);
    },
    mapping: { apiVersion, replicasPaths: { [apiVersion]: spec } },
  };
}

/** Replicas must be counts, whatever the schema says. `statusOnly`: a write to the status. */
export function validateScale(object: unknown, scale: CustomResourceSubresourceScale | undefined, statusOnly: boolean): FieldError[] {
  if (!scale) return [];
  const out: FieldError[] = [];
  const count = (path: string): void => {
    const value = valueAt(object, pathSteps(path));
    if (value === undefined || value === null) return;
    const at = fieldPath(path);
    if (typeof value !== 'bigint' && (typeof value !== 'number' || !Number.isInteger(value))) out.push(invalidValue(at, 0, `${path} accessor error: ${JSON.stringify(value)} is of the type ${typeof value}, expected int64`));
    else if (value < 0) out.push(invalidValue(at, value, 'should be a non-negative integer'));
    else if (value > MAX_REPLICAS) out.push(invalidValue(at, value, `should be less than or equal to ${MAX_REPLICAS}`));
  };
  if (!statusOnly) count(scale.specReplicasPath);
  count(scale.statusReplicasPath);
  const selector = scale.labelSelectorPath ? valueAt(object, pathSteps(scale.labelSelectorPath)) : undefined;
  if (selector !== undefined && selector !== null && typeof selector !== 'string') out.push(invalidValue(fieldPath(scale.labelSelectorPath!), '', `${scale.labelSelectorPath} accessor error: ${JSON.stringify(selector)} is of the type ${typeof selector}, expected string`));
  return out;
}
