/** How a Scale is shown, which is no resource of its own: `kubectl get deployment web --subresource=scale`. */
import type { Scale } from '#api/gen/autoscaling-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { Strategy } from '../../registry/strategy.ts';
import { AGE, age, fieldDoc, integer, NAME } from '../printing.ts';

export const SCALE_TABLE: Pick<Strategy, 'columns' | 'row' | 'fieldAnnotations'> = {
  columns: [
    // Not of the format of names, upstream too.
    { ...NAME, format: '' },
    integer('Desired', fieldDoc('api/autoscaling/v1.ScaleSpec', 'replicas')),
    integer('Available', fieldDoc('api/autoscaling/v1.ScaleStatus', 'replicas')),
    AGE,
  ],
  row: (object: KubeObject, now) => {
    const { metadata, spec, status } = object as Scale;
    return [metadata.name ?? '', spec?.replicas ?? 0, status?.replicas ?? 0, age(metadata, now)];
  },
};
