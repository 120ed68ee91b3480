/**
 * Encryption at rest: what stands between the watch caches and the store. The configuration is read from a file and again whenever that
 * changes; the first key of a resource writes, all of them read. Upstream's counterpart: `apiserver/pkg/server/options/encryptionconfig`.
 */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ValueTransformer } from '#store/watch-cache.ts';
import { FollowedFile, readIfThere } from '../configuration/followed-file.ts';
import type { HealthCheck } from '../http/health.ts';
import { ciphersFor, parseEncryptionConfiguration, type EncryptionConfiguration, type KmsConfiguration } from './configuration.ts';
import { KmsMetrics } from './kms-metrics.ts';
import { KmsProvider } from './kms-provider.ts';
import { IDENTITY, isEncrypted, type Cipher } from './providers.ts';

const log = logger('encryption-at-rest');
const AS_IT_IS: readonly Cipher[] = [IDENTITY];
/** Group and plural of what lies under `/registry/[GROUP/]PLURAL/`. */
function resourceUnder(prefix: string): readonly [group: string, plural: string] {
  const parts = prefix.split('/').slice(2, -1);
  return parts.length === 1 ? ['', parts[0]!] : [parts[0]!, parts[1]!];
}

/** Throws when no cipher reads the value. */
function decrypt(ciphers: readonly Cipher[], value: Buffer, key: string): Buffer {
  const cipher = ciphers.find((c) => c.reads(value));
  try {
    if (cipher) return cipher.decrypt(value, key);
  } catch (err) {
    throw new Error(`unable to transform key "${key}": ${(err as Error).message}`, { cause: err });
  }
  if (!isEncrypted(value)) throw new Error(`unable to transform key "${key}": no matching prefix found: the value is not encrypted and no identity provider is configured`);
  // The prefix up to the name of the key tells what is missing, and nothing of the value.
  const [, , provider = '', , name = ''] = value.subarray(0, 256).toString('latin1').split(':');
  throw new Error(`unable to transform key "${key}": no matching key was found for the provider "${provider}": the value was written with the key "${name}"`);
}

/** A configuration, and the plugins that it names. */
interface Loaded {
  readonly configuration: EncryptionConfiguration;
  readonly kms: readonly KmsProvider[];
  /** For calls under way when another configuration takes over: twice all timeouts, as upstream waits. */
  readonly graceMs: number;
}
/** Throws an EncryptionConfigurationError. Talks to no plugin yet. */
function load(text: string, clock: Clock, metrics: KmsMetrics): Loaded {
  const kms: KmsProvider[] = [];
  let graceMs = 0;
  const configuration = parseEncryptionConfiguration(text, ({ name, endpoint, timeoutMs }: KmsConfiguration) => {
    graceMs += 2 * timeoutMs;
    const provider = new KmsProvider({
      name, clock, metrics, uid: randomUUID,
      connect: async () => (await import('./kms-service.ts')).connectKms({ endpoint, timeoutMs, clock, onCall: (method, code, seconds) => metrics.called(name, method, code, seconds) }),
    });
    kms.push(provider);
    return provider;
  });
  return { configuration, kms, graceMs };
}

export class EncryptionAtRest {
  readonly #file: FollowedFile;
  readonly #clock: Clock;
  readonly #kmsMetrics: KmsMetrics;
  readonly #stopping = new AbortController();
  /** Plugins of configurations past that may still be asked. */
  readonly #leaving = new Set<KmsProvider>();
  #loaded: Loaded;
  /** Ciphers by prefix, under the present configuration. */
  readonly #ciphers = new Map<string, readonly Cipher[]>();
  private constructor(path: string, clock: Clock, metrics: KmsMetrics, loaded: Loaded) {
    this.#file = new FollowedFile({ path, clock, what: 'encryption configuration', metric: 'encryption', take: (text) => this.#take(text) });
    this.#clock = clock;
    this.#kmsMetrics = metrics;
    this.#loaded = loaded;
  }
  /** Undefined where there is no such file. Throws an EncryptionConfigurationError for one that cannot be used. */
  static async open(path: string, clock: Clock): Promise<EncryptionAtRest | undefined> {
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    const { mode } = await stat(path);
    if (mode & 0o077) log.warn({ path, mode: (mode & 0o777).toString(8) }, 'Others than root can read the keys of the encryption configuration: chmod 600 it');
    const metrics = new KmsMetrics(clock);
    return new EncryptionAtRest(path, clock, metrics, load(text, clock, metrics));
  }

