/**
 * `AuthorizationConfiguration` of `apiserver.config.k8s.io/v1`: which authorizers are asked, in which order. Source: KEP-3221, the
 * Kubernetes page "Authorization", "Configuring the API Server using an authorization config file"; messages are upstream's.
 */
import { statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { formatDurationMs } from '#machinery/duration.ts';
import { duplicate, fieldPath, invalidValue, notSupported, required, toAggregate, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import type { Expression } from '../configuration/expressions.ts';
import { readConfigurationObject, type ObjectReader } from '../configuration/object-reader.ts';
import { MATCH_CONDITIONS } from './match.ts';

export interface WebhookConfiguration {
  readonly timeoutMs: number;
  /** 0: not remembered. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  readonly version: 'v1' | 'v1beta1';
  readonly onError: 'noOpinion' | 'deny';
  /** Absolute path. */
  readonly kubeConfigFile: string;
  readonly matchConditions: readonly Expression[];
}
export type AuthorizerConfiguration =
  | { readonly type: 'AlwaysAllow' | 'AlwaysDeny' | 'Node' | 'RBAC'; readonly name: string }
  | { readonly type: 'Webhook'; readonly name: string; readonly webhook: WebhookConfiguration };

const VERSIONS = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1'];
/** Upstream's ABAC reads a policy file of its own, which nothing here does. */
const TYPES = ['AlwaysAllow', 'AlwaysDeny', 'Node', 'RBAC', 'Webhook'];
const MAX_TIMEOUT_MS = 30_000;
const MAX_CONDITIONS = 64;

/** Throws an Error that names the fields. */
export function parseAuthorizationConfiguration(text: string): readonly AuthorizerConfiguration[] {
  const errors: FieldError[] = [];
  const file = readConfigurationObject(text, 'AuthorizationConfiguration', VERSIONS, errors);
  const list = file.objects('authorizers');
  if (list.length === 0) errors.push(required(fieldPath('authorizers'), 'at least one authorization mode must be defined'));
  const seen = { types: new Set<string>(), names: new Set<string>() };
  const parsed = list.flatMap((reader) => parseAuthorizer(reader, seen));
  file.close();
  if (errors.length > 0) throw new Error(toAggregate(errors));
  return parsed;
}

function parseAuthorizer(reader: ObjectReader, seen: { readonly types: Set<string>; readonly names: Set<string> }): AuthorizerConfiguration[] {
  const { errors } = reader;
  const [type = '', name = ''] = [reader.string('type'), reader.string('name')];
  const webhook = reader.object('webhook');
  reader.close();
  if (type === '') errors.push(required(reader.at('type')));
  else if (!TYPES.includes(type)) errors.push(notSupported(reader.at('type'), type, TYPES));
  else if (type !== 'Webhook' && seen.types.has(type)) errors.push(duplicate(reader.at('type'), type));
  else {
    seen.types.add(type);
    errors.push(...validateName(name, reader.at('name'), seen.names));
    seen.names.add(name);
    if (type !== 'Webhook') {
      if (webhook) errors.push(invalidValue(reader.at('webhook'), 'non-null', 'may only be specified when type=Webhook'));
      return [{ type: type as 'RBAC', name }];
    }
    if (webhook) return [{ type, name, webhook: parseWebhook(webhook, reader.path!) }];
    errors.push(required(reader.at('webhook'), 'required when type=Webhook'));
  }
  return [];
}
function validateName(name: string, path: FieldPath, seen: ReadonlySet<string>): FieldError[] {
  if (name === '') return [required(path)];
  if (seen.has(name)) return [duplicate(path, name)];
  const faults = isDNS1123Subdomain(name);
  return faults.length > 0 ? [invalidValue(path, name, `authorizer name is invalid: ${faults.join(', ')}`)] : [];
}

/** `path` is the authorizer's: upstream names fields of its webhook without it. */
function parseWebhook(reader: ObjectReader, path: FieldPath): WebhookConfiguration {
  const { errors } = reader;
  const timeoutMs = reader.duration('timeout') ?? 0;
  if (timeoutMs === 0) errors.push(required(path.child('timeout')));
  else if (timeoutMs > MAX_TIMEOUT_MS || timeoutMs < 0) errors.push(invalidValue(path.child('timeout'), formatDurationMs(timeoutMs), 'must be > 0s and <= 30s'));
  const ttl = (name: string, defaultMs: number, cache: string): number => {
    const ms = reader.duration(name) ?? defaultMs;
    if (ms === 0) errors.push(required(path.child(name)));
    else if (ms < 0) errors.push(invalidValue(path.child(name), formatDurationMs(ms), 'must be > 0s'));
    return (reader.boolean(cache) ?? true) ? ms : 0;
  };
  const authorizedTtlMs = ttl('authorizedTTL', 5 * 60_000, 'cacheAuthorizedRequests');
  const unauthorizedTtlMs = ttl('unauthorizedTTL', 30_000, 'cacheUnauthorizedRequests');
  const version = choice(reader, path, 'subjectAccessReviewVersion', ['v1', 'v1beta1'], required(path.child('subjectAccessReviewVersion')));
  const failurePolicy = choice(reader, path, 'failurePolicy', ['NoOpinion', 'Deny'], required(path.child('failurePolicy')));
  const kubeConfigFile = parseConnection(reader.object('connectionInfo'), path.child('connectionInfo'), errors);
  const conditions = reader.objects('matchConditions');
  const needsVersion = conditions.length > 0 ? required(path.child('matchConditionSubjectAccessReviewVersion'), 'required if match conditions are specified') : undefined;
  choice(reader, path, 'matchConditionSubjectAccessReviewVersion', ['v1'], needsVersion);
  const matchConditions = parseConditions(conditions, path.child('matchConditions'), errors);
  reader.close();
  return { timeoutMs, authorizedTtlMs, unauthorizedTtlMs, version: version === 'v1beta1' ? version : 'v1', onError: failurePolicy === 'Deny' ? 'deny' : 'noOpinion', kubeConfigFile, matchConditions };
}
function choice(reader: ObjectReader, path: FieldPath, name: string, known: readonly string[], missing: FieldError | undefined): string {
  const value = reader.string(name) ?? '';
  if (value === '') reader.errors.push(...(missing ? [missing] : []));
  else if (!known.includes(value)) reader.errors.push(notSupported(path.child(name), value, known, 'listed'));
  return value;
}
function parseConnection(reader: ObjectReader | undefined, path: FieldPath, errors: FieldError[]): string {
  const [type = '', file = ''] = [reader?.string('type'), reader?.string('kubeConfigFile')];
  reader?.close();
  const at = path.child('kubeConfigFile');
  if (type === '') errors.push(required(path.child('type')));
  // Upstream's InClusterConfig is for an API server that runs as a Pod of another cluster.
  else if (type !== 'KubeConfigFile') errors.push(notSupported(path.child('type'), type, ['KubeConfigFile']));
  else if (file === '') errors.push(required(at));
  else if (!isAbsolute(file)) errors.push(invalidValue(at, file, 'must be an absolute path'));
  else {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (!stat) errors.push(invalidValue(at, file, `error loading file: stat ${file}: no such file or directory`));
    else if (!stat.isFile()) errors.push(invalidValue(at, file, 'must be a regular file'));
  }
  return file;
}
function parseConditions(conditions: readonly ObjectReader[], path: FieldPath, errors: FieldError[]): readonly Expression[] {
  if (conditions.length > MAX_CONDITIONS) {
    errors.push(tooMany(path, conditions.length, MAX_CONDITIONS));
    return [];
  }
  const seen = new Set<string>();
  return conditions.flatMap((condition, i) => {
    const at = path.index(i).child('expression');
    const source = condition.string('expression') ?? '';
    condition.close();
    if (source.trim() === '') errors.push(required(at));
    else if (seen.has(source)) errors.push(duplicate(at, source));
    else {
      seen.add(source);
      const expression = MATCH_CONDITIONS.compile(source, 'bool', at, errors);
      if (expression) return [expression];
    }
    return [];
  });
}
