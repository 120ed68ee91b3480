/**
 * Encryption at rest: what stands between the watch caches and the store. The configuration is read from a file and again whenever that
 * changes; the first key of a resource writes, all of them read. Upstream's counterpart: `apiserver/pkg/server/options/encryptionconfig`.
 */
import { watch, type FSWatcher } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock, Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ValueTransformer } from '#store/watch-cache.ts';
import { metricBlock } from '../http/request-metrics.ts';
import { ciphersFor, parseEncryptionConfiguration, type EncryptionConfiguration } from './configuration.ts';
import { IDENTITY, isEncrypted, type Cipher } from './providers.ts';

const log = logger('encryption-at-rest');
const AS_IT_IS: readonly Cipher[] = [IDENTITY];
/** Editors write a file in several steps. */
const SETTLE_MS = 250;
const RELOADS = 'apiserver_encryption_config_controller_automatic_reloads_total';
const LAST_RELOAD = 'apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds';

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

export class EncryptionAtRest {
  readonly #path: string;
  readonly #clock: Clock;
  #configuration: EncryptionConfiguration;
  /** Ciphers by prefix, under the present configuration. */
  readonly #ciphers = new Map<string, readonly Cipher[]>();
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #reading: Promise<void> | undefined;
  readonly #reloads = { success: 0, failure: 0 };
  #lastReload = 0;

  private constructor(path: string, clock: Clock, configuration: EncryptionConfiguration) {
    this.#path = path;
    this.#clock = clock;
    this.#configuration = configuration;
  }
  /** Undefined where there is no such file. Throws an EncryptionConfigurationError for one that cannot be used. */
  static async open(path: string, clock: Clock): Promise<EncryptionAtRest | undefined> {
    const text = await readFile(path, 'utf8').catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return undefined;
      throw err;
    });
    if (text === undefined) return undefined;
    const { mode } = await stat(path);
    if (mode & 0o077) log.warn({ path, mode: (mode & 0o777).toString(8) }, 'Others than root can read the keys of the encryption configuration: chmod 600 it');
    return new EncryptionAtRest(path, clock, parseEncryptionConfiguration(text));
  }

  /** What the watch cache of a prefix uses; follows the configuration. */
  transformer(prefix: string): ValueTransformer {
    return {
      toStore: (value, key) => this.#ciphersOf(prefix)[0]!.encrypt(value, key),
      fromStore: (value, key) => decrypt(this.#ciphersOf(prefix), value, key),
      isCurrent: (value) => this.#ciphersOf(prefix)[0]!.reads(value),
    };
  }

  /** Follows the file. Its directory is watched, as editors and mounts put a new file in the old one's place. */
  start(): void {
    this.#watcher = watch(dirname(this.#path), { persistent: false }, (_, name) => {
      // Mounted volumes change a link `..data` beside the file.
      if (name !== null && name !== basename(this.#path) && !name.startsWith('..')) return;
      this.#timer ??= this.#clock.after(SETTLE_MS, () => {
        this.#timer = undefined;
        this.#reading = this.#reload();
      });
    });
    this.#watcher.on('error', (err) => log.error({ err, path: this.#path }, 'The encryption configuration is not watched any more'));
  }
  async stop(): Promise<void> {
    this.#watcher?.close();
    this.#timer?.cancel();
    await this.#reading;
  }
  metricsText(): string {
    const lines = Object.entries(this.#reloads).filter(([, n]) => n > 0).map(([status, n]) => `${RELOADS}{status="${status}"} ${n}`);
    const last = this.#lastReload ? [`${LAST_RELOAD}{status="success"} ${this.#lastReload / 1000}`] : [];
    return metricBlock(RELOADS, 'Total number of reload successes and failures of encryption configuration', 'counter', lines)
      + metricBlock(LAST_RELOAD, 'Timestamp of the last successful or failed automatic reload of encryption configuration', 'gauge', last);
  }

  #ciphersOf(prefix: string): readonly Cipher[] {
    let ciphers = this.#ciphers.get(prefix);
    if (!ciphers) {
      const named = ciphersFor(this.#configuration, ...resourceUnder(prefix));
      this.#ciphers.set(prefix, (ciphers = named ?? AS_IT_IS));
    }
    return ciphers;
  }
  async #reload(): Promise<void> {
    try {
      const configuration = parseEncryptionConfiguration(await readFile(this.#path, 'utf8'));
      this.#configuration = configuration;
      this.#ciphers.clear();
      this.#reloads.success += 1;
      this.#lastReload = this.#clock.now();
      log.info({ path: this.#path }, 'The encryption configuration is read anew');
    } catch (err) {
      this.#reloads.failure += 1;
      log.error({ err, path: this.#path }, 'The encryption configuration cannot be used; the old one stays');
    }
  }
}

/** For a server without a configuration: refuses what one with a configuration has written, instead of reading it as JSON. */
export const UNENCRYPTED: ValueTransformer = {
  toStore: (value) => value,
  fromStore: (value, key) => {
    if (IDENTITY.reads(value)) return value;
    throw new Error(`unable to transform key "${key}": identity transformer tried to read encrypted data; the encryption configuration it was written with is missing`);
  },
};
