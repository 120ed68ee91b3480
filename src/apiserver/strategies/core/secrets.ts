import { isDeepStrictEqual } from 'node:util';
import type { Secret } from '#api/gen/core-v1.ts';
import { fieldPath, forbiddenField, invalidValue, required, tooLong, type FieldError } from '#machinery/field-errors.ts';
import { isConfigMapKey } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';
import { decodedLength, FROZEN, MAX_SECRET_SIZE, notJsonObject } from './secret-data.ts';
import { tlsPairProblem } from './tls-pair.ts';

const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name';
const DATA = fieldPath('data');

/** A required key whose value is a JSON object: the docker credentials kinds. */
function validateJsonKey(secret: Secret, key: string): FieldError[] {
  const value = secret.data?.[key];
  if (value === undefined) return [required(DATA.key(key))];
  const problem = notJsonObject(Buffer.from(value, 'base64').toString());
  return problem === undefined ? [] : [invalidValue(DATA.key(key), '<secret contents redacted>', problem)];
}
function validateByType(secret: Secret): FieldError[] {
  const data = secret.data ?? {};
  const missing = (...keys: string[]) => keys.filter((k) => data[k] === undefined).map((k) => required(DATA.key(k)));
  switch (secret.type) {
    case 'kubernetes.io/service-account-token':
      return secret.metadata.annotations?.[SERVICE_ACCOUNT_NAME] ? [] : [required(fieldPath('metadata', 'annotations').key(SERVICE_ACCOUNT_NAME))];
    case 'kubernetes.io/dockercfg':
      return validateJsonKey(secret, '.dockercfg');
    case 'kubernetes.io/dockerconfigjson':
      return validateJsonKey(secret, '.dockerconfigjson');
    case 'kubernetes.io/basic-auth': {
      const absent = missing('username', 'password');
      return absent.length === 2 ? absent : [];
    }
    case 'kubernetes.io/ssh-auth':
      return data['ssh-privatekey'] ? [] : [required(DATA.key('ssh-privatekey'))];
    case 'kubernetes.io/tls':
      return missing('tls.crt', 'tls.key');
    default:
      return [];
  }
}

function validate(secret: Secret): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    errors.push(...fromMessages(DATA.key(key), key, isConfigMapKey(key)));
    size += decodedLength(value);
  }
  if (size > MAX_SECRET_SIZE) errors.push(tooLong(DATA, MAX_SECRET_SIZE));
  return [...errors, ...validateByType(secret)];
}

export const secrets = defineStrategy<Secret>('', 'v1', 'secrets', {
  givenEmpty: ['data'],
  default(secret) {
    secret.type ||= 'Opaque';
    if (!secret.stringData) return;
    const data = (secret.data ??= {});
    for (const [key, value] of Object.entries(secret.stringData)) data[key] = Buffer.from(value).toString('base64');
    delete secret.stringData;
  },
  validate,
  validateUpdate(secret, old) {
    const errors = immutable(secret.type, old.type, fieldPath('type'));
    if (old.immutable) {
      if (!secret.immutable) errors.push(forbiddenField(fieldPath('immutable'), FROZEN));
      // The release tells an empty map from none here.
      if (!isDeepStrictEqual(secret.data, old.data)) errors.push(forbiddenField(DATA, FROZEN));
    }
    return [...errors, ...validate(secret)];
  },
  warnings({ type, data }) {
    if (type !== 'kubernetes.io/tls') return [];
    const problem = tlsPairProblem(Buffer.from(data?.['tls.crt'] ?? '', 'base64').toString(), Buffer.from(data?.['tls.key'] ?? '', 'base64').toString());
    return problem === undefined ? [] : [problem];
  },
  columns: [
    NAME,
    text('Type', fieldDoc('api/core/v1.Secret', 'type')),
    text('Data', fieldDoc('api/core/v1.Secret', 'data')),
    AGE,
  ],
  row: (secret, now) => [secret.metadata.name ?? '', secret.type ?? '', Object.keys(secret.data ?? {}).length, age(secret.metadata, now)],
  selectableFields: { type: (secret) => secret.type ?? '' },
});
