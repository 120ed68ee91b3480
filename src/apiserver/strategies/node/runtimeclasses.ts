import type { RuntimeClass, Scheduling } from '#api/gen/node-v1.ts';
import { duplicate, fieldPath, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label } from '#machinery/names.ts';
import { validateLabels } from '#machinery/object-meta.ts';
import { validateResourceRequirements } from '../core/pod/resources.ts';
import { validateTolerations } from '../core/pod/scheduling.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, fromMessages, immutable } from '../field-checks.ts';
import { AGE, age, NAME, text } from '../printing.ts';
import { DEPRECATED_LABELS } from '../core/deprecated-labels.ts';
import { structByFactsName } from '#api/schema.ts';
import { internalForm } from '../internal-form.ts';

function validateScheduling({ nodeSelector, tolerations = [] }: Scheduling, path: FieldPath): FieldError[] {
  const at = path.child('tolerations');
  return [
    ...validateLabels(nodeSelector, path.child('nodeSelector')),
    ...validateTolerations(tolerations, at),
    ...each(tolerations, at, (toleration, itemPath, i) => (tolerations.slice(0, i).some((other) => semanticEqual(other, toleration)) ? [duplicate(itemPath, internalForm(structByFactsName('api/core/v1.Toleration'), toleration))] : [])),
  ];
}
function validate({ handler = '', overhead, scheduling }: RuntimeClass): FieldError[] {
  return [
    ...(handler === '' ? [required(fieldPath('handler'))] : fromMessages(fieldPath('handler'), handler, isDNS1123Label(handler))),
    ...(overhead ? validateResourceRequirements({ limits: overhead.podFixed }, new Set(), fieldPath('overhead')) : []),
    ...(scheduling ? validateScheduling(scheduling, fieldPath('scheduling')) : []),
  ];
}

export const runtimeclasses = defineStrategy<RuntimeClass>('node.k8s.io', 'v1', 'runtimeclasses', {
  validate,
  validateUpdate: (runtime, old) => immutable(runtime.handler, old.handler, fieldPath('handler')),
  warnings({ scheduling }) {
    const selected = Object.keys(scheduling?.nodeSelector ?? {}).toSorted();
    return selected.filter((key) => DEPRECATED_LABELS[key]).map((key) => `scheduling.nodeSelector: ${DEPRECATED_LABELS[key]}`);
  },
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  columns: [NAME, text('Handler', ''), AGE],
  row: ({ metadata, handler }, now) => [metadata.name ?? '', handler, age(metadata, now)],
});
