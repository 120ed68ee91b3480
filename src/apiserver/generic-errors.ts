/** Refusals that are not about an object: upstream's `NewGenericServerResponse`, and errors without a reason. */
import { REASON_CODES, StatusError, type StatusReason } from '#machinery/status-error.ts';

function generic(reason: StatusReason, message: string): StatusError {
  return new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details: {}, code: REASON_CODES[reason] });
}
export const pathNotFound = (): StatusError => generic('NotFound', 'the server could not find the requested resource');
export const verbNotAllowed = (): StatusError => generic('MethodNotAllowed', 'the server does not allow this method on the requested resource');

/** An error of upstream's storage that has no reason: the message alone, code 500. */
export function unclassified(message: string): StatusError {
  return new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 });
}
