/** What mutating and validating webhooks have in common. */
import type { MutatingWebhook, ValidatingWebhook } from '#api/gen/admissionregistration-v1.ts';
import type { Draft } from '#base/draft.ts';
import { duplicate, fieldPath, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1035Label, isFullyQualifiedName } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';
import { validateWebhookClient } from '../webhook-client.ts';
import { expressionsOf } from './expressions.ts';
import { validateMatchConditions } from './match-conditions.ts';
import { defaultRules, FAILURE_POLICIES, MATCH_POLICIES, validateRule } from './rules.ts';

type Webhook = MutatingWebhook | ValidatingWebhook;
const REVIEW_VERSIONS = ['v1', 'v1beta1'];
const HARMLESS = ['None', 'NoneOnDryRun'];
const ANY_EFFECTS = ['None', 'NoneOnDryRun', 'Some', 'Unknown'];
const DEFAULT_SECONDS = 10;
const MAX_SECONDS = 30;
const HTTPS_PORT = 443;

/** What an update need not heed because the old object did not either. */
interface Leniency {
  readonly sideEffects: boolean;
  readonly reviewVersions: boolean;
  readonly names: boolean;
  readonly expressions: ReadonlySet<string>;
}
function leniencyOf(old: readonly Webhook[]): Leniency {
  return {
    sideEffects: old.some((hook) => !HARMLESS.includes(hook.sideEffects)),
    reviewVersions: old.some((hook) => (hook.admissionReviewVersions ?? []).length > 0 && !hook.admissionReviewVersions.some((version) => REVIEW_VERSIONS.includes(version))),
    names: new Set(old.map(({ name }) => name)).size < old.length,
    expressions: expressionsOf(old),
  };
}

function validateReviewVersions(versions: readonly string[], lenient: boolean, path: FieldPath): FieldError[] {
  if (versions.length === 0) return [required(path, `must specify one of ${REVIEW_VERSIONS.join(', ')}`)];
  const errors = each(versions, path, (version, at, i) => (versions.indexOf(version) < i ? [invalidValue(at, version, 'duplicate version')] : fromMessages(at, version, isDNS1035Label(version))));
  const known = versions.some((version) => REVIEW_VERSIONS.includes(version));
  return known || lenient ? errors : [...errors, invalidValue(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`)];
}
function validateSideEffects(effects: string | undefined, lenient: boolean, path: FieldPath): FieldError[] {
  const allowed = lenient ? ANY_EFFECTS : HARMLESS;
  if (effects === undefined) return [required(path, `must specify one of ${allowed.join(', ')}`)];
  return allowed.includes(effects) ? [] : [notSupported(path, effects, allowed)];
}
function validateWebhook(hook: Webhook, lenient: Leniency, path: FieldPath): FieldError[] {
  const seconds = hook.timeoutSeconds;
  const errors = [...isFullyQualifiedName(path.child('name'), hook.name ?? ''), ...each(hook.rules, path.child('rules'), validateRule)];
  if (hook.failurePolicy !== undefined) errors.push(...oneOf(hook.failurePolicy, FAILURE_POLICIES, path.child('failurePolicy')));
  if (hook.matchPolicy !== undefined) errors.push(...oneOf(hook.matchPolicy, MATCH_POLICIES, path.child('matchPolicy')));
  errors.push(...validateSideEffects(hook.sideEffects, lenient.sideEffects, path.child('sideEffects')));
  if (seconds !== undefined && (seconds < 1 || seconds > MAX_SECONDS)) errors.push(invalidValue(path.child('timeoutSeconds'), seconds, 'the timeout value must be between 1 and 30 seconds'));
  errors.push(...validateLabelSelector(hook.namespaceSelector, path.child('namespaceSelector')), ...validateLabelSelector(hook.objectSelector, path.child('objectSelector')));
  const policy = 'reinvocationPolicy' in hook ? hook.reinvocationPolicy : undefined;
  if (policy !== undefined) errors.push(...oneOf(policy, ['IfNeeded', 'Never'], path.child('reinvocationPolicy')));
  return [...errors, ...validateWebhookClient(hook.clientConfig ?? {}, path.child('clientConfig')), ...validateMatchConditions(hook.matchConditions, { params: false, known: lenient.expressions }, path.child('matchConditions'))];
}
export function validateWebhooks(webhooks: readonly Webhook[] | undefined, old: readonly Webhook[] = []): FieldError[] {
  const lenient = leniencyOf(old);
  return each(webhooks, fieldPath('webhooks'), (hook, path, i) => {
    const repeated = Boolean(hook.name) && webhooks!.findIndex((other) => other.name === hook.name) < i;
    return [
      ...validateWebhook(hook, lenient, path), ...validateReviewVersions(hook.admissionReviewVersions ?? [], lenient.reviewVersions, path.child('admissionReviewVersions')),
      ...(repeated && !lenient.names ? [duplicate(path.child('name'), hook.name)] : []),
    ];
  });
}
export function defaultWebhook(hook: Draft<Webhook>): void {
  hook.failurePolicy ??= 'Fail';
  hook.matchPolicy ??= 'Equivalent';
  hook.namespaceSelector ??= {};
  hook.objectSelector ??= {};
  hook.timeoutSeconds ??= DEFAULT_SECONDS;
  defaultRules(hook.rules);
  if (hook.clientConfig?.service) hook.clientConfig.service.port ??= HTTPS_PORT;
}
