/**
 * The file that says what is encrypted and how: `EncryptionConfiguration` of `apiserver.config.k8s.io/v1`. Source: the API reference
 * "kube-apiserver Encryption Configuration (v1)"; messages are upstream's.
 */
import { fieldPath, invalidValue, required, toAggregate, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { parseYaml } from '#machinery/yaml.ts';
import { aesCbc, aesGcm, IDENTITY, type Cipher } from './providers.ts';

/** One entry of `resources`. The first cipher writes, all read. */
export interface EncryptionRule {
  /** `secrets`, `pandas.awesome.bears.example`, `*.` (all of the core group), `*.apps`, `*.*`. */
  readonly resources: readonly string[];
  readonly ciphers: readonly Cipher[];
}
export type EncryptionConfiguration = readonly EncryptionRule[];

/** The file cannot be used; the message says why. */
export class EncryptionConfigurationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EncryptionConfigurationError';
  }
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const PROVIDERS = ['aesgcm', 'aescbc', 'secretbox', 'identity', 'kms'] as const;
const AES_KEY_BYTES: readonly number[] = [16, 24, 32];
const UNAVAILABLE: Readonly<Record<string, string>> = {
  kms: 'KMS providers are not supported by this server; use aesgcm or aescbc',
  secretbox: 'XSalsa20 and Poly1305 are not among the ciphers of this server; use aesgcm or aescbc',
};

function unknownFields(value: Json, known: readonly string[], path: FieldPath | undefined): FieldError[] {
  return Object.keys(value).filter((name) => !known.includes(name)).map((name) => invalidValue(path?.child(name) ?? fieldPath(name), '', `unknown field "${name}"`));
}

/** Throws {@link EncryptionConfigurationError}. */
export function parseEncryptionConfiguration(text: string): EncryptionConfiguration {
  let file: unknown;
  try {
    file = parseYaml(text, { strict: true });
  } catch (err) {
    throw new EncryptionConfigurationError(`error decoding encryption provider configuration: ${(err as Error).message}`);
  }
  if (!isObject(file) || file['apiVersion'] !== 'apiserver.config.k8s.io/v1' || file['kind'] !== 'EncryptionConfiguration') {
    throw new EncryptionConfigurationError('got unexpected config type: want apiVersion "apiserver.config.k8s.io/v1", kind "EncryptionConfiguration"');
  }
  const errors: FieldError[] = unknownFields(file, ['apiVersion', 'kind', 'resources', 'metadata'], undefined);
  const root = fieldPath('resources');
  const rules = listOf(file['resources']);
  if (rules.length === 0) errors.push(required(root, 'at least one resource is required'));
  const made = rules.map((rule, i) => parseRule(isObject(rule) ? rule : {}, root.index(i), errors));
  if (errors.length > 0) throw new EncryptionConfigurationError(`invalid encryption configuration: ${toAggregate(errors)}`);
  return made;
}

function parseRule(rule: Json, path: FieldPath, errors: FieldError[]): EncryptionRule {
  errors.push(...unknownFields(rule, ['resources', 'providers'], path));
  const resources = listOf(rule['resources']).map(String);
  if (resources.length === 0) errors.push(required(path.child('resources'), 'at least one resource is required'));
  errors.push(...validateResources(resources, path.child('resources')));
  const providers = listOf(rule['providers']);
  if (providers.length === 0) errors.push(required(path.child('providers'), 'at least one provider is required'));
  const ciphers = providers.flatMap((provider, i) => parseProvider(provider, path.child('providers').index(i), errors));
  return { resources, ciphers };
}

function validateResources(resources: readonly string[], path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  resources.forEach((name, i) => {
    const at = path.index(i);
    if (seen.has(name)) errors.push(invalidValue(at, name, 'the same resource cannot be specified multiple times'));
    seen.add(name);
    if (name !== name.toLowerCase()) errors.push(invalidValue(at, name, 'resource name should not contain capital letters'));
    if (name === '*') errors.push(invalidValue(at, name, "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"));
    else if (name.startsWith('*.') && name.endsWith('.events.k8s.io')) errors.push(invalidValue(at, name, "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"));
    else if (name.endsWith('.events.k8s.io')) errors.push(invalidValue(at, name, "'events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"));
    const dot = name.indexOf('.');
    const masks = name !== '*.*' && seen.has('*.*') ? '*.*' : !name.startsWith('*.') && resources.includes(dot < 0 ? '*.' : `*.${name.slice(dot + 1)}`);
    if (masks) errors.push(invalidValue(path, resources, "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"));
  });
  return errors;
}

function parseProvider(provider: unknown, path: FieldPath, errors: FieldError[]): Cipher[] {
  const named = isObject(provider) ? Object.keys(provider) : [];
  if (isObject(provider)) errors.push(...unknownFields(provider, PROVIDERS, path));
  const [name, ...more] = named.filter((n) => (PROVIDERS as readonly string[]).includes(n));
  if (name === undefined) {
    errors.push(invalidValue(path, '', 'provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity'));
    return [];
  }
  if (more.length > 0) {
    errors.push(invalidValue(path, '', 'more than one provider specified in a single element, should split into different list elements'));
    return [];
  }
  if (name === 'identity') return [IDENTITY];
  if (Object.hasOwn(UNAVAILABLE, name)) {
    errors.push(invalidValue(path.child(name), '', UNAVAILABLE[name]!));
    return [];
  }
  const body = (provider as Json)[name];
  const keys = listOf(isObject(body) ? body['keys'] : undefined);
  const at = path.child(name, 'keys');
  if (keys.length === 0) errors.push(required(at, 'at least one key is required'));
  return keys.flatMap((key, i) => parseKey(key, name as 'aesgcm' | 'aescbc', at.index(i), errors));
}

function parseKey(key: unknown, provider: 'aesgcm' | 'aescbc', path: FieldPath, errors: FieldError[]): Cipher[] {
  const { name, secret } = isObject(key) ? key : {};
  const before = errors.length;
  if (typeof name !== 'string' || name === '') errors.push(required(path.child('name'), 'name is a mandatory field for a key'));
  else if (name.includes(':')) errors.push(invalidValue(path.child('name'), name, 'must not contain ":"'));
  if (typeof secret !== 'string' || secret === '') {
    errors.push(required(path.child('secret'), 'secret is a mandatory field for a key'));
    return [];
  }
  const bytes = Buffer.from(secret, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== secret.replace(/[\r\n]/g, '').replace(/=+$/, '')) errors.push(invalidValue(path.child('secret'), 'REDACTED', 'secrets must be base64 encoded'));
  else if (!AES_KEY_BYTES.includes(bytes.length)) {
    errors.push(invalidValue(path.child('secret'), 'REDACTED', `secret is not of the expected length, got ${bytes.length}, expected one of [${AES_KEY_BYTES.join(' ')}]`));
  }
  if (errors.length > before) return [];
  return [provider === 'aesgcm' ? aesGcm(name as string, bytes) : aesCbc(name as string, bytes)];
}

/** The ciphers of a resource: the first rule that names it. Undefined: it is written as it is. */
export function ciphersFor(configuration: EncryptionConfiguration, group: string, plural: string): readonly Cipher[] | undefined {
  const names = [group === '' ? plural : `${plural}.${group}`, `*.${group}`, '*.*'];
  return configuration.find((rule) => rule.resources.some((name) => names.includes(name)))?.ciphers;
}
