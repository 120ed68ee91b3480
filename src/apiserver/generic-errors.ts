/** Refusals that are not about an object: upstream's `NewGenericServerResponse`. */
import { REASON_CODES, StatusError, type StatusReason } from '#machinery/status-error.ts';

function generic(reason: StatusReason, message: string): StatusError {
  return new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details: {}, code: REASON_CODES[reason] });
}
export const pathNotFound = (): StatusError => generic('NotFound', 'the server could not find the requested resource');
/** A path of no API group at all: upstream's router answers with a line of text. */
export class PageNotFound extends StatusError {
  static readonly text = '404 page not found\n';
  constructor() {
    super(pathNotFound().status);
  }
}
export const verbNotAllowed = (): StatusError => generic('MethodNotAllowed', 'the server does not allow this method on the requested resource');

/** What upstream's router says of a media type that no route of the path takes or makes. */
export function routerRefusal(reason: 'UnsupportedMediaType' | 'NotAcceptable', message: string): StatusError {
  return generic(reason, message);
}
