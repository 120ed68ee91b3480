/** Finds the token of a request and asks the token authenticators. */
import type { AuthenticationRequest, AuthenticationResult, Authenticator, MaybePromise, TokenAuthenticator } from '../interfaces.ts';

const WEBSOCKET_PROTOCOL_PREFIX = 'base64url.bearer.authorization.k8s.io.';

/** The token of `Authorization: Bearer …`, or of the WebSocket subprotocol that browsers use instead; undefined when there is neither. */
export function bearerTokenOf(request: AuthenticationRequest): string | undefined {
  const header = request.header('authorization')?.trim();
  if (header) {
    const parts = header.split(' ');
    if (parts.length < 2 || parts[0]!.toLowerCase() !== 'bearer') return undefined;
    return parts[1] === '' ? undefined : parts[1];
  }
  if (!request.header('upgrade')?.toLowerCase().includes('websocket')) return undefined;
  const protocols = request.headerValues('sec-websocket-protocol').flatMap((v) => v.split(',')).map((p) => p.trim());
  const encoded = protocols.filter((p) => p.startsWith(WEBSOCKET_PROTOCOL_PREFIX));
  if (encoded.length !== 1) return undefined;
  const text = encoded[0]!.slice(WEBSOCKET_PROTOCOL_PREFIX.length);
  return /^[\w-]+$/.test(text) ? Buffer.from(text, 'base64url').toString('utf8') : undefined;
}

export class BearerTokenAuthenticator implements Authenticator {
  readonly #tokens: TokenAuthenticator;
  constructor(tokens: TokenAuthenticator) {
    this.#tokens = tokens;
  }
  authenticate(request: AuthenticationRequest, signal: AbortSignal): MaybePromise<AuthenticationResult | undefined> {
    const token = bearerTokenOf(request);
    if (token === undefined) return undefined;
    const refuse = (result: AuthenticationResult | undefined): AuthenticationResult => {
      if (result === undefined) throw new Error('invalid bearer token');
      return result;
    };
    const answer = this.#tokens.authenticateToken(token, [], signal);
    return answer instanceof Promise ? answer.then(refuse) : refuse(answer);
  }
}
