/** Volumes made of files: secret, configMap, downwardAPI and projected. */
import type { ClusterTrustBundleProjection, DownwardAPIVolumeFile, KeyToPath, PodCertificateProjection, PodSpec, ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { trustBundleNameProblems } from '../../certificates/clustertrustbundles.ts';
import { isKubernetesSigner, validateSignerName } from '../../certificates/signer-name.ts';
import { validateUserAnnotations } from '../../certificates/user-annotations.ts';
import type { StrategyContext } from '../../../registry/strategy.ts';
import { each } from '../../field-checks.ts';
import { validateFileMode, validateLocalPath } from '../volume-paths.ts';
import { validateFieldRef, validateResourceFieldRef, VOLUME_FIELDS } from './downward-api.ts';

const MIN_TOKEN_SECONDS = 600;
const MAX_TOKEN_SECONDS = 2 ** 32;

export function validateKeyToPath(item: KeyToPath, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!item.key) errors.push(required(path.child('key')));
  if (!item.path) errors.push(required(path.child('path')));
  return [...errors, ...validateLocalPath(item.path ?? '', path.child('path')), ...validateFileMode(item.mode, path.child('mode'))];
}
export function validateDownwardFile(file: DownwardAPIVolumeFile, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!file.path) errors.push(required(path.child('path')));
  errors.push(...validateLocalPath(file.path ?? '', path.child('path')));
  if (file.fieldRef) {
    errors.push(...validateFieldRef(file.fieldRef, VOLUME_FIELDS, path.child('fieldRef')));
    if (file.resourceFieldRef) errors.push(invalidValue(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'));
  } else if (file.resourceFieldRef) errors.push(...validateResourceFieldRef(file.resourceFieldRef, true, path.child('resourceFieldRef')));
  else errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'));
  return [...errors, ...validateFileMode(file.mode, path.child('mode'))];
}

function validateToken(token: ServiceAccountTokenProjection, path: FieldPath, volumePath: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const seconds = token.expirationSeconds ?? 0;
  if (seconds < MIN_TOKEN_SECONDS) errors.push(invalidValue(path.child('expirationSeconds'), seconds, 'may not specify a duration less than 10 minutes'));
  if (seconds > MAX_TOKEN_SECONDS) errors.push(invalidValue(path.child('expirationSeconds'), seconds, 'may not specify a duration larger than 2^32 seconds'));
  // Upstream names the volume's path here, not the source's.
  if (!token.path) errors.push(required(volumePath.child('path')));
  else errors.push(...validateLocalPath(token.path, volumePath.child('path')));
  return errors;
}

/** A Pod names a bundle alone: what stands before the last colon is its signer. */
function trustBundleNameErrors(name: string): readonly string[] {
  const colon = name.lastIndexOf(':');
  return trustBundleNameProblems(name, colon < 0 ? '' : name.slice(0, colon).replaceAll(':', '/'));
}
function validateTrustBundle(bundle: ClusterTrustBundleProjection, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const { name, signerName, labelSelector } = bundle;
  if (name !== undefined && signerName !== undefined) errors.push(invalidValue(path, bundle, 'only one of name and signerName may be used'));
  else if (name !== undefined) {
    if (name === '') errors.push(required(path.child('name'), 'must be a valid object name'));
    errors.push(...trustBundleNameErrors(name).map((m) => invalidValue(path.child('name'), name, `not a valid clustertrustbundlename: ${m}`)));
    if (labelSelector) errors.push(invalidValue(path.child('labelSelector'), labelSelector, 'labelSelector must be unset if name is specified'));
  } else if (signerName !== undefined) {
    if (signerName === '') errors.push(required(path.child('signerName'), 'must be a valid signer name'));
    errors.push(...validateSignerName(signerName, path.child('signerName')), ...validateLabelSelector(labelSelector, path.child('labelSelector')));
  } else errors.push(required(path, 'either name or signerName must be specified'));
  if (!bundle.path) errors.push(required(path.child('path')));
  return [...errors, ...validateLocalPath(bundle.path ?? '', path.child('path'))];
}

const KEY_TYPES = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'];
const MIN_CERTIFICATE_SECONDS = 3600;
const MAX_CERTIFICATE_SECONDS = 91 * 86400;
function validateCertificate(certificate: PodCertificateProjection, path: FieldPath): FieldError[] {
  const { signerName = '', keyType = '', maxExpirationSeconds: seconds } = certificate;
  const errors = [...validateSignerName(signerName, path.child('signerName')), ...validateUserAnnotations(certificate.userAnnotations, path.child('userAnnotations'))];
  if (!KEY_TYPES.includes(keyType)) errors.push(notSupported(path.child('keyType'), keyType, KEY_TYPES));
  if (seconds !== undefined) {
    const at = path.child('maxExpirationSeconds');
    if (seconds < MIN_CERTIFICATE_SECONDS) errors.push(invalidValue(at, seconds, 'if provided, maxExpirationSeconds must be >= 3600'));
    const limit = isKubernetesSigner(signerName) ? 86400 : MAX_CERTIFICATE_SECONDS;
    if (seconds > limit) errors.push(invalidValue(at, seconds, `if provided, maxExpirationSeconds must be <= ${limit}`));
  }
  const paths = (['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const).filter((key) => certificate[key]);
  if (paths.length === 0) errors.push(required(path, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'));
  return [...errors, ...paths.flatMap((key) => validateLocalPath(certificate[key]!, path.child(key)))];
}

/** Paths a source writes, each with the value upstream shows when two collide. */
function pathsOf(source: VolumeProjection): [file: string, shown: string][] {
  const items = (list: readonly KeyToPath[] | undefined, shown: string) => (list ?? []).map((item): [string, string] => [item.path, shown]);
  const own = [source.clusterTrustBundle?.path, source.podCertificate?.credentialBundlePath, source.podCertificate?.keyPath, source.podCertificate?.certificateChainPath];
  return [
    ...items(source.secret?.items, source.secret?.name ?? ''),
    ...items(source.configMap?.items, source.configMap?.name ?? ''),
    ...(source.downwardAPI?.items ?? []).map((file): [string, string] => [file.path, file.path]),
    ...own.map((file): [string, string] => [file ?? '', file ?? '']),
  ].filter(([file]) => file !== '') as [string, string][];
}
const SOURCES = ['secret', 'configMap', 'downwardAPI', 'serviceAccountToken', 'clusterTrustBundle', 'podCertificate'] as const;

export function validateProjected(volume: ProjectedVolumeSource, path: FieldPath): FieldError[] {
  const taken = new Set<string>();
  const errors = validateFileMode(volume.defaultMode, path.child('defaultMode'));
  for (const [i, source] of (volume.sources ?? []).entries()) {
    const at = path.child('sources').index(i);
    for (const kind of ['secret', 'configMap'] as const) {
      const from = source[kind];
      if (!from) continue;
      if (!from.name) errors.push(required(at.child(kind, 'name')));
      errors.push(...each(from.items, at.child(kind, 'items'), validateKeyToPath));
    }
    for (const file of source.downwardAPI?.items ?? []) errors.push(...validateDownwardFile(file, at.child('downwardAPI')));
    if (source.serviceAccountToken) errors.push(...validateToken(source.serviceAccountToken, at.child('serviceAccountToken'), path));
    if (source.clusterTrustBundle) errors.push(...validateTrustBundle(source.clusterTrustBundle, at.child('clusterTrustBundle')));
    if (source.podCertificate) errors.push(...validateCertificate(source.podCertificate, at.child('podCertificate')));
    for (const [file, shown] of pathsOf(source)) {
      if (taken.has(file)) errors.push(invalidValue(path, shown, 'conflicting duplicate paths'));
      taken.add(file);
    }
    if (SOURCES.filter((kind) => source[kind]).length > 1) errors.push(forbiddenField(at, 'may not specify more than 1 volume type per source'));
  }
  return errors;
}

/** What a projection needs to be served. */
const NEEDS = { clusterTrustBundle: 'clustertrustbundles', podCertificate: 'podcertificaterequests' } as const;
/** Sources of kinds that are not served are dropped from a new Pod, as upstream drops those of disabled features. */
export function dropUnservedProjections(spec: Draft<PodSpec>, { serves }: Pick<StrategyContext, 'serves'>): void {
  const sources = (spec.volumes ?? []).flatMap((volume) => volume.projected?.sources ?? []);
  for (const [source, plural] of Object.entries(NEEDS) as [keyof typeof NEEDS, string][]) {
    if (!serves('certificates.k8s.io', 'v1beta1', plural)) for (const projection of sources) delete projection[source];
  }
}
