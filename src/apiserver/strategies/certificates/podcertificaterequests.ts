import type { PodCertificateRequest, PodCertificateRequestSpec } from '#api/gen/certificates-v1beta1.ts';
import { fieldPath, invalidValue, required, tooLong, type FieldError } from '#machinery/field-errors.ts';
import { nameIsDNSSubdomain } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable } from '../field-checks.ts';
import { fieldDoc, NAME, text } from '../printing.ts';
import { isKubernetesSigner, validateSignerName } from './signer-name.ts';
import { validateKey } from './pod-certificate-key.ts';
import { validateStatusUpdate } from './pod-certificate-status.ts';
import { validateUserAnnotations } from './user-annotations.ts';

const SPEC = fieldPath('spec');
const MAX_UID_BYTES = 128;
const MIN_SECONDS = 3600;
const DAY_SECONDS = 86_400;
const MAX_SECONDS = 91 * DAY_SECONDS;

function validateUid(uid: string, name: string): FieldError[] {
  const path = SPEC.child(name);
  if (uid === '') return [invalidValue(path, uid, 'must not be empty')];
  return Buffer.byteLength(uid) > MAX_UID_BYTES ? [tooLong(path, MAX_UID_BYTES)] : [];
}
const validateOwnerName = (value: string, name: string): FieldError[] => fromMessages(SPEC.child(name), value, nameIsDNSSubdomain(value, false));

function validateSpec(spec: PodCertificateRequestSpec): FieldError[] {
  const { signerName = '', maxExpirationSeconds: seconds } = spec;
  const errors = [
    ...validateSignerName(signerName, SPEC.child('signerName')),
    ...validateUserAnnotations(spec.unverifiedUserAnnotations, SPEC.child('unverifiedUserAnnotations')),
    ...validateOwnerName(spec.podName ?? '', 'podName'), ...validateUid(spec.podUID ?? '', 'podUID'),
    ...validateOwnerName(spec.serviceAccountName ?? '', 'serviceAccountName'), ...validateUid(spec.serviceAccountUID ?? '', 'serviceAccountUID'),
    ...validateOwnerName(spec.nodeName ?? '', 'nodeName'), ...validateUid(spec.nodeUID ?? '', 'nodeUID'),
  ];
  const path = SPEC.child('maxExpirationSeconds');
  if (seconds === undefined) return [...errors, required(path, 'must be set')];
  const most = isKubernetesSigner(signerName) ? DAY_SECONDS : MAX_SECONDS;
  if (seconds < MIN_SECONDS || seconds > most) errors.push(invalidValue(path, seconds, `must be in the range [${MIN_SECONDS}, ${most}]`));
  return [...errors, ...validateKey(spec)];
}
/** The last that is there: a good request has one. */
const stateOf = ({ status }: PodCertificateRequest): string => status?.conditions?.findLast(({ type }) => ['Issued', 'Denied', 'Failed'].includes(type))?.type ?? 'Pending';
const annotationsText = (annotations: Readonly<Record<string, string>> = {}): string => Object.keys(annotations).toSorted().map((key) => `${key}=${annotations[key]}`).join(',') || '<none>';

export const podcertificaterequests = defineStrategy<PodCertificateRequest>('certificates.k8s.io', 'v1beta1', 'podcertificaterequests', {
  allowUnconditionalUpdate: false,
  prepareForCreate(request) {
    request.status = {};
  },
  validate: ({ spec }) => validateSpec(spec),
  validateUpdate: (request, old) => immutable(request.spec, old.spec, SPEC),
  validateStatusUpdate: (request, old, { now }) => validateStatusUpdate(request, old, now),
  columns: [
    NAME,
    text('PodName', fieldDoc('api/certificates/v1beta1.PodCertificateRequestSpec', 'podName')),
    text('ServiceAccountName', fieldDoc('api/certificates/v1beta1.PodCertificateRequestSpec', 'serviceAccountName')),
    text('NodeName', fieldDoc('api/certificates/v1beta1.PodCertificateRequestSpec', 'nodeName')),
    text('SignerName', fieldDoc('api/certificates/v1beta1.PodCertificateRequestSpec', 'signerName')),
    text('State', 'Is the request Pending, Issued, Denied, or Failed?'),
    text('UnverifiedUserAnnotations', fieldDoc('api/certificates/v1beta1.PodCertificateRequestSpec', 'unverifiedUserAnnotations')),
  ],
  row(request) {
    const { metadata, spec } = request;
    return [metadata.name ?? '', spec.podName, spec.serviceAccountName, spec.nodeName, spec.signerName, stateOf(request), annotationsText(spec.unverifiedUserAnnotations)];
  },
  selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName, 'spec.podName': ({ spec }) => spec.podName, 'spec.nodeName': ({ spec }) => spec.nodeName },
});
