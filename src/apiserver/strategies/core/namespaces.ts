import type { Namespace } from '#api/gen/core-v1.ts';
import { fieldPath, invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName, nameIsDNSLabel } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages } from '../field-checks.ts';
import { AGE, age, NAME, text } from '../printing.ts';

const STANDARD_FINALIZERS = ['kubernetes', 'orphan', 'foregroundDeletion'];

function validateFinalizers(ns: Namespace, path: (i: number) => FieldPath): FieldError[] {
  return (ns.spec.finalizers ?? []).flatMap((name, i) => {
    const errors = fromMessages(path(i), name, isQualifiedName(name));
    if (!name.includes('/') && !STANDARD_FINALIZERS.includes(name)) {
      errors.push(invalidValue(path(i), name, 'name is neither a standard finalizer name nor is it fully qualified'));
    }
    return errors;
  });
}

/** Label that every namespace carries with its own name (KEP-2161). */
const NAME_LABEL = 'kubernetes.io/metadata.name';

export const namespaces = defineStrategy<Namespace>('', 'v1', 'namespaces', {
  default(ns) {
    if (ns.metadata.name) (ns.metadata.labels ??= {})[NAME_LABEL] = ns.metadata.name;
  },
  prepareForCreate(ns) {
    ns.status = { phase: 'Active' };
    if (ns.metadata.name) (ns.metadata.labels ??= {})[NAME_LABEL] = ns.metadata.name;
    ns.spec ??= {};
    const finalizers = (ns.spec.finalizers ??= []);
    if (!finalizers.includes('kubernetes')) finalizers.push('kubernetes');
  },
  prepareForUpdate(ns, old, ctx) {
    // The registry has put back what a subresource may not change.
    if (ctx.subresource === '') ns.spec = structuredClone(old.spec) as typeof ns.spec;
  },
  validateName: nameIsDNSLabel,
  validate: (ns) => validateFinalizers(ns, () => fieldPath('spec', 'finalizers')),
  validateUpdate: (ns, _old, ctx) => (ctx.subresource === 'finalize' ? validateFinalizers(ns, (i) => fieldPath('spec', 'finalizers').index(i)) : []),
  validateStatusUpdate(ns) {
    const phase = ns.status?.phase ?? '';
    const deleting = ns.metadata.deletionTimestamp !== undefined;
    const expected = deleting ? 'Terminating' : 'Active';
    if (phase === expected) return [];
    return [invalidValue(fieldPath('status', 'Phase'), phase, `may only be '${expected}' if \`deletionTimestamp\` is ${deleting ? 'not empty' : 'empty'}`)];
  },
  columns: [NAME, text('Status', 'The status of the namespace'), AGE],
  row: (ns, now) => [ns.metadata.name ?? '', ns.status?.phase ?? '', age(ns.metadata, now)],
  selectableFields: { 'status.phase': (ns) => ns.status?.phase ?? '' },
});
