import type { CSIDriver, TokenRequest } from '#api/gen/storage-v1.ts';
import { duplicate, fieldPath, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { dropDisabled } from '../disabled-fields.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, immutable, oneOf } from '../field-checks.ts';
import { AGE, age, boolean, fieldDoc, NAME, NONE, text, UNSET } from '../printing.ts';

const SPEC = fieldPath('spec');
const MODES = ['Persistent', 'Ephemeral'];
const TOKENS_IN_CONTEXT = 'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes';
const MIN_TOKEN_SECONDS = 600;
const MIN_UPDATE_SECONDS = 10;

function validateTokens(tokens: readonly TokenRequest[] | undefined, path: FieldPath): FieldError[] {
  return each(tokens, path, ({ audience = '', expirationSeconds: seconds }, at, i) => {
    if (tokens!.findIndex((other) => (other.audience ?? '') === audience) < i) return [duplicate(at.child('audience'), audience)];
    if (seconds === undefined) return [];
    const field = at.child('expirationSeconds');
    if (seconds < MIN_TOKEN_SECONDS) return [invalidValue(field, seconds, 'may not specify a duration less than 10 minutes')];
    return seconds > 2 ** 32 ? [invalidValue(field, seconds, 'may not specify a duration larger than 2^32 seconds')] : [];
  });
}
function validate({ spec = {} }: CSIDriver): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['attachRequired', 'podInfoOnMount', 'storageCapacity'] as const) if (spec[field] === undefined) errors.push(required(SPEC.child(field)));
  const policy = SPEC.child('fsGroupPolicy');
  errors.push(...(spec.fsGroupPolicy === undefined ? [required(policy)] : oneOf(spec.fsGroupPolicy, ['File', 'None', 'ReadWriteOnceWithFSType'], policy)));
  errors.push(...validateTokens(spec.tokenRequests, SPEC.child('tokenRequests')));
  const modes = spec.volumeLifecycleModes ?? [];
  errors.push(...modes.filter((mode) => !MODES.includes(mode)).map((mode) => notSupported(SPEC.child('volumeLifecycleModes'), mode, MODES, 'listed')));
  if (spec.seLinuxMount === undefined) errors.push(required(SPEC.child('seLinuxMount')));
  const period = spec.nodeAllocatableUpdatePeriodSeconds;
  if (period !== undefined && period < MIN_UPDATE_SECONDS) {
    errors.push(invalidValue(SPEC.child('nodeAllocatableUpdatePeriodSeconds'), period, `must be greater than or equal to ${MIN_UPDATE_SECONDS} seconds`));
  }
  const inSecrets = spec.serviceAccountTokenInSecrets;
  if (inSecrets !== undefined && !spec.tokenRequests?.length) {
    errors.push(invalidValue(SPEC.child('serviceAccountTokenInSecrets'), inSecrets, 'serviceAccountTokenInSecrets is set but no tokenRequests are specified'));
  }
  return errors;
}

export const csidrivers = defineStrategy<CSIDriver>('storage.k8s.io', 'v1', 'csidrivers', {
  default({ spec }) {
    if (!spec) return;
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent'];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  prepareForCreate({ spec }) {
    dropDisabled(spec, undefined, 'preventPodSchedulingIfMissing');
  },
  prepareForUpdate(driver, old) {
    dropDisabled(driver.spec, old.spec, 'preventPodSchedulingIfMissing');
    if (!semanticEqual(driver.spec, old.spec)) driver.metadata.generation = (old.metadata.generation ?? 0) + 1;
  },
  validate,
  validateUpdate(driver, old) {
    const [now, before] = [driver.spec ?? {}, old.spec ?? {}];
    return [
      ...validate(driver), ...immutable(now.attachRequired, before.attachRequired, SPEC.child('attachedRequired')),
      ...immutable(now.volumeLifecycleModes, before.volumeLifecycleModes, SPEC.child('volumeLifecycleModes')),
    ];
  },
  warnings({ spec = {} }, old) {
    const asked = spec.tokenRequests?.length && spec.serviceAccountTokenInSecrets === undefined && !semanticEqual(spec.tokenRequests, old?.spec?.tokenRequests);
    return asked ? [TOKENS_IN_CONTEXT] : [];
  },
  allowUnconditionalUpdate: false,
  columns: [
    NAME,
    boolean('AttachRequired', fieldDoc('api/storage/v1.CSIDriverSpec', 'attachRequired')),
    boolean('PodInfoOnMount', fieldDoc('api/storage/v1.CSIDriverSpec', 'podInfoOnMount')),
    boolean('StorageCapacity', fieldDoc('api/storage/v1.CSIDriverSpec', 'storageCapacity')),
    text('TokenRequests', fieldDoc('api/storage/v1.CSIDriverSpec', 'tokenRequests')),
    boolean('RequiresRepublish', fieldDoc('api/storage/v1.CSIDriverSpec', 'requiresRepublish')),
    text('Modes', fieldDoc('api/storage/v1.CSIDriverSpec', 'volumeLifecycleModes')),
    AGE,
  ],
  row({ metadata, spec = {} }, now) {
    const tokens = spec.tokenRequests ? spec.tokenRequests.map(({ audience }) => audience).join(',') : UNSET;
    return [
      metadata.name ?? '', spec.attachRequired ?? true, spec.podInfoOnMount ?? false, spec.storageCapacity ?? false, tokens, spec.requiresRepublish ?? false,
      spec.volumeLifecycleModes?.join(',') || NONE, age(metadata, now),
    ];
  },
});
