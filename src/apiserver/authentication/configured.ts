/**
 * Authentication by a file: the issuers of an `AuthenticationConfiguration`, and whom it takes without credentials. The file is read again
 * when it changes; a new configuration takes over when the keys of all its issuers are known.
 */
import type { Clock } from '#base/clock.ts';
import { FollowedFile, readIfThere } from '../configuration/followed-file.ts';
import type { AuthenticationRequest, AuthenticationResult, Authenticator, MaybePromise, TokenAuthenticator } from '../interfaces.ts';
import { AnonymousAuthenticator } from './anonymous.ts';
import type { FetchJson } from './issuer-keys.ts';
import { parseAuthenticationConfiguration, type AuthenticationConfiguration } from './jwt-configuration.ts';
import { OidcAuthenticator } from './oidc.ts';
import { TokenUnion } from './union.ts';

/** As often as upstream looks at its file: an issuer that was away is asked again. */
const RETRY_MS = 60_000;

interface Loaded {
  readonly issuers: readonly OidcAuthenticator[];
  readonly tokens: TokenUnion;
  readonly anonymous: Authenticator | undefined;
}

export interface AuthenticationFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** The API server's own issuers, which the file may not name. */
  readonly disallowedIssuers: readonly string[];
  readonly fetchJson?: FetchJson;
}

export class AuthenticationFile {
  readonly #options: AuthenticationFileOptions;
  readonly #file: FollowedFile;
  #loaded: Loaded;

  private constructor(options: AuthenticationFileOptions, text: string) {
    this.#options = options;
    this.#loaded = this.#load(text);
    this.#file = new FollowedFile({
      path: options.path, clock: options.clock, what: 'authentication configuration', metric: 'authentication', retryMs: RETRY_MS,
      take: async (changed) => {
        const loaded = this.#load(changed);
        await Promise.all(loaded.issuers.map((issuer) => issuer.ready()));
        this.#loaded = loaded;
      },
    });
  }
  /** Undefined where there is no such file. Throws for one that cannot be used. */
  static async open(options: AuthenticationFileOptions): Promise<AuthenticationFile | undefined> {
    const text = await readIfThere(options.path);
    return text === undefined ? undefined : new AuthenticationFile(options, text);
  }

  readonly tokens: TokenAuthenticator = {
    authenticateToken: (token, audiences, signal) => this.#loaded.tokens.authenticateToken(token, audiences, signal),
  };
  readonly anonymous: Authenticator = {
    authenticate: (request: AuthenticationRequest, signal: AbortSignal): MaybePromise<AuthenticationResult | undefined> => this.#loaded.anonymous?.authenticate(request, signal),
  };
  start(): void {
    this.#file.start();
  }
  stop(): Promise<void> {
    return this.#file.stop();
  }
  metricsText(): string {
    return this.#file.metricsText();
  }

  #load(text: string): Loaded {
    const { path, clock, disallowedIssuers, fetchJson } = this.#options;
    let configuration: AuthenticationConfiguration;
    try {
      configuration = parseAuthenticationConfiguration(text, disallowedIssuers);
    } catch (err) {
      throw new Error(`failed to load authentication configuration from file "${path}": ${(err as Error).message}`, { cause: err });
    }
    const issuers = configuration.jwt.map((jwt) => new OidcAuthenticator(jwt, clock, fetchJson));
    return { issuers, tokens: new TokenUnion(issuers), anonymous: configuration.anonymous === false ? undefined : new AnonymousAuthenticator(configuration.anonymous) };
  }
}
