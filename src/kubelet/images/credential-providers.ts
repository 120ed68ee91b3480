/**
 * Credentials from programs (credential provider plugins): one is asked by a request on its standard input, answers on its standard
 * output, and what it answers is kept for as long as it says. Upstream's counterpart: `pkg/credentialprovider/plugin`.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Pod, ServiceAccount } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { parseDurationMs } from '#machinery/duration.ts';
import { parseImageReference } from '../runtime/image-name.ts';
import { PROVIDER_API_VERSION, type CredentialProviderConfig, type TokenAttributes } from './credential-provider-config.ts';
import { lookUp, matchesLocation, normaliseLocation, type Credential, type CredentialOwner, type Keyring } from './keyring.ts';

const log = logger('kubelet');
/** Upstream's limit for one run of a program. */
const RUN_TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 1 << 20;
const MAX_CACHED = 1000;

/** How a program is run: its path, arguments, more environment, and what it reads. Resolves with what it wrote. */
export type RunProgram = (path: string, args: readonly string[], env: Readonly<Record<string, string>>, input: string) => Promise<string>;

export interface CredentialProvidersOptions {
  readonly providers: readonly CredentialProviderConfig[];
  /** Holds the programs. */
  readonly binDir: string;
  readonly clock: Clock;
  /** A token of the Pod's service account, bound to the Pod. */
  requestToken(pod: Pod, audience: string): Promise<string>;
  serviceAccount(namespace: string, name: string): Promise<ServiceAccount>;
  readonly run?: RunProgram;
}
interface Answer {
  readonly cacheKeyType: 'Image' | 'Registry' | 'Global';
  readonly cacheMs: number;
  readonly keyring: Keyring;
}
interface Cached {
  readonly until: number;
  readonly keyring: Keyring;
}
/** What a program is told of the Pod's service account. */
interface Identity {
  readonly token: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Of the account: what is pulled with the answer is for its Pods. */
  readonly owner: CredentialOwner;
  /** Part of the cache's key: answers for one account are not another's. */
  readonly key: string;
}

export class CredentialProviders {
  readonly #o: CredentialProvidersOptions;
  readonly #run: RunProgram;
  readonly #cache = new Map<string, Cached>();
  /** Programs that run, by what they were asked. */
  readonly #asking = new Map<string, Promise<Keyring>>();

