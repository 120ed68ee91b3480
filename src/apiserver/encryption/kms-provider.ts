/**
 * A `kms` v2 provider: what it writes is sealed with keys derived from one seed, and the seed by the plugin. Writing costs no call; reading
 * costs one for each seed that is new to the process. Source: KEP-3299.
 *
 * ```
 *   start ─▶ Status ─▶ Encrypt(seed) ─▶ current {seed, sealed seed, key ID, good for 3 min}
 *                ▲                          │
 *                └── each minute (10 s when it failed); the same key ID: good for 3 min more; another: a new seed
 * ```
 * A plugin that is away stops nothing for three minutes; then writes are refused. What was read stays readable.
 */
import { createHash, randomBytes } from 'node:crypto';
import { BoundedCache } from '../authentication/bounded-cache.ts';
import { rfc3339, sleep, type Clock, type Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { decodeEncryptedObject, encodeEncryptedObject, HKDF_SEED, keyIDFault, openWithSource, sealWithSeed, SEED_BYTES, validateSealedKey, type EncryptedObject, type SealedKey } from './encrypted-object.ts';
import type { KmsMetrics } from './kms-metrics.ts';
import type { KmsError, KmsService, KmsStatus } from './kms-service.ts';
import { startsWith, type Cipher } from './providers.ts';

const log = logger('encryption-kms');
const HEALTHY_POLL_MS = 60_000;
const UNHEALTHY_POLL_MS = 10_000;
const HEALTHY_TTL_MS = 20_000;
const UNHEALTHY_TTL_MS = 3_000;
/** How long a seed is written with after the plugin last said that its key is the current one. */
const WRITE_TTL_MS = 3 * 60_000;
const SEEDS_TTL_MS = 24 * 3_600_000;
/** As many as servers were started and keys were turned since everything was last written. */
const MAX_SEEDS = 10_000;
/** How long a start waits for a plugin that does not answer yet. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 500;

interface State {
  readonly seed: Buffer;
  readonly key: SealedKey;
  /** On the monotonic clock: no writes after it. */
  readonly until: number;
}
export interface KmsProviderOptions {
  readonly name: string;
  /** Called once, at the first use. */
  readonly connect: () => Promise<KmsService>;
  readonly clock: Clock;
  readonly uid: () => string;
  readonly metrics: KmsMetrics;
}

export class KmsProvider implements Cipher {
  readonly name: string;
  readonly reads: (value: Buffer) => boolean;
  readonly #options: KmsProviderOptions;
  readonly #prefix: Buffer;
  readonly #stop = new AbortController();
  readonly #sources: BoundedCache<Buffer>;
  /** Why a source could not be opened, for {@link decrypt} to say. */
  readonly #refused: BoundedCache<Error>;
  #state: State | undefined;
  #service: Promise<KmsService> | undefined;
  #version: string | undefined;
  #last: { readonly at: number; readonly error: Error | undefined } | undefined;
  #checking: Promise<Error | undefined> | undefined;
  #poll: Timer | undefined;