  /** What the watch cache of a prefix uses; follows the configuration. */
  transformer(prefix: string): ValueTransformer {
    const readsPlain = (): boolean => this.#ciphersOf(prefix).includes(IDENTITY);
    return {
      get readsPlain() {
        return readsPlain();
      },
      toStore: (value, key) => this.#ciphersOf(prefix)[0]!.encrypt(value, key),
      fromStore: (value, key) => decrypt(this.#ciphersOf(prefix), value, key),
      isCurrent: (value) => {
        const [first] = this.#ciphersOf(prefix);
        return first!.reads(value) && (first!.isCurrent?.(value) ?? true);
      },
      prepare: (values) => this.#prepare(this.#ciphersOf(prefix), values),
    };
  }
  /** Whether every KMS plugin is well; `/healthz/kms-providers`. There is one without plugins too, as upstream. */
  readonly healthCheck: HealthCheck = {
    name: 'kms-providers',
    check: async () => (await Promise.all(this.#loaded.kms.map((kms) => kms.health()))).every((error) => error === undefined),
  };

  /** Resolves when every KMS plugin has given a key; rejects when one has not within half a minute. Then follows the file. */
  async start(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#loaded.kms.map((kms) => kms.start(signal)));
    this.#file.start();
  }
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('encryption at rest is stopped'));
    await this.#file.stop();
    for (const kms of [...this.#loaded.kms, ...this.#leaving]) kms.close();
  }
  metricsText(): string {
    return this.#file.metricsText() + this.#kmsMetrics.text();
  }

  #prepare(ciphers: readonly Cipher[], values: readonly Buffer[]): Promise<void> | undefined {
    const waits: Promise<void>[] = [];
    for (const cipher of ciphers) {
      const wait = cipher.prepare?.(values.filter((value) => cipher.reads(value)), this.#stopping.signal);
      if (wait) waits.push(wait);
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => {});
  }

  #ciphersOf(prefix: string): readonly Cipher[] {
    let ciphers = this.#ciphers.get(prefix);
    if (!ciphers) {
      const named = ciphersFor(this.#loaded.configuration, ...resourceUnder(prefix));
      this.#ciphers.set(prefix, (ciphers = named ?? AS_IT_IS));
    }
    return ciphers;
  }
  /** The new configuration takes over when all of its plugins have given a key. */
  async #take(text: string): Promise<void> {
    const loaded = load(text, this.#clock, this.#kmsMetrics);
    try {
      await Promise.all(loaded.kms.map((kms) => kms.start(this.#stopping.signal)));
    } catch (err) {
      for (const kms of loaded.kms) kms.close();
      throw err;
    }
    const old = this.#loaded;
    this.#loaded = loaded;
    this.#ciphers.clear();
    this.#retire(old);
  }
  #retire({ kms, graceMs }: Loaded): void {
    for (const provider of kms) this.#leaving.add(provider);
    if (kms.length > 0) this.#clock.after(graceMs, () => kms.forEach((provider) => {
      provider.close();
      this.#leaving.delete(provider);
    }));
  }
}

/** For a server without a configuration: refuses what one with a configuration has written, instead of reading it as JSON. */
export const UNENCRYPTED: ValueTransformer = {
  readsPlain: true,
  toStore: (value) => value,
  fromStore: (value, key) => {
    if (IDENTITY.reads(value)) return value;
    throw new Error(`unable to transform key "${key}": identity transformer tried to read encrypted data; the encryption configuration it was written with is missing`);
  },
};
