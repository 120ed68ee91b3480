/** The errors that patching answers with, as the API server's patch handler maps them. */
import type { Status } from '#api/gen/meta-v1.ts';
import { REASON_CODES, StatusError } from '../status-error.ts';

/**
 * 422 Invalid with a fixed message: the patch is well formed but does not apply to this object. The reason why does not
 * cross the wire (as upstream); it stays readable as the error's cause.
 */
export function unprocessablePatch(why: string | Error): StatusError {
  const status: Status = {
    kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure',
    message: 'the server rejected our request due to an error in our request',
    reason: 'Invalid', details: {}, code: REASON_CODES.Invalid,
  };
  return new StatusError(status, typeof why === 'string' ? new Error(why) : why);
}
