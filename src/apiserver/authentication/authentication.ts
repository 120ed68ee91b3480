/**
 * All of the API server's authentication from one set of options: which credentials it takes, in upstream's order.
 * Front proxy, client certificate, then bearer tokens: token file, service accounts, bootstrap tokens, OIDC, webhook; at last anonymous.
 */
import type { Clock } from '#base/clock.ts';
import type { Authenticator, Loopback, ObjectReader, TokenAuthenticator, TokenIssuer } from '../interfaces.ts';
import { AnonymousAuthenticator } from './anonymous.ts';
import { BearerTokenAuthenticator } from './bearer-token.ts';
import { BootstrapTokenAuthenticator } from './bootstrap-token.ts';
import { ClientCertificateAuthenticator } from './client-certificate.ts';
import type { AuthenticationFile } from './configured.ts';
import { LegacyTokenUse } from './legacy-token-use.ts';
import { RequestHeaderAuthenticator, type RequestHeaderOptions } from './request-header.ts';
import { jwksDocument, openIdConfiguration, signingKey, verificationKey } from './service-account-keys.ts';
import { ServiceAccountTokenAuthenticator } from './service-account-tokens.ts';
import { TokenFileAuthenticator } from './token-file.ts';
import { ServiceAccountTokenIssuer } from './token-request.ts';
import { RequestAuthenticator, TokenUnion } from './union.ts';
import { WebhookTokenAuthenticator, type WebhookTokenOptions } from './webhook.ts';

export const DEFAULT_ISSUER = 'https://kubernetes.default.svc.cluster.local';

export interface AuthenticationOptions {
  readonly reader: ObjectReader;
  readonly clock: Clock;
  /** PEM bundle of the authorities whose client certificates count. */
  readonly clientCa?: string;
  readonly requestHeader?: Omit<RequestHeaderOptions, 'clock'>;
  readonly serviceAccounts: {
    /** PEM of the private key that signs. */
    readonly signingKey: string;
    /** PEM of further keys whose tokens count, such as the one before a rotation. */
    readonly moreKeys?: readonly string[];
    /** The first issues. Default {@link DEFAULT_ISSUER}. */
    readonly issuers?: readonly string[];
    /** Default: the first issuer. */
    readonly audiences?: readonly string[];
    readonly maxExpirationSeconds?: number;
    readonly extendExpiration?: boolean;
    /** Default `<issuer>/openid/v1/jwks`. */
    readonly jwksUri?: string;
    /** Writes to secrets when their tokens were used. Absent: nobody does. */
    readonly loopback?: Loopback;
  };
  /** Text of a static token file. */
  readonly tokenFile?: string;
  /** Default true. */
  readonly bootstrapTokens?: boolean;
  /** Outside issuers, and anonymous requests: then {@link anonymous} does not count. */
  readonly file?: Pick<AuthenticationFile, 'tokens' | 'anonymous'> | undefined;
  readonly webhook?: Omit<WebhookTokenOptions, 'clock' | 'audiences'>;
  /** false: requests without credentials are refused. Default: they are `system:anonymous`. */
  readonly anonymous?: false | { readonly paths?: readonly string[] };
}

export interface Authentication {
  readonly authenticator: Authenticator;
  /** For TokenReview. */
  readonly tokens: TokenAuthenticator;
  readonly issuer: TokenIssuer;
  /** The API server's own audiences. */
  readonly audiences: readonly string[];
  /** Body of `/openid/v1/jwks`, content type `application/jwk-set+json`. */
  jwks(): Promise<unknown>;
  /** Body of `/.well-known/openid-configuration`, content type `application/json`. */
  openIdConfiguration(): unknown;
}

export function createAuthentication(options: AuthenticationOptions): Authentication {
  const { reader, clock, serviceAccounts } = options;
  const issuers = serviceAccounts.issuers ?? [DEFAULT_ISSUER];
  const audiences = serviceAccounts.audiences ?? [issuers[0]!];
  const key = signingKey(serviceAccounts.signingKey);
  const keys = [key, ...(serviceAccounts.moreKeys ?? []).map(verificationKey)];
  const tokens = new TokenUnion([
    ...(options.tokenFile === undefined ? [] : [new TokenFileAuthenticator(options.tokenFile)]),
    new ServiceAccountTokenAuthenticator({ issuers, keys, audiences, reader, clock, legacyTokenUse: serviceAccounts.loopback && new LegacyTokenUse(serviceAccounts.loopback, clock) }),
    ...(options.bootstrapTokens === false ? [] : [new BootstrapTokenAuthenticator({ reader, clock })]),
    ...(options.file ? [options.file.tokens] : []),
    ...(options.webhook ? [new WebhookTokenAuthenticator({ ...options.webhook, audiences, clock })] : []),
  ]);
  const credentials: Authenticator[] = [
    ...(options.requestHeader ? [new RequestHeaderAuthenticator({ ...options.requestHeader, clock })] : []),
    ...(options.clientCa === undefined ? [] : [new ClientCertificateAuthenticator({ authorities: options.clientCa, clock })]),
    new BearerTokenAuthenticator(tokens),
  ];
  const anonymous = options.file?.anonymous ?? (options.anonymous === false ? undefined : new AnonymousAuthenticator(options.anonymous));
  const { maxExpirationSeconds, extendExpiration } = serviceAccounts;
  return {
    authenticator: new RequestAuthenticator(credentials, anonymous),
    tokens,
    issuer: new ServiceAccountTokenIssuer({
      issuer: issuers[0]!, key, audiences, clock,
      ...(maxExpirationSeconds === undefined ? {} : { maxExpirationSeconds }), ...(extendExpiration === undefined ? {} : { extendExpiration }),
    }),
    audiences,
    jwks: () => jwksDocument(keys),
    openIdConfiguration: () => openIdConfiguration({ issuer: issuers[0]!, jwksUri: serviceAccounts.jwksUri ?? `${issuers[0]!}/openid/v1/jwks`, keys }),
  };
}
