/** `CredentialProviderConfig` (`kubelet.config.k8s.io/v1`): the programs that give credentials of registries. Source: the reference "Kubelet CredentialProvider". */
import { parseDurationMs } from '#machinery/duration.ts';
import { parseYaml } from '#machinery/yaml.ts';

export const PROVIDER_API_VERSION = 'credentialprovider.kubelet.k8s.io/v1';

/** A token of the Pod's service account for the program (KEP-4412). */
export interface TokenAttributes {
  readonly audience: string;
  /** Without a service account the program is not asked at all. */
  readonly requireServiceAccount: boolean;
  /** Whether what the program answers holds for one token or for the account. */
  readonly cacheType: 'Token' | 'ServiceAccount';
  readonly requiredAnnotations: readonly string[];
  readonly optionalAnnotations: readonly string[];
}
export interface CredentialProviderConfig {
  /** Of the program in the directory of programs. */
  readonly name: string;
  readonly matchImages: readonly string[];
  readonly defaultCacheMs: number;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly token?: TokenAttributes | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** Throws an error that names the field which is wrong. */
export function parseCredentialProviders(text: string): readonly CredentialProviderConfig[] {
  const file = fields(parseYaml(text), '', ['apiVersion', 'kind', 'providers']);
  if (file['kind'] !== 'CredentialProviderConfig') throw wrong('kind', 'must be CredentialProviderConfig');
  if (file['apiVersion'] !== 'kubelet.config.k8s.io/v1') throw wrong('apiVersion', 'must be kubelet.config.k8s.io/v1');
  const list = items(file['providers'], 'providers');
  if (list.length === 0) throw wrong('providers', 'at least 1 item in plugins is required');
  const parsed = list.map((p, i) => provider(p, `providers[${i}]`));
  const twice = parsed.find((p, i) => parsed.findIndex((other) => other.name === p.name) < i);
  if (twice) throw wrong('providers', `provider name "${twice.name}" is not unique`);
  return parsed;
}
function provider(value: unknown, at: string): CredentialProviderConfig {
  const p = fields(value, at, ['name', 'matchImages', 'defaultCacheDuration', 'apiVersion', 'args', 'env', 'tokenAttributes']);
  const name = text(p['name'], `${at}.name`);
  if (/[/\s]/.test(name) || name === '.' || name === '..') throw wrong(`${at}.name`, 'provider name cannot be a path and cannot contain spaces or path separators');
  if (p['apiVersion'] !== PROVIDER_API_VERSION) throw wrong(`${at}.apiVersion`, `must be ${PROVIDER_API_VERSION}`);
  const matchImages = items(p['matchImages'], `${at}.matchImages`).map((m, i) => text(m, `${at}.matchImages[${i}]`));
  if (matchImages.length === 0) throw wrong(`${at}.matchImages`, 'at least 1 item in matchImages is required');
  if (p['defaultCacheDuration'] === undefined) throw wrong(`${at}.defaultCacheDuration`, 'defaultCacheDuration is required');
  const defaultCacheMs = duration(p['defaultCacheDuration'], `${at}.defaultCacheDuration`);
  if (defaultCacheMs < 0) throw wrong(`${at}.defaultCacheDuration`, 'must be greater than or equal to 0');
  return {
    name, matchImages, defaultCacheMs,
    args: items(p['args'], `${at}.args`).map((a, i) => text(a, `${at}.args[${i}]`)),
    env: items(p['env'], `${at}.env`).map((e, i) => {
      const entry = fields(e, `${at}.env[${i}]`, ['name', 'value']);
      return { name: text(entry['name'], `${at}.env[${i}].name`), value: typeof entry['value'] === 'string' ? entry['value'] : '' };
    }),
    ...(p['tokenAttributes'] === undefined ? {} : { token: tokenAttributes(p['tokenAttributes'], `${at}.tokenAttributes`) }),
  };
}
function tokenAttributes(value: unknown, at: string): TokenAttributes {
  const t = fields(value, at, ['serviceAccountTokenAudience', 'cacheType', 'requireServiceAccount', 'requiredServiceAccountAnnotationKeys', 'optionalServiceAccountAnnotationKeys']);
  const { requireServiceAccount, cacheType } = t;
  if (typeof requireServiceAccount !== 'boolean') throw wrong(`${at}.requireServiceAccount`, 'must be true or false');
  if (cacheType !== 'Token' && cacheType !== 'ServiceAccount') throw wrong(`${at}.cacheType`, 'must be Token or ServiceAccount');
  const keys = (field: string): string[] => items(t[field], `${at}.${field}`).map((k, i) => text(k, `${at}.${field}[${i}]`));
  const requiredAnnotations = keys('requiredServiceAccountAnnotationKeys');
  if (requiredAnnotations.length && !requireServiceAccount) throw wrong(`${at}.requiredServiceAccountAnnotationKeys`, 'must be empty where requireServiceAccount is false');
  return { audience: text(t['serviceAccountTokenAudience'], `${at}.serviceAccountTokenAudience`), requireServiceAccount, cacheType, requiredAnnotations, optionalAnnotations: keys('optionalServiceAccountAnnotationKeys') };
}

function wrong(field: string, what: string): Error {
  return new Error(`reading the credential provider config: ${field}: ${what}`);
}
function fields(value: unknown, at: string, known: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(at || 'the file', 'must be a map');
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(at === '' ? unknown : `${at}.${unknown}`, 'unknown field');
  return value as Json;
}
function items(value: unknown, at: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrong(at, 'must be a list');
  return value as unknown[];
}
function text(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(at, 'must be a string that is not empty');
  return value;
}
function duration(value: unknown, at: string): number {
  try {
    return parseDurationMs(String(value));
  } catch {
    throw wrong(at, `invalid duration ${JSON.stringify(value)}`);
  }
}
