/** Several authenticators as one: the first that knows the caller wins; an error counts only when nobody does. */
import { logger } from '#base/logger.ts';
import { StatusError, unauthorized } from '#machinery/status-error.ts';
import type { AuthenticationRequest, AuthenticationResult, Authenticator, MaybePromise, TokenAuthenticator } from '../interfaces.ts';
import { withAuthenticatedGroup } from './users.ts';

const log = logger('authentication');
type Answer = AuthenticationResult | undefined;

/** Asks in order, without a turn of the event loop while the answers are at hand. */
function firstAnswer<A>(all: readonly A[], ask: (a: A) => MaybePromise<Answer>, from = 0, failure?: unknown): MaybePromise<Answer> {
  let error = failure;
  for (let i = from; i < all.length; i++) {
    let answer: MaybePromise<Answer>;
    try {
      answer = ask(all[i]!);
    } catch (err) {
      error ??= err;
      continue;
    }
    if (answer instanceof Promise) {
      return answer.then(
        (result) => result ?? firstAnswer(all, ask, i + 1, error),
        (err: unknown) => firstAnswer(all, ask, i + 1, error ?? err),
      );
    }
    if (answer !== undefined) return answer;
  }
  if (error !== undefined) throw error;
  return undefined;
}

export class TokenUnion implements TokenAuthenticator {
  readonly #all: readonly TokenAuthenticator[];
  constructor(all: readonly TokenAuthenticator[]) {
    this.#all = all;
  }
  authenticateToken(token: string, audiences: readonly string[], signal: AbortSignal): MaybePromise<Answer> {
    return firstAnswer(this.#all, (a) => a.authenticateToken(token, audiences, signal));
  }
}

/**
 * The API server's authenticator: credentials in order, `system:authenticated` added, else the anonymous user if there may be one.
 * Wrong credentials are never let in as anonymous. Every refusal is the bare `Unauthorized`.
 */
export class RequestAuthenticator implements Authenticator {
  readonly #credentials: readonly Authenticator[];
  readonly #anonymous: Authenticator | undefined;
  constructor(credentials: readonly Authenticator[], anonymous?: Authenticator) {
    this.#credentials = credentials;
    this.#anonymous = anonymous;
  }
  authenticate(request: AuthenticationRequest, signal: AbortSignal): MaybePromise<AuthenticationResult> {
    const finish = (answer: Answer): MaybePromise<AuthenticationResult> => {
      if (answer) return { ...answer, user: withAuthenticatedGroup(answer.user) };
      const anonymous = this.#anonymous?.authenticate(request, signal);
      if (anonymous instanceof Promise) return anonymous.then(known);
      return known(anonymous);
    };
    // The client learns nothing; whoever runs the cluster finds the reason in the log.
    const refuse = (err: unknown): never => {
      log.info({ remoteAddress: request.remoteAddress, err: err instanceof Error ? err.message : String(err) }, 'unable to authenticate the request');
      throw new StatusError(unauthorized().status, err);
    };
    try {
      const answer = firstAnswer(this.#credentials, (a) => a.authenticate(request, signal));
      return answer instanceof Promise ? answer.then(finish, refuse) : finish(answer);
    } catch (err) {
      return refuse(err);
    }
  }
}
function known(answer: Answer): AuthenticationResult {
  if (!answer) throw unauthorized();
  return answer;
}
