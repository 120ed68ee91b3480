/**
 * The file that says what is encrypted and how: `EncryptionConfiguration` of `apiserver.config.k8s.io/v1`. Source: the API reference
 * "kube-apiserver Encryption Configuration (v1)"; messages are upstream's.
 */
import { parseDurationMs } from '#machinery/duration.ts';
import { fieldPath, invalidValue, required, toAggregate, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { parseYaml } from '#machinery/yaml.ts';
import { aesCbc, aesGcm, IDENTITY, secretBox, type Cipher } from './providers.ts';

/** One entry of `resources`. The first cipher writes, all read. */
export interface EncryptionRule {
  /** `secrets`, `pandas.awesome.bears.example`, `*.` (all of the core group), `*.apps`, `*.*`. */
  readonly resources: readonly string[];
  readonly ciphers: readonly Cipher[];
}
export type EncryptionConfiguration = readonly EncryptionRule[];
/** A `kms` provider of apiVersion v2. */
export interface KmsConfiguration {
  readonly name: string;
  /** `unix:///run/kms/socket.sock` */
  readonly endpoint: string;
  /** Of each call; the file's default is 3 s. */
  readonly timeoutMs: number;
}
/** Makes the cipher of a `kms` provider; called only when the whole file is sound. */
export type KmsFactory = (configuration: KmsConfiguration) => Cipher;

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
const KEYED: Readonly<Record<string, { readonly bytes: readonly number[]; readonly make: (name: string, secret: Buffer) => Cipher }>> = {
  aesgcm: { bytes: [16, 24, 32], make: aesGcm },
  aescbc: { bytes: [16, 24, 32], make: aesCbc },
  secretbox: { bytes: [32], make: secretBox },
};
/** Upstream's word for what its feature gate KMSv1, off by default, switches on. */
const NO_KMS_V1 = 'KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.';
const DEFAULT_KMS_TIMEOUT = '3s';
/** Makes ciphers; collects what is wrong on the way. */
interface Parsing {
  readonly errors: FieldError[];
  readonly kmsNames: Set<string>;
}
type MakeCiphers = (kms: KmsFactory) => readonly Cipher[];

function unknownFields(value: Json, known: readonly string[], path: FieldPath | undefined): FieldError[] {
  return Object.keys(value).filter((name) => !known.includes(name)).map((name) => invalidValue(path?.child(name) ?? fieldPath(name), '', `unknown field "${name}"`));
}

function refuseKms({ name }: KmsConfiguration): never {
  throw new EncryptionConfigurationError(`could not configure KMSv2 plugin "${name}": nothing here talks to plugins`);
}
/** Throws {@link EncryptionConfigurationError}. */
export function parseEncryptionConfiguration(text: string, kms: KmsFactory = refuseKms): EncryptionConfiguration {
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
  if (rules.length === 0) errors.push(required(root, 'at least one resources is required'));
  const parsing: Parsing = { errors, kmsNames: new Set() };
  const parsed = rules.map((rule, i) => parseRule(isObject(rule) ? rule : {}, root.index(i), parsing));
  if (errors.length > 0) throw new EncryptionConfigurationError(`invalid encryption configuration: ${toAggregate(errors)}`);
  refuseMasked(parsed);
  return parsed.map(({ resources, makers }) => ({ resources, ciphers: makers.flatMap((make) => make(kms)) }));
}

interface ParsedRule {
  readonly resources: readonly string[];
  readonly makers: readonly MakeCiphers[];
}
function parseRule(rule: Json, path: FieldPath, parsing: Parsing): ParsedRule {
  const { errors } = parsing;
  errors.push(...unknownFields(rule, ['resources', 'providers'], path));
  const resources = listOf(rule['resources']).map(String);
  const at = path.child('resources');
  if (resources.length === 0) errors.push(required(at, `at least one ${at} is required`));
  errors.push(...validateResources(resources, at));
  const providers = listOf(rule['providers']);
  const below = path.child('providers');
  if (providers.length === 0) errors.push(required(below, `at least one ${below} is required`));
  return { resources, makers: providers.flatMap((provider, i) => parseProvider(provider, below.index(i), parsing)) };
}
/** A rule for what an earlier one has taken whole would never be read. */
function refuseMasked(rules: readonly ParsedRule[]): void {
  const earlier = new Set<string>();
  for (const { resources } of rules) for (const name of resources) {
    const dot = name.indexOf('.');
    const group = dot < 0 ? '*.' : `*.${name.slice(dot + 1)}`;
    const mask = earlier.has(group) ? group : earlier.has('*.*') ? '*.*' : undefined;
    if (mask) throw new EncryptionConfigurationError(`error while building transformers: resource "${name}" is masked by earlier rule "${mask}"`);
    earlier.add(name);
  }
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

function parseProvider(provider: unknown, path: FieldPath, parsing: Parsing): MakeCiphers[] {
  const { errors } = parsing;
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
  if (name === 'identity') return [() => [IDENTITY]];
  const body = (provider as Json)[name];
  const fields = isObject(body) ? body : {};
  return name === 'kms' ? parseKms(fields, path.child('kms'), parsing) : [parseKeys(fields, name, path.child(name), errors)];
}

function parseKeys(body: Json, provider: string, path: FieldPath, errors: FieldError[]): MakeCiphers {
  errors.push(...unknownFields(body, ['keys'], path));
  const keys = listOf(body['keys']);
  const at = path.child('keys');
  if (keys.length === 0) errors.push(required(at, 'at least one keys is required'));
  const ciphers = keys.flatMap((key, i) => parseKey(isObject(key) ? key : {}, provider, at.index(i), errors));
  return () => ciphers;
}
function parseKey({ name, secret }: Json, provider: string, path: FieldPath, errors: FieldError[]): Cipher[] {
  const before = errors.length;
  const { bytes: lengths, make } = KEYED[provider]!;
  if (typeof name !== 'string' || name === '') errors.push(required(path.child('name'), 'name is a mandatory field for a key'));
  else if (name.includes(':')) errors.push(invalidValue(path.child('name'), name, 'must not contain ":"'));
  if (typeof secret !== 'string' || secret === '') {
    errors.push(required(path.child('secret'), 'secret is a mandatory field for a key'));
    return [];
  }
  const bytes = Buffer.from(secret, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== secret.replace(/[\r\n]/g, '').replace(/=+$/, '')) errors.push(invalidValue(path.child('secret'), 'REDACTED', 'secrets must be base64 encoded'));
  else if (!lengths.includes(bytes.length)) {
    errors.push(invalidValue(path.child('secret'), 'REDACTED', `secret is not of the expected length, got ${bytes.length}, expected one of [${lengths.join(' ')}]`));
  }
  return errors.length > before ? [] : [make(name as string, bytes)];
}

function parseKms(kms: Json, path: FieldPath, { errors, kmsNames }: Parsing): MakeCiphers[] {
  const before = errors.length;
  errors.push(...unknownFields(kms, ['apiVersion', 'name', 'endpoint', 'timeout', 'cachesize'], path));
  const { apiVersion = 'v1', name = '', endpoint = '', timeout = DEFAULT_KMS_TIMEOUT, cachesize } = kms;
  const at = path.child('name');
  if (typeof name !== 'string' || name === '') errors.push(required(at, 'name is a mandatory field for a provider'));
  else if (name.includes(':')) errors.push(invalidValue(at, name, `invalid KMS provider name ${name}, must not contain ':'`));
  if (kmsNames.has(String(name))) errors.push(invalidValue(at, name, `duplicate KMS provider name ${String(name)}, names must be unique`));
  kmsNames.add(String(name));
  const timeoutMs = durationOf(timeout);
  if (!(timeoutMs > 0)) errors.push(invalidValue(path.child('timeout'), timeout, 'timeout should be a positive value'));
  errors.push(...validateEndpoint(endpoint, path.child('endpoint')));
  if (cachesize !== undefined && apiVersion !== 'v1') errors.push(invalidValue(path.child('cachesize'), cachesize, 'cachesize is not supported in v2'));
  if (apiVersion === 'v1') errors.push(invalidValue(path.child('apiVersion'), apiVersion, NO_KMS_V1));
  else if (apiVersion !== 'v2') errors.push(invalidValue(path.child('apiVersion'), apiVersion, 'unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported'));
  if (errors.length > before) return [];
  const configuration: KmsConfiguration = { name: name as string, endpoint: endpoint as string, timeoutMs };
  return [(make) => [make(configuration)]];
}
function durationOf(text: unknown): number {
  try {
    return typeof text === 'string' ? parseDurationMs(text) : Number.NaN;
  } catch {
    return Number.NaN;
  }
}
function validateEndpoint(endpoint: unknown, path: FieldPath): FieldError[] {
  if (typeof endpoint !== 'string' || endpoint === '') return [invalidValue(path, '', 'endpoint is a mandatory field for a kms')];
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(endpoint)?.[1]?.toLowerCase() ?? '';
  return scheme === 'unix' ? [] : [invalidValue(path, endpoint, `unsupported scheme ${JSON.stringify(scheme)} for KMS provider, only unix is supported`)];
}

/** The ciphers of a resource: the first rule that names it. Undefined: it is written as it is. */
export function ciphersFor(configuration: EncryptionConfiguration, group: string, plural: string): readonly Cipher[] | undefined {
  const names = [group === '' ? plural : `${plural}.${group}`, `*.${group}`, '*.*'];
  return configuration.find((rule) => rule.resources.some((name) => names.includes(name)))?.ciphers;
}