  constructor(options: CredentialProvidersOptions) {
    this.#o = options;
    this.#run = options.run ?? runProgram;
  }
  /** Credentials for an image from every program that serves it. A program that fails gives none. */
  async lookup(pod: Pod, image: string): Promise<Credential[]> {
    const reference = parseImageReference(image);
    if (typeof reference === 'string') return [];
    const out: Credential[] = [];
    for (const provider of this.#o.providers) {
      if (!provider.matchImages.some((m) => matchesLocation(normaliseLocation(m), reference))) continue;
      try {
        out.push(...lookUp(await this.#ask(provider, pod, `${reference.registry}/${reference.repository}`, reference.registry), image));
      } catch (err) {
        log.error({ err, provider: provider.name, image }, 'a credential provider plugin failed');
      }
    }
    return out;
  }

  async #ask(provider: CredentialProviderConfig, pod: Pod, image: string, registry: string): Promise<Keyring> {
    const identity = provider.token && (await this.#identity(provider.token, pod));
    if (provider.token?.requireServiceAccount && !identity) return [];
    const scope = `${provider.name} ${identity?.key ?? ''} `;
    const now = this.#o.clock.monotonic();
    for (const key of [`${scope}image ${image}`, `${scope}registry ${registry}`, `${scope}global`]) {
      const cached = this.#cache.get(key);
      if (cached && cached.until > now) return owned(cached.keyring, identity);
    }
    const key = `${scope}${image}`;
    const asking = this.#asking.get(key) ?? this.#exec(provider, image, registry, scope, identity).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return owned(await asking, identity);
  }
  async #exec(provider: CredentialProviderConfig, image: string, registry: string, scope: string, identity: Identity | undefined): Promise<Keyring> {
    const request = {
      kind: 'CredentialProviderRequest', apiVersion: PROVIDER_API_VERSION, image,
      ...(identity ? { serviceAccountToken: identity.token, serviceAccountAnnotations: identity.annotations } : {}),
    };
    const env = Object.fromEntries(provider.env.map((e) => [e.name, e.value]));
    const answer = parseAnswer(await this.#run(join(this.#o.binDir, provider.name), provider.args, env, JSON.stringify(request)), provider.defaultCacheMs);
    const key = { Image: `image ${image}`, Registry: `registry ${registry}`, Global: 'global' }[answer.cacheKeyType];
    if (answer.cacheMs > 0) this.#keep(`${scope}${key}`, { until: this.#o.clock.monotonic() + answer.cacheMs, keyring: answer.keyring });
    return answer.keyring;
  }
  async #identity(token: TokenAttributes, pod: Pod): Promise<Identity | undefined> {
    const { namespace = '' } = pod.metadata;
    const name = pod.spec.serviceAccountName;
    if (!name) return undefined;
    const account = await this.#o.serviceAccount(namespace, name);
    const all = account.metadata.annotations ?? {};
    const missing = token.requiredAnnotations.filter((k) => all[k] === undefined);
    if (missing.length) throw new Error(`required annotations ${JSON.stringify(missing)} not found in service account ${namespace}/${name}`);
    const annotations = Object.fromEntries([...token.requiredAnnotations, ...token.optionalAnnotations].flatMap((k) => (all[k] === undefined ? [] : [[k, all[k]]])));
    const text = await this.#o.requestToken(pod, token.audience);
    const parts = [namespace, name, account.metadata.uid, JSON.stringify(annotations), ...(token.cacheType === 'Token' ? [text] : [])];
    return { token: text, annotations, owner: { kind: 'serviceAccount', namespace, name, uid: account.metadata.uid ?? '' }, key: createHash('sha256').update(parts.join('\0')).digest('hex') };
  }
  #keep(key: string, entry: Cached): void {
    const now = this.#o.clock.monotonic();
    for (const [k, e] of this.#cache) if (e.until <= now) this.#cache.delete(k);
    this.#cache.delete(key);
    this.#cache.set(key, entry);
    if (this.#cache.size > MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!);
  }
}

const owned = (keyring: Keyring, identity: Identity | undefined): Keyring => (identity ? keyring.map((k) => ({ ...k, owner: identity.owner })) : keyring);

/** Throws in upstream's words when the answer is none. What it holds is secret: it is never part of the message. */
export function parseAnswer(text: string, defaultCacheMs: number): Answer {
  let answer: { kind?: unknown; apiVersion?: unknown; cacheKeyType?: unknown; cacheDuration?: unknown; auth?: unknown };
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    throw new Error('error decoding credential provider plugin response from stdout');
  }
  if (answer.kind !== 'CredentialProviderResponse') throw new Error('failed to decode CredentialProviderResponse, unexpected kind');
  if (answer.apiVersion !== PROVIDER_API_VERSION) throw new Error(`apiVersion from credential plugin response did not match expected apiVersion:${PROVIDER_API_VERSION}, actual apiVersion:${String(answer.apiVersion)}`);
  const { cacheKeyType } = answer;
  if (cacheKeyType !== 'Image' && cacheKeyType !== 'Registry' && cacheKeyType !== 'Global') throw new Error(`credential provider plugin did not return a valid cacheKeyType: ${JSON.stringify(cacheKeyType ?? '')}`);
  const cacheMs = answer.cacheDuration === undefined || answer.cacheDuration === null ? defaultCacheMs : parseDurationMs(String(answer.cacheDuration));
  const auth = (answer.auth ?? {}) as Readonly<Record<string, { username?: string; password?: string }>>;
  return { cacheKeyType, cacheMs, keyring: Object.entries(auth).map(([location, { username = '', password = '' }]) => ({ location: normaliseLocation(location), auth: { username, password } })) };
}

function runProgram(path: string, args: readonly string[], env: Readonly<Record<string, string>>, input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(path, args, { env: { ...process.env, ...env }, timeout: RUN_TIMEOUT_MS, maxBuffer: MAX_ANSWER_BYTES, killSignal: 'SIGKILL' }, (err, stdout, stderr) => {
      if (!err) return resolve(stdout);
      // What it wrote to its standard output may be credentials, and so may be in the error's own fields.
      const how = typeof err.code === 'number' ? `exit status ${err.code}` : (err.signal ?? String(err.code ?? err.name));
      reject(new Error(`error execing credential provider plugin ${path}: ${how}${stderr ? `: ${stderr.trim().slice(0, 1000)}` : ''}`));
    });
    child.stdin?.on('error', () => {}); // It may end without having read.
    child.stdin?.end(input);
  });
}
