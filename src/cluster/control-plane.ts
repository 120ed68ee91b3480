/** The API server of a cluster, with everything that plugs into it. */
import { randomUUID } from 'node:crypto';
import type { Service } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { splitApiVersion } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { createAdmission } from '#apiserver/admission/admission.ts';
import { celCompiler } from '#apiserver/admission/cel-compiler.ts';
import { createAuthentication } from '#apiserver/authentication/authentication.ts';
import type { AuthenticationFile } from '#apiserver/authentication/configured.ts';
import { HeaderImpersonator } from '#apiserver/authentication/impersonation.ts';
import { createAuthorization, type Authorization } from '#apiserver/authorization/authorization.ts';
import type { AuthorizationFile } from '#apiserver/authorization/configured.ts';
import type { Auditor } from '#apiserver/audit/auditor.ts';
import { UNENCRYPTED, type EncryptionAtRest } from '#apiserver/encryption/encryption.ts';
import type { ObjectReader } from '#apiserver/interfaces.ts';
import type { PathHandler } from '#apiserver/pipeline.ts';
import { ApiServer, type ApiServerOptions, type SecurityParts, type ServerParts } from '#apiserver/server.ts';
import type { Tracing } from '#apiserver/tracing/tracing.ts';
import { WebhookClient, type ServiceResolver } from '#apiserver/webhook/client.ts';
import type { Clock } from '#base/clock.ts';
import { clusterOpenApi } from './openapi.ts';
import type { Store } from '#store/contract.ts';
import type { ClusterPki, KeyPair } from './pki.ts';

export interface ControlPlaneOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly pki: ClusterPki;
  /** Who the front proxy is at the moment; default: who it is in `pki`. */
  readonly frontProxyClient?: (() => KeyPair) | undefined;
  /** Absent: calls in the process only. */
  readonly http?: { readonly host: string; readonly port: number } | undefined;
  /** Where Pods reach the API server: `10.0.0.5:6443`. */
  readonly serverAddress?: string | undefined;
  /** Absent: objects are stored as they are. */
  readonly encryption?: EncryptionAtRest | undefined;
  /** Absent: no outside issuers, and anybody may come without credentials. */
  readonly authentication?: AuthenticationFile | undefined;
  /** Absent: Node and RBAC decide. */
  readonly authorization?: AuthorizationFile | undefined;
  /** Absent: requests are not written down. */
  readonly audit?: Auditor | undefined;
  /** Absent: no traces. */
  readonly tracing?: Tracing | undefined;
  /** Versions to serve beside those that are on by default: `{ 'certificates.k8s.io/v1beta1': 'true' }`. */
  readonly runtimeConfig?: ApiServerOptions['runtimeConfig'];
  /** Default 400 and 200. */
  readonly inFlight?: ApiServerOptions['inFlight'];
  readonly flags?: ApiServerOptions['flags'];
  readonly nodeProxy?: ApiServerOptions['nodeProxy'];
  readonly serviceNetwork?: ApiServerOptions['serviceNetwork'];
  readonly healthChecks?: ApiServerOptions['healthChecks'];
  readonly components?: ApiServerOptions['components'];
}

const SERVICES = resourceOf('', 'v1', 'services');
const ENDPOINT_SLICES = resourceOf('discovery.k8s.io', 'v1', 'endpointslices');

/** A ready endpoint of a Service, for webhooks: the API server needs no cluster DNS and no proxy rules of its own. */
export function serviceResolver(reader: ObjectReader): ServiceResolver {
  return {
    resolve(namespace, name, port) {
      const service = reader.get<Service>(SERVICES, namespace, name);
      if (!service) throw new Error(`service "${name}" not found`);
      // A name outside of the cluster needs no port of the Service's.
      if (service.spec.type === 'ExternalName') return { host: service.spec.externalName ?? '', port };
      const declared = service.spec.ports?.find((p) => p.port === port);
      if (!declared) throw new Error(`no service port ${port} found for service "${name}"`);
      const slices = reader.list<EndpointSlice>(ENDPOINT_SLICES, namespace).filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === name);
      for (const slice of slices) {
        const target = slice.ports?.find((p) => (p.name ?? '') === (declared.name ?? ''))?.port;
        const ready = slice.endpoints?.find((e) => e.conditions?.ready !== false && e.addresses[0]);
        if (ready && target !== undefined) return { host: ready.addresses[0]!, port: target };
      }
      throw new Error(`no endpoints available for service "${name}"`);
    },
  };
}

