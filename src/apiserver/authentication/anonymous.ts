/** Requests without credentials: `system:anonymous`. What it may do is RBAC's business: health and version by upstream's default bindings. */
import type { AuthenticationRequest, AuthenticationResult, Authenticator } from '../interfaces.ts';
import { ALL_UNAUTHENTICATED, ANONYMOUS } from './users.ts';

export class AnonymousAuthenticator implements Authenticator {
  readonly #paths: ReadonlySet<string> | undefined;
  /** `paths`: where anonymous requests are taken at all (AuthenticationConfiguration's `anonymous.conditions`). Default: everywhere. */
  constructor(options: { readonly paths?: readonly string[] } = {}) {
    this.#paths = options.paths ? new Set(options.paths) : undefined;
  }
  authenticate(request: AuthenticationRequest): AuthenticationResult | undefined {
    if (this.#paths && !this.#paths.has(request.path.split('?', 1)[0]!)) return undefined;
    return { user: { name: ANONYMOUS, groups: [ALL_UNAUTHENTICATED] } };
  }
}
