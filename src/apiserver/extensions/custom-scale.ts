/** The scale subresource of a custom resource, at the paths of its definition. */
import type { CustomResourceSubresourceScale } from '#api/gen/apiextensions-v1.ts';
import type * as autoscalingV1 from '#api/gen/autoscaling-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { goPrint } from '#machinery/go-text.ts';
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
      const asked = valueAt(object, spec);
      const replicas = typeof asked === 'number' ? asked : 0;
      const selector = selectorPath && valueAt(object, selectorPath);
      const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
      const current = valueAt(object, status);
      return {
        kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name, namespace, uid, resourceVersion, creationTimestamp }, spec: replicas ? { replicas } : {},
        status: { replicas: typeof current === 'number' ? current : 0, ...(typeof selector === 'string' && selector ? { selector } : {}) },
      };
    },
    verify(object) {
      if (typeof valueAt(object, spec) !== 'number') throw badRequest(`the spec replicas field ${JSON.stringify(scale.specReplicasPath)} does not exist`);
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
    refusesApply: true,
  };
}

function goTypeOf(value: unknown): string {
  if (Array.isArray(value)) return '[]interface {}';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  return typeof value === 'object' ? 'map[string]interface {}' : typeof value === 'bigint' ? 'int64' : typeof value;
}
const accessorError = (path: string, value: unknown, expected: string): string => `${path} accessor error: ${goPrint(value)} is of the type ${goTypeOf(value)}, expected ${expected}`;
/** The value at the path, or what is on the way there and holds nothing. */
function access(object: unknown, path: string): { readonly value?: unknown; readonly error?: string } {
  let value = object;
  for (const [i, step] of pathSteps(path).entries()) {
    if (value === undefined || value === null) return {};
    if (!isObject(value)) return { error: accessorError(`.${pathSteps(path).slice(0, i + 1).join('.')}`, value, 'map[string]interface{}') };
    value = getOwn(value, step);
  }
  return { value };
}

/** Replicas must be counts, whatever the schema says. `statusOnly`: a write to the status. */
export function validateScale(object: unknown, scale: CustomResourceSubresourceScale | undefined, statusOnly: boolean): FieldError[] {
  if (!scale) return [];
  const out: FieldError[] = [];
  const count = (path: string): void => {
    const at = fieldPath(path);
    const found = access(object, path);
    if (found.error !== undefined) return void out.push(invalidValue(at, 0, found.error));
    const { value } = found;
    if (value === undefined || value === null) return;
    if (typeof value !== 'bigint' && (typeof value !== 'number' || !Number.isInteger(value))) out.push(invalidValue(at, 0, accessorError(path, value, 'int64')));
    else if (value < 0) out.push(invalidValue(at, value, 'should be a non-negative integer'));
    else if (value > MAX_REPLICAS) out.push(invalidValue(at, value, `should be less than or equal to ${MAX_REPLICAS}`));
  };
  if (!statusOnly) count(scale.specReplicasPath);
  count(scale.statusReplicasPath);
  const { labelSelectorPath } = scale;
  if (!labelSelectorPath) return out;
  const { value, error } = access(object, labelSelectorPath);
  if (error !== undefined) out.push(invalidValue(fieldPath(labelSelectorPath), '', error));
  else if (value !== undefined && value !== null && typeof value !== 'string') out.push(invalidValue(fieldPath(labelSelectorPath), '', accessorError(labelSelectorPath, value, 'string')));
  return out;
}