/** What the API server serves with, and whose client certificates it asks for. */
export function servingFiles({ apiServer, ca, frontProxyCa }: ClusterPki): { readonly cert: string; readonly key: string; readonly clientCa: string } {
  return { ...apiServer, clientCa: `${ca.cert}\n${frontProxyCa.cert}` };
}

export function newApiServer(options: ControlPlaneOptions): ApiServer {
  const { store, clock, pki, http, encryption } = options;
  let authorization: Authorization | undefined;
  let admission: ReturnType<typeof createAdmission> | undefined;

  function security({ reader, loopback }: ServerParts): SecurityParts {
    const authentication = createAuthentication({
      reader, clock, clientCa: pki.ca.cert, file: options.authentication,
      requestHeader: { authorities: pki.frontProxyCa.cert, allowedNames: ['front-proxy-client'] },
      serviceAccounts: { signingKey: pki.serviceAccountKey.privateKey, loopback },
    });
    const made = (authorization = createAuthorization({ reader, file: options.authorization }));
    const json = (body: unknown, type: string) => ({ kind: 'raw', code: 200, headers: { 'content-type': type, 'cache-control': 'public, max-age=3600' }, body: Buffer.from(JSON.stringify(body)) }) as const;
    return {
      authenticator: authentication.authenticator,
      impersonator: new HeaderImpersonator(made.authorizer),
      authorizer: made.authorizer,
      rules: made.authorizer,
      tokens: authentication.tokens,
      tokenIssuer: authentication.issuer,
      audiences: authentication.audiences,
      paths: new Map<string, PathHandler>([
        ['/openid/v1/jwks', async () => json(await authentication.jwks(), 'application/jwk-set+json')],
        ['/.well-known/openid-configuration', () => json(authentication.openIdConfiguration(), 'application/json')],
      ]),
      stop: () => {
        admission?.stop();
        made.stop();
      },
    };
  }
  const server = new ApiServer({
    store,
    audit: options.audit,
    tracing: options.tracing,
    transformer: (prefix) => encryption?.transformer(prefix) ?? UNENCRYPTED,
    clock,
    security,
    admission: ({ reader, loopback, authorizer, resources }) => {
      admission = createAdmission({
        reader, loopback, authorizer, clock, resources, random: Math.random, uid: randomUUID,
        webhooks: new WebhookClient({ resolver: serviceResolver(reader), clock }),
        compiler: celCompiler(),
        resolve: (apiVersion, kind) => {
          const { group, version } = splitApiVersion(apiVersion);
          return resources.all().find((r) => r.info.group === group && r.info.version === version && r.info.kind === kind)?.info;
        },
        escalation: authorization!.escalation,
      });
      return admission.plugins;
    },
    openapi: clusterOpenApi,
    conversionWebhooks: (reader) => new WebhookClient({ resolver: serviceResolver(reader), clock }),
    nodeProxy: options.nodeProxy,
    runtimeConfig: options.runtimeConfig,
    inFlight: options.inFlight,
    flags: options.flags,
    aggregation: { identity: options.frontProxyClient ?? (() => pki.frontProxyClient), resolver: serviceResolver },
    serviceNetwork: options.serviceNetwork ?? {},
    serverAddress: options.serverAddress,
    awaitsBootstrap: true,
    components: options.components,
    healthChecks: [...(encryption ? [encryption.healthCheck] : []), ...(options.healthChecks ?? [])],
    ...(http ? { http: { ...http, tls: servingFiles(pki) } } : {}),
  });
  server.metrics.addText(() => admission?.metricsText() ?? '');
  for (const file of [encryption, options.authentication, options.authorization]) if (file) server.metrics.addText(() => file.metricsText());
  return server;
}
