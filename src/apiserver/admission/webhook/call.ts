/**
 * One question to one webhook: whether it is concerned, the AdmissionReview, and what its answer means.
 * Source: the Kubernetes page "Dynamic Admission Control"; the API reference, admission.k8s.io/v1.
 */
import type { Status } from '#api/gen/meta-v1.ts';
import type { AdmissionResponse } from '#api/gen/admission-v1.ts';
import { structByKind } from '#api/schema.ts';
import { decodeInto } from '#machinery/decode.ts';
import { readJson, writeJson } from '#machinery/json.ts';
import { jsonKind } from '#machinery/patch/go-format.ts';
import { badRequest, forbidden, StatusError } from '#machinery/status-error.ts';
import type { AdmissionAttributes, Authorizer } from '../../interfaces.ts';
import { WebhookCallError, type WebhookClient } from '../../webhook/client.ts';
import { admissionRequestOf } from '../admission-request.ts';
import { matchRules, questionOf, type MatchServices, type Question } from '../equivalents.ts';
import type { ExpressionCompiler } from '../expressions.ts';
import { evaluateMatchConditions } from '../match-conditions.ts';
import { UNMEASURED, type Measured, type WebhookErrorType } from '../metrics.ts';
import { namespaceOfRequest, namespaceSelectorMatches, objectSelectorMatches } from '../matching.ts';
import type { AnyWebhook, Hook } from './hooks.ts';

export interface WebhookServices extends MatchServices {
  readonly client: WebhookClient;
  readonly compiler: ExpressionCompiler;
  readonly authorizer: Authorizer;
  /** Fresh UUIDs. */
  readonly uid: () => string;
  readonly measured?: Measured;
}
const DEFAULT_TIMEOUT_SECONDS = 10;

