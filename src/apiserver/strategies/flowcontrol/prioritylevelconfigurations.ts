import type { LimitedPriorityLevelConfiguration, LimitResponse, PriorityLevelConfiguration, QueuingConfiguration } from '#api/gen/flowcontrol-v1.ts';
import { fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { AGE, age, fieldDoc, NAME, NONE, text } from '../printing.ts';
import { CATCH_ALL_LEVEL } from './mandatory.ts';
import { validateFlowConditions } from './rules.ts';

const SPEC = fieldPath('spec');
const CONDITIONS = fieldPath('status', 'conditions');
const MAX_QUEUES = 10_000_000;
/** Bits of the hash that deals the hands. */
const MAX_HASH_BITS = 60;
const DEFAULT_SHARES = 30;
const DEFAULT_QUEUING = { queues: 64, handSize: 8, queueLengthLimit: 50 };

/** Bits that tell one hand of that many queues from every other. */
function entropyBits(queues: number, handSize: number): number {
  let bits = 0;
  for (let i = 0; i < handSize; i++) bits += Math.log2(queues - i);
  return Math.ceil(bits);
}
function validateQueuing({ queues = 0, handSize = 0, queueLengthLimit: limit = 0 }: QueuingConfiguration, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const hand = path.child('handSize');
  if (limit <= 0) errors.push(invalidValue(path.child('queueLengthLimit'), limit, 'must be positive'));
  if (queues <= 0) errors.push(invalidValue(path.child('queues'), queues, 'must be positive'));
  else if (queues > MAX_QUEUES) errors.push(invalidValue(path.child('queues'), queues, `must not be greater than ${MAX_QUEUES}`));
  if (handSize <= 0) errors.push(invalidValue(hand, handSize, 'must be positive'));
  else if (handSize > queues) errors.push(invalidValue(hand, handSize, `should not be greater than queues (${queues})`));
  else if (entropyBits(queues, handSize) > MAX_HASH_BITS) {
    errors.push(invalidValue(hand, handSize, `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${MAX_HASH_BITS}`));
  }
  return errors;
}
function validateResponse(response: LimitResponse | undefined, path: FieldPath): FieldError[] {
  const { type = '', queuing } = response ?? {};
  const at = path.child('queuing');
  if (type === 'Reject') return queuing ? [forbiddenField(at, 'must be nil if limited.limitResponse.type is not Limited')] : [];
  if (type === 'Queue') return queuing ? validateQueuing(queuing, at) : [required(at, 'must not be empty if limited.limitResponse.type is Limited')];
  return [notSupported(path.child('type'), type, ['Queue', 'Reject'])];
}
function validateShares(shares: number | undefined, lendable: number | undefined, path: FieldPath): FieldError[] {
  return [
    ...(shares !== undefined && shares < 0 ? [invalidValue(path.child('nominalConcurrencyShares'), shares, 'must be a non-negative integer')] : []),
    ...(lendable !== undefined && (lendable < 0 || lendable > 100) ? [invalidValue(path.child('lendablePercent'), lendable, 'must be between 0 and 100, inclusive')] : []),
  ];
}
function validateLimited(limited: LimitedPriorityLevelConfiguration, path: FieldPath): FieldError[] {
  const { nominalConcurrencyShares: shares, lendablePercent, borrowingLimitPercent: borrowing } = limited;
  return [
    ...validateShares(shares, lendablePercent, path), ...validateResponse(limited.limitResponse, path.child('limitResponse')),
    ...(borrowing !== undefined && borrowing < 0 ? [invalidValue(path.child('borrowingLimitPercent'), borrowing, 'if specified, must be a non-negative integer')] : []),
  ];
}
function validate({ metadata, spec, status }: PriorityLevelConfiguration): FieldError[] {
  const name = metadata.name ?? '';
  const { type = '', limited, exempt } = spec ?? {};
  const errors: FieldError[] = [];
  if ((name === 'exempt') !== (type === 'Exempt')) errors.push(invalidValue(SPEC.child('type'), type, "must be 'Exempt' if and only if `name` is 'exempt'"));
  if (type === 'Exempt') {
    if (limited) errors.push(forbiddenField(SPEC.child('limited'), 'must be nil if the type is not Limited'));
    if (exempt) errors.push(...validateShares(exempt.nominalConcurrencyShares, exempt.lendablePercent, SPEC.child('exempt')));
  } else if (type === 'Limited') {
    if (exempt) errors.push(forbiddenField(SPEC.child('exempt'), 'must be nil if the type is Limited'));
    errors.push(...(limited ? validateLimited(limited, SPEC.child('limited')) : [required(SPEC.child('limited'), 'must not be empty when type is Limited')]));
  } else errors.push(notSupported(SPEC.child('type'), type, ['Exempt', 'Limited']));
  if (name === 'catch-all' && !semanticEqual(spec, CATCH_ALL_LEVEL)) errors.push(invalidValue(SPEC, spec, `spec of '${name}' must equal the fixed value`));
  return [...errors, ...validateFlowConditions(status?.conditions, CONDITIONS)];
}

export const prioritylevelconfigurations = defineStrategy<PriorityLevelConfiguration>('flowcontrol.apiserver.k8s.io', 'v1', 'prioritylevelconfigurations', {
  default({ spec }) {
    if (spec?.exempt) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
    if (!spec?.limited) return;
    spec.limited.nominalConcurrencyShares ??= DEFAULT_SHARES;
    spec.limited.lendablePercent ??= 0;
    const queuing = spec.limited.limitResponse?.queuing;
    if (!queuing) return;
    queuing.queues ||= DEFAULT_QUEUING.queues;
    queuing.handSize ||= DEFAULT_QUEUING.handSize;
    queuing.queueLengthLimit ||= DEFAULT_QUEUING.queueLengthLimit;
  },
  prepareForCreate(level) {
    level.status = emptyStatus('flowcontrol.apiserver.k8s.io', 'v1', 'PriorityLevelConfiguration');
    level.metadata.generation = 1;
  },
  validate,
  validateUpdate: validate,
  validateStatusUpdate: ({ status }) => validateFlowConditions(status?.conditions, CONDITIONS),
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Type', fieldDoc('api/flowcontrol/v1.PriorityLevelConfigurationSpec', 'type')),
    text('NominalConcurrencyShares', fieldDoc('api/flowcontrol/v1.LimitedPriorityLevelConfiguration', 'nominalConcurrencyShares')),
    text('Queues', fieldDoc('api/flowcontrol/v1.QueuingConfiguration', 'queues')),
    text('HandSize', fieldDoc('api/flowcontrol/v1.QueuingConfiguration', 'handSize')),
    text('QueueLengthLimit', fieldDoc('api/flowcontrol/v1.QueuingConfiguration', 'queueLengthLimit')),
    AGE,
  ],
  row({ metadata, spec }, now) {
    const queuing = spec?.limited?.limitResponse?.queuing;
    return [
      metadata.name ?? '', spec?.type ?? '', spec?.limited?.nominalConcurrencyShares ?? NONE, queuing?.queues ?? NONE, queuing?.handSize ?? NONE, queuing?.queueLengthLimit ?? NONE,
      age(metadata, now),
    ];
  },
});