  constructor(options: KmsProviderOptions) {
    this.#options = options;
    this.name = options.name;
    this.#prefix = Buffer.from(`k8s:enc:kms:v2:${options.name}:`);
    this.reads = startsWith(this.#prefix);
    this.#sources = new BoundedCache({ max: MAX_SEEDS, ttlMs: SEEDS_TTL_MS, clock: options.clock });
    this.#refused = new BoundedCache({ max: MAX_SEEDS, ttlMs: SEEDS_TTL_MS, clock: options.clock });
  }

  /** Resolves when the plugin has sealed a seed. Rejects when it has not within half a minute, with the reason. */
  async start(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const until = clock.monotonic() + PATIENCE_MS;
    for (;;) {
      const error = await this.#check();
      signal.throwIfAborted();
      if (!error) break;
      if (clock.monotonic() >= until) throw error;
      log.warn({ provider: this.name, reason: error.message }, 'The KMS plugin is not ready; asking again');
      await sleep(clock, RETRY_MS, AbortSignal.any([signal, this.#stop.signal]));
    }
    this.#pollLater(HEALTHY_POLL_MS);
  }
  /** Ends calls under way. Idempotent. */
  close(): void {
    this.#stop.abort();
    this.#poll?.cancel();
    void this.#service?.then((service) => service.close());
  }

  /** What is wrong with the plugin; asks it unless it was asked just now. */
  health(): Promise<Error | undefined> {
    const { clock } = this.#options;
    const last = this.#last;
    if (last && clock.monotonic() - last.at < (last.error ? UNHEALTHY_TTL_MS : HEALTHY_TTL_MS)) return Promise.resolve(last.error);
    return this.#check();
  }

  encrypt(plain: Buffer, storeKey: string): Buffer {
    const { clock, metrics } = this.#options;
    const state = this.#state;
    if (!state) throw new Error('got unexpected nil transformer');
    if (clock.monotonic() > state.until) throw new Error(`encryptedDEKSource with keyID hash "${keyHash(state.key.keyID)}" expired at ${this.#timeOf(state.until)} (current time is ${rfc3339(clock.now())})`);
    metrics.used('to_storage', this.name, keyHash(state.key.keyID));
    return Buffer.concat([this.#prefix, encodeEncryptedObject({ ...state.key, encryptedData: sealWithSeed(state.seed, plain, storeKey) })]);
  }
  decrypt(value: Buffer, storeKey: string): Buffer {
    const object = this.#decode(value);
    const id = sourceId(object);
    const source = this.#sources.get(id);
    if (!source) throw this.#refused.get(id) ?? new Error('failed to decrypt DEK, error: the plugin was not asked for it');
    this.#options.metrics.used('from_storage', this.name, keyHash(object.keyID));
    return openWithSource(object.encryptedDEKSourceType, source, object.encryptedData, storeKey);
  }
  isCurrent(value: Buffer): boolean {
    const { keyID, encryptedDEKSourceType } = this.#decode(value);
    return keyID === this.#state?.key.keyID && encryptedDEKSourceType === HKDF_SEED;
  }
  prepare(values: readonly Buffer[], signal: AbortSignal): Promise<void> | undefined {
    const missing = new Map<string, SealedKey>();
    for (const value of values) {
      const key = this.#tryDecode(value);
      const id = key && sourceId(key);
      if (id !== undefined && !this.#sources.get(id)) missing.set(id, key!);
    }
    return missing.size === 0 ? undefined : this.#open(missing, AbortSignal.any([signal, this.#stop.signal]));
  }

  #connected(): Promise<KmsService> {
    return (this.#service ??= this.#options.connect());
  }
  #decode(value: Buffer): EncryptedObject {
    return decodeEncryptedObject(value.subarray(this.#prefix.length));
  }
  #tryDecode(value: Buffer): EncryptedObject | undefined {
    try {
      return this.#decode(value);
    } catch {
      return undefined; // decrypt says why
    }
  }
  async #open(missing: ReadonlyMap<string, SealedKey>, signal: AbortSignal): Promise<void> {
    for (const [id, key] of missing) {
      try {
        this.#sources.set(id, await this.#unseal(key, signal));
        this.#refused.delete(id);
      } catch (err) {
        if (signal.aborted) return;
        this.#refused.set(id, new Error(`failed to decrypt DEK, error: ${(err as Error).message}`, { cause: err }));
      }
    }
    this.#options.metrics.cached(this.name, this.#sources.size);
  }
  /** Asks again for a while when the plugin is not there. */
  async #unseal(key: SealedKey, signal: AbortSignal): Promise<Buffer> {
    const { clock, uid } = this.#options;
    const service = await this.#connected();
    const until = clock.monotonic() + PATIENCE_MS;
    for (;;) {
      try {
        return await service.decrypt({ ciphertext: key.encryptedDEKSource, keyId: key.keyID, annotations: key.annotations, uid: uid() }, signal);
      } catch (err) {
        if (!(err as Partial<KmsError>).passing || clock.monotonic() >= until) throw err;
        await sleep(clock, RETRY_MS, signal);
      }
    }
  }

  #pollLater(ms: number): void {
    if (this.#stop.signal.aborted) return;
    this.#poll = this.#options.clock.after(ms, () => {
      void this.#check().then((error) => this.#pollLater(error ? UNHEALTHY_POLL_MS : HEALTHY_POLL_MS));
    });
  }
  #check(): Promise<Error | undefined> {
    this.#checking ??= this.#ask().then((error) => {
      this.#checking = undefined;
      if (error && !this.#stop.signal.aborted && this.#last?.error?.message !== error.message) log.error({ provider: this.name, reason: error.message }, 'The KMS plugin is not healthy');
      this.#last = { at: this.#options.clock.monotonic(), error };
      return error;
    });
    return this.#checking;
  }
  /** One Status, and what follows from it. Never rejects. */
  async #ask(): Promise<Error | undefined> {
    let status: KmsStatus;
    try {
      status = await (await this.#connected()).status(this.#stop.signal);
    } catch (err) {
      return new Error(`failed to perform status section of the healthz check for KMS Provider ${this.name}, error: ${(err as Error).message}`, { cause: err });
    }
    const faults = this.#statusFaults(status);
    const fault = keyIDFault(status.keyId);
    if (fault !== undefined) {
      this.#options.metrics.invalid(this.name, status.keyId === '' ? 'empty' : 'too_long');
      faults.push(`got invalid KMSv2 KeyID hash "${keyHash(status.keyId)}": ${fault}`);
    } else {
      this.#options.metrics.current(this.name, keyHash(status.keyId));
      const failed = await this.#follow(status.keyId);
      if (failed !== undefined) faults.push(failed);
    }
    if (faults.length === 0) return undefined;
    return new Error(`kmsv2 Provider ${this.name} is not healthy, error: ${faults.length === 1 ? faults[0] : `[${faults.join(', ')}]`}`);
  }
  #statusFaults({ version, healthz }: KmsStatus): string[] {
    const faults = healthz === 'ok' ? [] : [`got unexpected healthz status: ${healthz}`];
    if (version !== 'v2' && version !== 'v2beta1') return [...faults, `expected KMSv2 API version v2, got ${version}`];
    this.#version ??= version;
    if (version !== this.#version) faults.push(`KMSv2 API version should not change after the initial status response version ${this.#version}, got ${version}`);
    return faults;
  }
  /** The time of day of a moment on the monotonic clock. */
  #timeOf(monotonic: number): string {
    const { clock } = this.#options;
    return rfc3339(clock.now() + monotonic - clock.monotonic());
  }
  /** The plugin's present key: the seed stays good under the same, and a new one is made under another. Returns why that failed. */
  async #follow(keyID: string): Promise<string | undefined> {
    const { clock, uid } = this.#options;
    const until = clock.monotonic() + WRITE_TTL_MS;
    const state = this.#state;
    if (state?.key.keyID === keyID) {
      this.#state = { ...state, until };
      return undefined;
    }
    const seed = randomBytes(SEED_BYTES);
    const id = uid();
    let encryptKeyID = '';
    let errGen = '<nil>';
    try {
      const answer = await (await this.#connected()).encrypt(seed, id, this.#stop.signal).catch((err: Error) => {
        throw new Error(`failed to encrypt DEK, error: ${err.message}`, { cause: err });
      });
      const key: SealedKey = { keyID: answer.keyId, encryptedDEKSource: answer.ciphertext, annotations: answer.annotations, encryptedDEKSourceType: HKDF_SEED };
      encryptKeyID = key.keyID;
      validateSealedKey(key);
      if (key.keyID === keyID) {
        this.#sources.set(sourceId(key), seed);
        this.#state = { seed, key, until };
        log.info({ provider: this.name, keyIDHash: keyHash(keyID) }, state ? 'The KMS plugin has another key: a new seed is sealed with it' : 'The KMS plugin has sealed a seed');
        return undefined;
      }
    } catch (err) {
      errGen = (err as Error).message;
    }
    const errState = state ? '<nil>' : 'got unexpected nil transformer';
    return `failed to rotate DEK uid="${id}", useSeed=true, errState=${errState}, errGen=${errGen}, statusKeyIDHash="${keyHash(keyID)}", encryptKeyIDHash="${keyHash(encryptKeyID)}", `
      + `stateKeyIDHash="${keyHash(state?.key.keyID ?? '')}", expirationTimestamp=${state ? this.#timeOf(state.until) : '0001-01-01T00:00:00Z'}`;
  }
}

/** Key IDs are not for logs. */
function keyHash(keyID: string): string {
  return keyID === '' ? '' : `sha256:${createHash('sha256').update(keyID).digest('hex')}`;
}
function sourceId(key: SealedKey): string {
  const hash = createHash('sha256');
  const annotations = Object.entries(key.annotations).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, value.toString('base64')]);
  return hash.update(JSON.stringify([key.encryptedDEKSourceType, key.encryptedDEKSource.toString('base64'), key.keyID, annotations])).digest('base64');
}