/** A webhook that could not be asked, or did not answer as it must: its failure policy decides what that means. */
export class WebhookFailure extends Error {
  constructor(webhook: string, reason: string, cause?: unknown) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${reason}`, { cause });
    this.name = 'WebhookFailure';
  }
}

/** What the webhook is to be asked; undefined: it is not concerned. Throws when that cannot be told and failures count. */
export async function concerns(hook: Hook<AnyWebhook>, type: 'admit' | 'validating', a: AdmissionAttributes, services: WebhookServices, signal: AbortSignal): Promise<Question | undefined> {
  const { webhook } = hook;
  const match = matchRules(webhook.rules ?? [], webhook.matchPolicy ?? 'Equivalent', a, services.resources);
  if (!match || !objectSelectorMatches(webhook.objectSelector, a) || !namespaceSelectorMatches(webhook.namespaceSelector, a, services.reader)) return undefined;
  const question = await questionOf(a, match);
  if (!webhook.matchConditions?.length) return question;
  const outcome = await evaluateMatchConditions(webhook.matchConditions, services.compiler, activationOf(question.attributes, a, services), { params: false, failurePolicy: webhook.failurePolicy ?? 'Fail', name: webhook.name, kind: 'webhook', type, operation: a.operation, measured: services.measured }, signal);
  if (outcome.error !== undefined) throw forbidden({ group: a.resource.group, resource: a.resource.plural }, a.name, outcome.error);
  return outcome.matches ? question : undefined;
}
/** What match conditions see. Made anew for each: a mutating webhook before may have changed the object. */
function activationOf(a: AdmissionAttributes, original: AdmissionAttributes, services: Pick<WebhookServices, 'reader' | 'authorizer'>): Parameters<typeof evaluateMatchConditions>[2] {
  return {
    object: a.object ?? null,
    oldObject: a.oldObject ?? null,
    request: admissionRequestOf(a, '', false, original),
    params: null,
    get namespaceObject() {
      return namespaceOfRequest(a, services.reader) ?? null;
    },
    authorizer: services.authorizer,
    user: a.user,
    variable: (name) => {
      throw new Error(`no such key: ${name}`);
    },
  };
}

/** A webhook's "no". */
class WebhookDenial extends StatusError {}

/** Counts how what `run` does with a webhook has ended, and how long it took. */
export async function measuredCall<T>({ webhook: { name, failurePolicy } }: Hook<AnyWebhook>, type: 'admit' | 'validating', { operation, waits }: AdmissionAttributes, { measured = UNMEASURED }: WebhookServices, run: () => Promise<T>): Promise<T> {
  const { clock, metrics } = measured;
  const started = clock.monotonic();
  const ended = (rejected: boolean, code: number): void => {
    const ms = clock.monotonic() - started;
    metrics.webhook(name, type, operation, { rejected, code, seconds: ms / 1000 });
    if (!waits) return;
    if (type === 'admit') waits.mutating += ms;
    else waits.validating = Math.max(waits.validating, ms);
  };
  const rejected = (error: WebhookErrorType, code: number): void => {
    metrics.webhookRejection(name, type, operation, error, code);
    ended(true, code);
  };
  try {
    const outcome = await run();
    ended(false, 200);
    return outcome;
  } catch (err) {
    if (err instanceof WebhookFailure) {
      // What has no code of its own is a webhook that was not there.
      const code = (err.cause instanceof WebhookCallError ? err.cause.status : undefined) ?? 503;
      if (failurePolicy === 'Ignore') {
        metrics.failOpen(name, type);
        ended(false, code);
      } else rejected('calling_webhook_error', code);
    } else if (err instanceof WebhookDenial) rejected('no_error', err.code);
    else rejected('apiserver_internal_error', 0);
    throw err;
  }
}

interface Answer {
  /** JSON patch operations of a mutating webhook. */
  readonly patch: readonly unknown[];
}
/** Calls the webhook. Throws a StatusError for its "no" and {@link WebhookFailure} when it could not answer. */
export async function callWebhook(hook: Hook<AnyWebhook>, { attributes: a }: Pick<Question, 'attributes'>, original: AdmissionAttributes, kind: 'mutating' | 'validating', services: WebhookServices, signal: AbortSignal): Promise<Answer> {
  const { webhook } = hook;
  if (a.dryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun') throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
  const version = webhook.admissionReviewVersions.find((v) => v === 'v1' || v === 'v1beta1');
  if (!version) throw new WebhookFailure(webhook.name, 'could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)');
  const request = admissionRequestOf(a, services.uid(), true, original);
  const body = Buffer.from(writeJson({ kind: 'AdmissionReview', apiVersion: `admission.k8s.io/${version}`, request }));
  let review: unknown;
  try {
    review = await services.client.post(webhook.clientConfig, { body, timeoutMs: (webhook.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000, signal, announceTimeout: true });
    checkDecodes(review);
  } catch (err) {
    throw new WebhookFailure(webhook.name, `failed to call webhook: ${err instanceof Error ? err.message : String(err)}`, err);
  }
  let response: AdmissionResponse;
  let patch: readonly unknown[];
  try {
    response = verifyReview(review, version, request.uid);
    patch = patchOf(response, kind, version);
  } catch (err) {
    throw new WebhookFailure(webhook.name, err instanceof PatchTextError ? `received undecodable patch in webhook response: ${err.message}` : `received invalid webhook response: ${err instanceof Error ? err.message : String(err)}`, err);
  }
  for (const [key, value] of Object.entries(response.auditAnnotations ?? {})) a.annotate(`${webhook.name}/${key}`, String(value));
  for (const warning of response.warnings ?? []) a.warn(warning);
  if (!response.allowed) throw denial(webhook.name, response.status);
  return { patch };
}

/** What a client of Go's types would not get as far as reading. */
function checkDecodes(review: unknown): void {
  const { kind = '', apiVersion = '' } = (review ?? {}) as { readonly kind?: string; readonly apiVersion?: string };
  if (kind !== '' && apiVersion !== '' && (kind !== 'AdmissionReview' || !/^admission\.k8s\.io\/v1(beta1)?$/.test(apiVersion))) {
    throw new Error(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "k8s.io/apiserver/pkg/util/webhook/client.go:71"`);
  }
  const type = structByKind('admission.k8s.io', 'v1', 'AdmissionReview');
  const [fault] = type ? decodeInto(type, review).errors : [];
  if (fault !== undefined) throw new Error(fault);
}
function verifyReview(review: unknown, version: string, uid: string): AdmissionResponse {
  const { kind = '', apiVersion = '', response } = (review ?? {}) as { readonly kind?: string; readonly apiVersion?: string; readonly response?: AdmissionResponse };
  if (version === 'v1') {
    if (kind !== 'AdmissionReview' || apiVersion !== 'admission.k8s.io/v1') throw new Error(`expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`);
    if (!response) throw new Error('webhook response was absent');
    if (response.uid !== uid) throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid ?? '')}`);
    return response;
  }
  if (!response) throw new Error('webhook response was absent');
  return response;
}
class PatchTextError extends Error {}
function patchOf({ patch = '', patchType }: AdmissionResponse, kind: 'mutating' | 'validating', version: string): readonly unknown[] {
  if (version === 'v1') {
    if (kind === 'validating') {
      if (patch !== '') throw new Error('validating webhook may not return response.patch');
      if (patchType) throw new Error('validating webhook may not return response.patchType');
    } else if (patch !== '' && patchType === undefined) {
      throw new Error('webhook returned response.patch but not response.patchType');
    } else if (patch === '' && patchType !== undefined) {
      throw new Error('webhook returned response.patchType but not response.patch');
    }
  }
  if (kind === 'validating' || patch === '') return [];
  try {
    const operations: unknown = readJson(Buffer.from(patch, 'base64').toString('utf8'));
    if (!Array.isArray(operations)) throw new Error(`json: cannot unmarshal ${jsonKind(operations)} into Go value of type jsonpatch.Patch`);
    if (version === 'v1' && patchType !== 'JSONPatch' && operations.length > 0) throw new Error(`unsupported patch type ${JSON.stringify(patchType)}`);
    return operations;
  } catch (err) {
    throw new PatchTextError(err instanceof Error ? err.message : String(err));
  }
}
/** The webhook's own status with upstream's beginning, never a success. */
function denial(webhook: string, status: Status | undefined): StatusError {
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const message = status?.message ? `${denied}: ${status.message}` : status?.reason ? `${denied}: ${status.reason}` : `${denied} without explanation`;
  return new WebhookDenial({ kind: 'Status', apiVersion: 'v1', ...status, metadata: status?.metadata ?? {}, status: !status?.status || status.status === 'Success' ? 'Failure' : status.status, code: Math.max(status?.code ?? 0, 400), message });
}
