/**
 * Continue tokens of chunked lists: `{"v":"meta.k8s.io/v1","rv":N,"start":"KEY\0"}` in unpadded URL-safe base64, as
 * upstream's `storage.EncodeContinue` writes them. `rv` -1 continues from the newest state.
 */
import { parseJson } from '#machinery/json.ts';
import { badRequest, expired, StatusError } from '#machinery/status-error.ts';

export interface ContinueToken {
  /** Revision of the first page; -1: take the newest. */
  readonly revision: number;
  /** First key of the page, inclusive, in full. */
  readonly startKey: string;
}
const TOKEN_VERSION = 'meta.k8s.io/v1';

/** `lastKey` is the last key of the page that was sent; it starts with `prefix`. */
export function encodeContinue(lastKey: string, prefix: string, revision: number): string {
  return encodeStart(`${lastKey.slice(prefix.length)}\u0000`, revision);
}
function encodeStart(start: string, revision: number): string {
  return Buffer.from(JSON.stringify({ v: TOKEN_VERSION, rv: revision, start })).toString('base64url');
}

export function decodeContinue(token: string, prefix: string): ContinueToken {
  const refuse = (why: string) => badRequest(`invalid continue token: continue key is not valid: ${why}`);
  const illegal = token.search(/[^\w-]/);
  if (illegal >= 0) throw refuse(`illegal base64 data at input byte ${illegal}`);
  let parsed: { v?: unknown; rv?: unknown; start?: unknown };
  try {
    parsed = parseJson(Buffer.from(token, 'base64url').toString()) as typeof parsed;
  } catch (err) {
    throw refuse(err instanceof Error ? err.message : String(err));
  }
  if (parsed?.v !== TOKEN_VERSION) throw refuse(`server does not recognize this encoded version ${String(parsed?.v ?? '')}`);
  if (!Number.isSafeInteger(parsed.rv) || parsed.rv === 0) throw refuse('incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  if (typeof parsed.start !== 'string' || parsed.start === '') throw refuse('encoded start key empty (version meta.k8s.io/v1)');
  // A start such as `../pods` must not leave the list's own keys.
  if (parsed.start.split('/').some((part) => part === '..' || part === '.') || parsed.start.startsWith('/')) throw refuse(parsed.start);
  return { revision: parsed.rv as number, startKey: prefix + parsed.start };
}

const TOO_OLD =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

/** 410 with a token that goes on from the same key in the newest state. */
export function tokenExpired(token: ContinueToken, prefix: string): StatusError {
  const { status } = expired(TOO_OLD);
  return new StatusError({ ...status, metadata: { continue: encodeStart(token.startKey.slice(prefix.length), -1) } });
}
