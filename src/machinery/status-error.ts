/**
 * The one error that crosses the wire: `metav1.Status` with a closed set of reasons.
 * Source: the API reference, meta/v1 Status and StatusDetails; wording as upstream's `apimachinery/pkg/api/errors`.
 */
import type { Status } from '#api/gen/meta-v1.ts';
import { toAggregate, type FieldError } from './field-errors.ts';

export const REASON_CODES = {
  Unauthorized: 401, Forbidden: 403, NotFound: 404, AlreadyExists: 409, Conflict: 409, Gone: 410, Invalid: 422,
  ServerTimeout: 500, StoreReadError: 500, Timeout: 504, TooManyRequests: 429, BadRequest: 400, MethodNotAllowed: 405,
  NotAcceptable: 406, RequestEntityTooLarge: 413, UnsupportedMediaType: 415, InternalError: 500, Expired: 410, ServiceUnavailable: 503,
} as const;
export type StatusReason = keyof typeof REASON_CODES;

/** `pods`, or `deployments.apps`: how upstream's messages name a resource. */
export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}
export function qualified(gr: GroupResource): string {
  return gr.group === '' ? gr.resource : `${gr.resource}.${gr.group}`;
}

export class StatusError extends Error {
  readonly status: Status;
  constructor(status: Status, cause?: unknown) {
    super(status.message ?? '', cause === undefined ? undefined : { cause });
    this.name = 'StatusError';
    this.status = status;
  }
  get code(): number {
    return this.status.code ?? 500;
  }
  get reason(): string {
    return this.status.reason ?? '';
  }
  /** The wire error for anything thrown: itself, or an InternalError that keeps it as the cause. */
  static from(err: unknown): StatusError {
    if (err instanceof StatusError) return err;
    return internalError(err instanceof Error ? err.message : String(err), err);
  }
}

function failure(reason: StatusReason, message: string, details?: Status['details'], cause?: unknown): StatusError {
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, ...(details ? { details } : {}), code: REASON_CODES[reason] };
  return new StatusError(status, cause);
}
const named = (gr: GroupResource, name: string): NonNullable<Status['details']> => ({ ...(name ? { name } : {}), ...(gr.group ? { group: gr.group } : {}), kind: gr.resource });

export function notFound(gr: GroupResource, name: string): StatusError {
  return failure('NotFound', `${qualified(gr)} "${name}" not found`, named(gr, name));
}
export function alreadyExists(gr: GroupResource, name: string): StatusError {
  return failure('AlreadyExists', `${qualified(gr)} "${name}" already exists`, named(gr, name));
}
/** `why` is upstream's sentence, such as "the object has been modified; please apply your changes to the latest version and try again". */
export function conflict(gr: GroupResource, name: string, why: string): StatusError {
  return failure('Conflict', `Operation cannot be fulfilled on ${qualified(gr)} "${name}": ${why}`, named(gr, name));
}
export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';
export function forbidden(gr: GroupResource, name: string, why: string): StatusError {
  const what = name === '' ? qualified(gr) : `${qualified(gr)} "${name}"`;
  return failure('Forbidden', gr.resource === '' ? `forbidden: ${why}` : `${what} is forbidden: ${why}`, named(gr, name));
}
export function unauthorized(message = 'Unauthorized'): StatusError {
  return failure('Unauthorized', message);
}
export function badRequest(message: string): StatusError {
  return failure('BadRequest', message);
}
/** `kind` is the kind with its group: upstream writes `Pod "x" is invalid: …` and `Deployment.apps "x" is invalid: …`. */
export function invalid(gk: { group: string; kind: string }, name: string, errors: readonly FieldError[]): StatusError {
  const causes = errors.map((e) => ({ reason: e.type, message: e.body, field: e.field }));
  const kind = gk.group === '' ? gk.kind : `${gk.kind}.${gk.group}`;
  return failure('Invalid', `${kind} "${name}" is invalid: ${toAggregate(errors)}`, { ...(name ? { name } : {}), ...(gk.group ? { group: gk.group } : {}), kind: gk.kind, causes });
}
export function methodNotAllowed(gr: GroupResource, action: string): StatusError {
  return failure('MethodNotAllowed', `${action} is not supported on resources of kind "${qualified(gr)}"`, named(gr, ''));
}
/** 410 for a resourceVersion or continue token that is too old (reason Expired, as list and watch answer). */
export function expired(message: string): StatusError {
  return failure('Expired', message);
}
export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return failure('TooManyRequests', message, { retryAfterSeconds });
}
export function serviceUnavailable(message: string): StatusError {
  return failure('ServiceUnavailable', message);
}
export function timeout(message: string, retryAfterSeconds: number): StatusError {
  return failure('Timeout', `Timeout: ${message}`, { retryAfterSeconds });
}
export function tooLarge(message: string): StatusError {
  return failure('RequestEntityTooLarge', message);
}
export function unsupportedMediaType(message: string): StatusError {
  return failure('UnsupportedMediaType', message);
}
export function notAcceptable(message: string): StatusError {
  return failure('NotAcceptable', message);
}
export function internalError(message: string, cause?: unknown): StatusError {
  return failure('InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] }, cause);
}
/** True for a wire error with that reason. */
export function isReason(err: unknown, reason: StatusReason): boolean {
  return err instanceof StatusError && err.status.reason === reason;
}
