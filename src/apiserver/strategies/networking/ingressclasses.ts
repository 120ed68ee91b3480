import type { IngressClass, IngressClassParametersReference } from '#api/gen/networking-v1.ts';
import { fieldPath, forbiddenField, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDomainPrefixedPath } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable, oneOf } from '../field-checks.ts';
import { AGE, age, NAME, NONE, text } from '../printing.ts';
import { validateTypedReference } from './references.ts';

const SPEC = fieldPath('spec');
const MAX_CONTROLLER = 250;

function validateParameters(params: IngressClassParametersReference | undefined, path: FieldPath): FieldError[] {
  if (!params) return [];
  const errors = validateTypedReference(params, path);
  const { scope, namespace } = params;
  const at = path.child('namespace');
  if (scope === undefined) return [...errors, required(path.child('scope'))];
  errors.push(...oneOf(scope, ['Cluster', 'Namespace'], path.child('scope')));
  if (scope === 'Namespace') errors.push(...(namespace === undefined ? [required(at, "`parameters.scope` is set to 'Namespace'")] : fromMessages(at, namespace, isDNS1123Label(namespace))));
  if (scope === 'Cluster' && namespace !== undefined) errors.push(forbiddenField(at, "`parameters.scope` is set to 'Cluster'"));
  return errors;
}
function validate({ spec = {} }: Partial<IngressClass>): FieldError[] {
  const controller = spec.controller ?? '';
  const at = SPEC.child('controller');
  return [
    ...(Buffer.byteLength(controller) > MAX_CONTROLLER ? [tooLong(at, MAX_CONTROLLER)] : []), ...isDomainPrefixedPath(at, controller),
    ...validateParameters(spec.parameters, SPEC.child('parameters')),
  ];
}

export const ingressclasses = defineStrategy<IngressClass>('networking.k8s.io', 'v1', 'ingressclasses', {
  default({ spec }) {
    if (spec?.parameters) spec.parameters.scope ??= 'Cluster';
  },
  prepareForCreate(ingressClass) {
    ingressClass.metadata.generation = 1;
  },
  validate,
  validateUpdate({ spec = {} }, old) {
    return [...validateParameters(spec.parameters, SPEC.child('parameters')), ...immutable(spec.controller ?? '', old.spec?.controller ?? '', SPEC.child('controller'))];
  },
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Controller', 'Controller that is responsible for handling this class'),
    text('Parameters', 'A reference to a resource with additional parameters'),
    AGE,
  ],
  row({ metadata, spec = {} }, now) {
    const params = spec.parameters;
    const kind = params && (params.apiGroup === undefined ? params.kind : `${params.kind}.${params.apiGroup}`);
    return [metadata.name ?? '', spec.controller ?? '', params ? `${kind}/${params.name}` : NONE, age(metadata, now)];
  },
});
