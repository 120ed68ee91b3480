/** A real API server in the test's process: TLS, certificates, authentication and RBAC; a store in memory. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdmission, type Admission } from '#apiserver/admission/admission.ts';
import { celCompiler } from '#apiserver/admission/cel-compiler.ts';
import { createAuthentication, type AuthenticationOptions } from '#apiserver/authentication/authentication.ts';
import { HeaderImpersonator } from '#apiserver/authentication/impersonation.ts';
import { createAuthorization, type AuthorizationOptions } from '#apiserver/authorization/authorization.ts';
import type { AdmissionPlugin } from '#apiserver/interfaces.ts';
import { ApiServer, type ApiServerOptions } from '#apiserver/server.ts';
import { WebhookClient } from '#apiserver/webhook/client.ts';
import { splitApiVersion } from '#api/object.ts';
import { systemClock } from '#base/clock.ts';
import { ensureClusterPki, writeKubeconfig, type ClusterPki } from '#cluster/pki.ts';
import type { Store } from '#store/contract.ts';
import { openMemoryStore } from '#store/memory.ts';

export interface Fixture {
  readonly server: ApiServer;
  readonly pki: ClusterPki;
  readonly url: string;
  readonly kubeconfig: string;
  kubectl(args: readonly string[], input?: string, env?: Readonly<Record<string, string>>): Promise<{ code: number; stdout: string; stderr: string }>;
  close(): Promise<void>;
}
export interface FixtureOptions extends Partial<Omit<ApiServerOptions, 'admission' | 'security' | 'aggregation'>> {
  readonly aggregation?: (pki: ClusterPki) => NonNullable<ApiServerOptions['aggregation']>;
  readonly admission?: (escalation: AdmissionPlugin) => readonly AdmissionPlugin[];
  /** All plugins of the server's table but these. */
  readonly pluginsWithout?: readonly string[];
  readonly store?: Store;
  /** Outside issuers, and who may come without credentials. */
  readonly authentication?: AuthenticationOptions['file'];
  /** Absent: Node and RBAC. */
  readonly authorization?: AuthorizationOptions['file'];
}

export async function startServer(options: FixtureOptions = {}): Promise<Fixture> {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-apiserver-'));
  const pki = await ensureClusterPki({ dir: join(dir, 'pki'), clock: systemClock });
  const { admission, aggregation, pluginsWithout, authentication: file, authorization: authorizationFile, ...rest } = options;
  let plugins: Admission | undefined;
  const server = new ApiServer({
    store: openMemoryStore(),
    clock: systemClock,
    http: { host: '127.0.0.1', port: 0, tls: { cert: pki.apiServer.cert, key: pki.apiServer.key, clientCa: pki.ca.cert } },
    security: ({ reader, clock }) => {
      const authentication = createAuthentication({ reader, clock, clientCa: pki.ca.cert, file, serviceAccounts: { signingKey: pki.serviceAccountKey.privateKey } });
      const authorization = createAuthorization({ reader, file: authorizationFile });
      return {
        authenticator: authentication.authenticator,
        impersonator: new HeaderImpersonator(authorization.authorizer),
        authorizer: authorization.authorizer,
        rules: authorization.authorizer,
        tokens: authentication.tokens,
        tokenIssuer: authentication.issuer,
        audiences: authentication.audiences,
        stop: () => {
          plugins?.stop();
          authorization.stop();
        },
      };
    },
    admission: ({ reader, loopback, authorizer, resources, clock }) => {
      if (!pluginsWithout) return admission?.({ name: 'none', handles: () => false }) ?? [];
      const webhooks = new WebhookClient({ resolver: { resolve: () => { throw new Error('there are no services here'); } }, clock });
      const resolve = (apiVersion: string, kind: string) => {
        const { group, version } = splitApiVersion(apiVersion);
        return resources.all().find((r) => r.info.group === group && r.info.version === version && r.info.kind === kind)?.info;
      };
      plugins = createAdmission({ reader, loopback, authorizer, clock, resources, random: Math.random, uid: randomUUID, webhooks, compiler: celCompiler(), resolve, disabled: pluginsWithout });
      return plugins.plugins;
    },
    ...(aggregation ? { aggregation: aggregation(pki) } : {}),
    ...rest,
  });
  server.metrics.addText(() => plugins?.metricsText() ?? '');
  await server.start(new AbortController().signal);
  const url = `https://127.0.0.1:${server.port}`;
  const kubeconfig = join(dir, 'kubeconfig.yaml');
  await writeKubeconfig(kubeconfig, { server: url, ca: pki.ca.cert, cluster: 'podyard', user: 'kubernetes-admin', credentials: pki.clients.admin });
  return {
    server,
    pki,
    url,
    kubeconfig,
    kubectl: (args, input, more) => runKubectl(dir, kubeconfig, args, input, more),
    close: async () => {
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function runKubectl(dir: string, kubeconfig: string, args: readonly string[], input?: string, more?: Readonly<Record<string, string>>): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, ...more, KUBECONFIG: kubeconfig, HOME: dir, KUBECACHEDIR: join(dir, 'cache') };
  return new Promise((resolve) => {
    const child = execFile('kubectl', [...args], { env, timeout: 60_000, maxBuffer: 64 << 20 }, (err, stdout, stderr) => {
      resolve({ code: err ? Number(err.code ?? 1) || 1 : 0, stdout, stderr });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
}
/** Writes a manifest beside the fixture's files and returns its path. */
export async function manifest(fixture: Fixture, name: string, text: string): Promise<string> {
  const path = join(fixture.kubeconfig, '..', name);
  await writeFile(path, text);
  return path;
}
