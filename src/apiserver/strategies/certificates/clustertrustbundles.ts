import { X509Certificate } from 'node:crypto';
import type { ClusterTrustBundle } from '#api/gen/certificates-v1beta1.ts';
import { fieldPath, invalidValue, tooLong, type FieldError } from '#machinery/field-errors.ts';
import { nameIsDNSSubdomain } from '#machinery/names.ts';
import { pemBlocks } from '#machinery/pem.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable } from '../field-checks.ts';
import { fieldDoc, NAME, NONE, text } from '../printing.ts';
import { validateSignerName } from './signer-name.ts';

const NAME_PATH = fieldPath('metadata', 'name');
const SIGNER = fieldPath('spec', 'signerName');
const BUNDLE = fieldPath('spec', 'trustBundle');
const MAX_BUNDLE_BYTES = 1024 * 1024;
/** A bundle is shown to nobody in a message. */
const OMITTED = '<value omitted>';

/** A bundle for a signer is named after it, `example.com:signer:name`; others have no colon. */
export function trustBundleNameProblems(name: string, signerName: string, isPrefix = false): readonly string[] {
  if (signerName === '') return name.includes(':') ? ['ClusterTrustBundle without signer name must not have ":" in its name'] : nameIsDNSSubdomain(name, isPrefix);
  const prefix = `${signerName.replaceAll('/', ':')}:`;
  if (!name.startsWith(prefix)) return [`ClusterTrustBundle for signerName ${signerName} must be named with prefix ${prefix}`];
  return nameIsDNSSubdomain(name.slice(prefix.length), isPrefix);
}
function certificateOf(bytes: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}
/** Nothing but authorities' certificates, at least one, each once. */
function validateBundle(bundle: string): FieldError[] {
  if (Buffer.byteLength(bundle) > MAX_BUNDLE_BYTES) return [tooLong(BUNDLE, MAX_BUNDLE_BYTES)];
  const say = (detail: string): FieldError => invalidValue(BUNDLE, OMITTED, detail);
  const places = new Map<string, number[]>();
  const errors = pemBlocks(bundle).flatMap(({ type, hasHeaders, bytes }, i): FieldError[] => {
    if (type !== 'CERTIFICATE') return [say(`entry ${i} has bad block type: ${type}`)];
    if (hasHeaders) return [say(`entry ${i} has PEM block headers`)];
    const certificate = certificateOf(bytes);
    if (!certificate) return [say(`entry ${i} does not parse as X.509`)];
    if (!certificate.ca) return [say(`entry ${i} does not have the CA bit set`)];
    places.getOrInsertComputed(bytes.toString('latin1'), () => []).push(i);
    return [];
  });
  if (errors.length > 0) return errors;
  if (places.size === 0) return [say('at least one trust anchor must be provided')];
  return [...places.values()].filter((indices) => indices.length > 1).map((indices) => say(`duplicate trust anchor (indices [${indices.join(' ')}])`));
}
function validate({ metadata, spec }: ClusterTrustBundle): FieldError[] {
  const signer = spec.signerName ?? '';
  return [...fromMessages(NAME_PATH, metadata.name ?? '', trustBundleNameProblems(metadata.name ?? '', signer)), ...(signer === '' ? [] : validateSignerName(signer, SIGNER))];
}

export const clustertrustbundles = defineStrategy<ClusterTrustBundle>('certificates.k8s.io', 'v1beta1', 'clustertrustbundles', {
  // What a name may be depends on the signer.
  validateName: () => [],
  allowUnconditionalUpdate: false,
  validate: (bundle) => [...validate(bundle), ...validateBundle(bundle.spec.trustBundle ?? '')],
  validateUpdate: (bundle, old) => [
    ...validate(bundle),
    ...(bundle.spec.trustBundle === old.spec.trustBundle ? [] : validateBundle(bundle.spec.trustBundle ?? '')),
    ...immutable(bundle.spec.signerName ?? '', old.spec.signerName ?? '', SIGNER),
  ],
  columns: [NAME, text('SignerName', fieldDoc('api/certificates/v1beta1.ClusterTrustBundleSpec', 'signerName'))],
  row: ({ metadata, spec }) => [metadata.name ?? '', spec.signerName || NONE],
  selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName ?? '' },
});
