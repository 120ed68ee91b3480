import { isDeepStrictEqual } from 'node:util';
import type { ConfigMap } from '#api/gen/core-v1.ts';
import { fieldPath, forbiddenField, invalidValue, tooLong, type FieldError } from '#machinery/field-errors.ts';
import { isConfigMapKey } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fromMessages } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';
import { decodedLength, FROZEN, MAX_SECRET_SIZE } from './secret-data.ts';

function validate(cm: ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(cm.data ?? {})) {
    const path = fieldPath('data').key(key);
    errors.push(...fromMessages(path, key, isConfigMapKey(key)));
    if (cm.binaryData && Object.hasOwn(cm.binaryData, key)) errors.push(invalidValue(path, key, 'duplicate of key present in binaryData'));
    size += Buffer.byteLength(value);
  }
  for (const [key, value] of Object.entries(cm.binaryData ?? {})) {
    errors.push(...fromMessages(fieldPath('binaryData').key(key), key, isConfigMapKey(key)));
    size += decodedLength(value);
  }
  // How upstream prints the path of the object as a whole.
  if (size > MAX_SECRET_SIZE) errors.push(tooLong(fieldPath('[]'), MAX_SECRET_SIZE));
  return errors;
}

export const configmaps = defineStrategy<ConfigMap>('', 'v1', 'configmaps', {
  givenEmpty: ['binaryData'],
  allowUnconditionalUpdate: true,
  validate,
  validateUpdate(cm, old) {
    const errors: FieldError[] = [];
    if (old.immutable) {
      if (!cm.immutable) errors.push(forbiddenField(fieldPath('immutable'), FROZEN));
      if (!semanticEqual(cm.data ?? {}, old.data ?? {})) errors.push(forbiddenField(fieldPath('data'), FROZEN));
      // The release tells an empty map from none here.
      if (!isDeepStrictEqual(cm.binaryData, old.binaryData)) errors.push(forbiddenField(fieldPath('binaryData'), FROZEN));
    }
    return [...errors, ...validate(cm)];
  },
  columns: [NAME, text('Data', fieldDoc('api/core/v1.ConfigMap', 'data')), AGE],
  row: (cm, now) => [cm.metadata.name ?? '', Object.keys(cm.data ?? {}).length + Object.keys(cm.binaryData ?? {}).length, age(cm.metadata, now)],
});
