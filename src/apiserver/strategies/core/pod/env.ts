/** `env` and `envFrom` of a container. */
import type { ConfigMapKeySelector, Container, EnvFromSource, EnvVar, FileKeySelector, PodSpec, SecretKeySelector } from '#api/gen/core-v1.ts';
import { invalidValue, notFoundField, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isConfigMapKey, isDNS1123Label, isRelaxedEnvVarName, nameIsDNSSubdomain } from '#machinery/names.ts';
import { each, fromMessages } from '../../field-checks.ts';
import { validateNoBacksteps } from '../volume-paths.ts';
import { ENV_FIELDS, validateFieldRef, validateResourceFieldRef } from './downward-api.ts';

function validateKeyRef(ref: ConfigMapKeySelector | SecretKeySelector, path: FieldPath): FieldError[] {
  const name = ref.name ?? '';
  const errors = fromMessages(path.child('name'), name, nameIsDNSSubdomain(name, false));
  return [...errors, ...(ref.key ? fromMessages(path.child('key'), ref.key, isConfigMapKey(ref.key)) : [required(path.child('key'))])];
}
function validateFileKeyRef(ref: FileKeySelector, path: FieldPath): FieldError[] {
  const { volumeName = '', path: file = '', key = '' } = ref;
  const errors = key === '' ? [required(path.child('key'))] : fromMessages(path.child('key'), key, isRelaxedEnvVarName(key));
  errors.push(...(volumeName === '' ? [required(path.child('volumeName'))] : fromMessages(path.child('volumeName'), volumeName, isDNS1123Label(volumeName))));
  errors.push(...(file === '' ? [required(path.child('path'))] : validateNoBacksteps(file, path.child('path'))));
  return errors;
}
const SOURCES = ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef', 'fileKeyRef'] as const;
const CHOICES = '`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`';

function validateValueFrom(variable: EnvVar, path: FieldPath): FieldError[] {
  const from = variable.valueFrom;
  if (!from) return [];
  const errors: FieldError[] = [];
  if (from.fieldRef) errors.push(...validateFieldRef(from.fieldRef, ENV_FIELDS, path.child('fieldRef')));
  if (from.resourceFieldRef) errors.push(...validateResourceFieldRef(from.resourceFieldRef, false, path.child('resourceFieldRef')));
  if (from.configMapKeyRef) errors.push(...validateKeyRef(from.configMapKeyRef, path.child('configMapKeyRef')));
  if (from.secretKeyRef) errors.push(...validateKeyRef(from.secretKeyRef, path.child('secretKeyRef')));
  if (from.fileKeyRef) errors.push(...validateFileKeyRef(from.fileKeyRef, path.child('fileKeyRef')));
  const count = SOURCES.filter((key) => from[key] !== undefined).length;
  if (count === 0) errors.push(invalidValue(path, '', `must specify one of: ${CHOICES}`));
  else if (variable.value) errors.push(invalidValue(path, '', 'may not be specified when `value` is not empty'));
  else if (count > 1) errors.push(invalidValue(path, '', 'may not have more than one field specified at a time'));
  return errors;
}
export function validateEnv(env: readonly EnvVar[] | undefined, path: FieldPath): FieldError[] {
  return each(env, path, (variable, at) => [
    ...(variable.name ? fromMessages(at.child('name'), variable.name, isRelaxedEnvVarName(variable.name)) : [required(at.child('name'))]),
    ...validateValueFrom(variable, at.child('valueFrom')),
  ]);
}
/** Files of variables lie in an emptyDir of the Pod. */
export function validateFileVolumes(spec: PodSpec, path: FieldPath): FieldError[] {
  const of = (list: 'initContainers' | 'containers') => each<Container>(spec[list], path.child(list), (container, at) => each(container.env, at.child('env'), ({ valueFrom }, variable) => {
    const file = valueFrom?.fileKeyRef;
    if (!file) return [];
    const field = variable.child('valueFrom', 'fileKeyRef', 'volumeName');
    const volume = spec.volumes?.find(({ name }) => name === file.volumeName);
    if (!volume) return [notFoundField(field, file.volumeName ?? '')];
    return volume.emptyDir ? [] : [invalidValue(field, file.volumeName, 'referenced volume must be of type emptyDir')];
  }));
  return [...of('initContainers'), ...of('containers')];
}
export function validateEnvFrom(sources: readonly EnvFromSource[] | undefined, path: FieldPath): FieldError[] {
  return each(sources, path, (source, at) => {
    const errors = source.prefix ? fromMessages(at.child('prefix'), source.prefix, isRelaxedEnvVarName(source.prefix)) : [];
    const kinds = (['configMapRef', 'secretRef'] as const).filter((key) => source[key] !== undefined);
    for (const key of kinds) {
      const name = source[key]!.name ?? '';
      errors.push(...(name === '' ? [required(at.child(key, 'name'))] : fromMessages(at.child(key, 'name'), name, nameIsDNSSubdomain(name, true))));
    }
    if (kinds.length === 0) errors.push(invalidValue(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    if (kinds.length > 1) errors.push(invalidValue(path, '', 'may not have more than one field specified at a time'));
    return errors;
  });
}
