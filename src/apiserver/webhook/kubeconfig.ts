/**
 * Webhooks of the API server's own configuration: a kubeconfig file says where, whom to trust and who calls. Source: the Kubernetes pages
 * "Webhook Mode" and "Auditing", whose `clusters` are the remote service and whose `users` are the API server.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { sleep, type Clock } from '#base/clock.ts';
import { toAggregate, type FieldError } from '#machinery/field-errors.ts';
import { parseYaml } from '#machinery/yaml.ts';
import { ObjectReader } from '../configuration/object-reader.ts';
import { WebhookCallError, WebhookClient, type WebhookTarget } from './client.ts';

const TOKEN_GOOD_FOR_MS = 60_000;
const MULTIPLIER = 1.5;
const JITTER = 0.2;
const TRIES = 5;

export interface RemoteWebhook {
  /** Posts JSON to the exact URL of the file; tries again where that may help. Rejects with a WebhookCallError. */
  post(body: unknown, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<unknown>;
  /** Closes idle connections. */
  close(): void;
}
export interface RemoteWebhookOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** The wait before the second of five tries; each is half as long again. */
  readonly initialBackoffMs: number;
  /** Default: where the answer says that it may pass, or the connection broke. */
  readonly mayRetry?: (err: WebhookCallError) => boolean;
  /** Take answers that are no JSON. */
  readonly anyAnswer?: boolean;
}

interface Credentials {
  readonly target: WebhookTarget;
  readonly identity?: { readonly cert: string; readonly key: string };
  readonly authorization: () => Promise<string | undefined>;
}

/** Rejects with an Error that names the file. */
export async function openKubeconfigWebhook(options: RemoteWebhookOptions): Promise<RemoteWebhook> {
  const { path, clock } = options;
  let credentials: Credentials;
  try {
    credentials = await readKubeconfig(path, clock);
  } catch (err) {
    throw new Error(`unable to load webhook configuration from file "${path}": ${(err as Error).message}`, { cause: err });
  }
  const { target, identity, authorization } = credentials;
  const client = new WebhookClient({ clock, resolver: { resolve: () => Promise.reject(new Error('a kubeconfig file names no Services')) }, ...(identity ? { identity } : {}) });
  const { random, initialBackoffMs, mayRetry = passes } = options;
  return {
    async post(body, { timeoutMs, signal }) {
      let waitMs = initialBackoffMs;
      for (let i = 1; ; i++) {
        const header = await authorization();
        try {
          return await client.post(target, { body, timeoutMs, signal, ...(header === undefined ? {} : { headers: { authorization: header } }), ...(options.anyAnswer ? { anyAnswer: true } : {}) });
        } catch (err) {
          if (!(err instanceof WebhookCallError) || i >= TRIES || signal.aborted || !mayRetry(err)) throw err;
        }
        await sleep(clock, waitMs * (1 + JITTER * random()), signal);
        waitMs *= MULTIPLIER;
      }
    },
    close: () => client.close(),
  };
}
function passes({ status, cause }: WebhookCallError): boolean {
  return status === 500 || status === 504 || status === 429 || (cause as { readonly code?: unknown } | undefined)?.code === 'ECONNRESET';
}

async function readKubeconfig(path: string, clock: Clock): Promise<Credentials> {
  const errors: FieldError[] = [];
  const file = new ObjectReader(parseYaml(await readFile(path, 'utf8')), undefined, errors);
  const named = (list: string, name: string, field: string): ObjectReader | undefined => file.objects(list).find((entry) => entry.string('name') === name)?.object(field);
  const current = file.string('current-context') ?? '';
  const context = named('contexts', current, 'context');
  if (!context) throw new Error(current === '' ? 'invalid configuration: no configuration has been provided' : `context "${current}" does not exist`);
  const clusterName = context.string('cluster') ?? '';
  const cluster = named('clusters', clusterName, 'cluster');
  if (!cluster) throw new Error(`cluster "${clusterName}" does not exist`);
  const user = named('users', context.string('user') ?? '', 'user');
  if (user?.has('exec') || user?.has('auth-provider')) throw new Error('users with "exec" or "auth-provider" are not supported here: use a token, a certificate or a password');
  const material = fileOrData(dirname(path));
  const target = await targetOf(cluster, material);
  const [cert, key] = [await material(user, 'client-certificate'), await material(user, 'client-key')];
  if ((cert === undefined) !== (key === undefined)) throw new Error('client-certificate and client-key must be given together');
  const authorization = authorizationOf(user, dirname(path), clock);
  if (errors.length > 0) throw new Error(toAggregate(errors));
  return { target, authorization, ...(cert !== undefined && key !== undefined ? { identity: { cert, key } } : {}) };
}
type Material = (reader: ObjectReader | undefined, name: string) => Promise<string | undefined>;
/** `NAME-data` holds base64, `NAME` a path beside the kubeconfig. */
function fileOrData(dir: string): Material {
  return async (reader, name) => {
    const data = reader?.string(`${name}-data`);
    if (data) return Buffer.from(data, 'base64').toString('utf8');
    const path = reader?.string(name);
    return path ? readFile(resolve(dir, path), 'utf8') : undefined;
  };
}
async function targetOf(cluster: ObjectReader, material: Material): Promise<WebhookTarget> {
  const url = cluster.string('server') ?? '';
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) throw new Error(`server "${url}" must be a URL with https or http`);
  const ca = await material(cluster, 'certificate-authority');
  const insecure = cluster.boolean('insecure-skip-tls-verify') ?? false;
  if (insecure && ca !== undefined) throw new Error('specifying a root certificates file with the insecure flag is not allowed');
  return { url, ...(ca === undefined ? {} : { caBundle: Buffer.from(ca).toString('base64') }), trust: { http: true, insecure, serverName: cluster.string('tls-server-name') } };
}
function authorizationOf(user: ObjectReader | undefined, dir: string, clock: Clock): () => Promise<string | undefined> {
  const [token, tokenFile, username, password = ''] = [user?.string('token'), user?.string('tokenFile'), user?.string('username'), user?.string('password')];
  if (tokenFile) {
    let read: { readonly header: string; readonly at: number } | undefined;
    return async () => {
      if (!read || clock.monotonic() - read.at > TOKEN_GOOD_FOR_MS) read = { header: `Bearer ${(await readFile(resolve(dir, tokenFile), 'utf8')).trim()}`, at: clock.monotonic() };
      return read.header;
    };
  }
  const header = token ? `Bearer ${token}` : username ? `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` : undefined;
  return () => Promise.resolve(header);
}
