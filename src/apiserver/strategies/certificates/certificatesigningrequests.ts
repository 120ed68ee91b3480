import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '#api/gen/certificates-v1.ts';
import type { Draft } from '#base/draft.ts';
import { humanDuration } from '#machinery/duration.ts';
import { duplicate, fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError } from '#machinery/field-errors.ts';
import { nameIsPathSegment } from '#machinery/names.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { each } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, NONE, text } from '../printing.ts';
import { certificateProblem, requestProblem } from './request.ts';
import { validateSignerName } from './signer-name.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const CONDITIONS = STATUS.child('conditions');
const MIN_SECONDS = 600;
const LEGACY_SIGNER = 'kubernetes.io/legacy-unknown';
const USAGES = [
  'any', 'cert sign', 'client auth', 'code signing', 'content commitment', 'crl sign', 'data encipherment', 'decipher only', 'digital signature', 'email protection', 'encipher only',
  'ipsec end system', 'ipsec tunnel', 'ipsec user', 'key agreement', 'key encipherment', 'microsoft sgc', 'netscape sgc', 'ocsp signing', 's/mime', 'server auth', 'signing', 'timestamping',
];
const isDecision = (type: string) => type === 'Approved' || type === 'Denied';

function validateConditions(request: CertificateSigningRequest): FieldError[] {
  const conditions = request.status?.conditions ?? [];
  return each(conditions, CONDITIONS, ({ type = '', status = '' }, path, i) => {
    const errors: FieldError[] = type === '' ? [required(path.child('type'))] : [];
    const earlier = conditions.slice(0, i).map((c) => c.type);
    const at = path.child('status');
    const supported = isDecision(type) || type === 'Failed' ? ['True'] : ['False', 'True', 'Unknown'];
    if (status === '') errors.push(required(at));
    else if (!supported.includes(status)) errors.push(notSupported(at, status, supported));
    if (isDecision(type) && earlier.includes(type === 'Approved' ? 'Denied' : 'Approved')) errors.push(invalidValue(CONDITIONS, type, 'Approved and Denied conditions are mutually exclusive'));
    if (earlier.includes(type)) errors.push(duplicate(path.child('type'), type));
    return errors;
  });
}
function validateCertificate({ status }: CertificateSigningRequest): FieldError[] {
  const problem = status?.certificate ? certificateProblem(status.certificate) : undefined;
  return problem === undefined ? [] : [invalidValue(STATUS.child('certificate'), '<certificate data>', problem)];
}
function validateAll(request: CertificateSigningRequest): FieldError[] {
  const { request: pem = '', usages = [], signerName = '', expirationSeconds: seconds } = request.spec ?? {};
  const at = SPEC.child('usages');
  const problem = requestProblem(pem);
  const errors = problem === undefined ? [] : [invalidValue(SPEC.child('request'), pem, problem)];
  if (usages.length === 0) errors.push(required(at));
  errors.push(
    ...each(usages, at, (usage, path, i) => [...(USAGES.includes(usage) ? [] : [notSupported(path, usage, USAGES)]), ...(usages.indexOf(usage) < i ? [duplicate(path, usage)] : [])]),
  );
  const signer = SPEC.child('signerName');
  errors.push(...(signerName === LEGACY_SIGNER ? [invalidValue(signer, signerName, 'the legacy signerName is not allowed via this API version')] : validateSignerName(signerName, signer)));
  if (seconds !== undefined && seconds < MIN_SECONDS) errors.push(invalidValue(SPEC.child('expirationSeconds'), seconds, 'may not specify a duration less than 600 seconds (10 minutes)'));
  return [...errors, ...validateConditions(request), ...validateCertificate(request)];
}

type Conditions = readonly CertificateSigningRequestCondition[];
const typesOf = (conditions: Conditions | undefined) => (conditions ?? []).map(({ type }) => type);
function decisionChanges(request: CertificateSigningRequest, old: CertificateSigningRequest, mayAdd: boolean): FieldError[] {
  const [now, before] = [typesOf(request.status?.conditions), typesOf(old.status?.conditions)];
  return ['Approved', 'Denied', 'Failed'].flatMap((type) => {
    if (before.includes(type) && !now.includes(type)) return [forbiddenField(CONDITIONS, `updates may not remove a condition of type ${JSON.stringify(type)}`)];
    if (!mayAdd && isDecision(type) && !before.includes(type) && now.includes(type)) return [forbiddenField(CONDITIONS, `updates may not add a condition of type ${JSON.stringify(type)}`)];
    return [];
  });
}
/** Times that the signer or approver left out. */
function stampConditions(request: Draft<CertificateSigningRequest>, old: CertificateSigningRequest, now: number): void {
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  for (const condition of request.status?.conditions ?? []) {
    const before = old.status?.conditions?.find((c) => c.type === condition.type && c.status === condition.status);
    condition.lastUpdateTime ??= time;
    condition.lastTransitionTime ??= before?.lastTransitionTime ?? time;
  }
}
function statusText({ status }: CertificateSigningRequest): string {
  const types = typesOf(status?.conditions);
  const decision = types.includes('Denied') ? 'Denied' : types.includes('Approved') ? 'Approved' : 'Pending';
  return `${decision}${types.includes('Failed') ? ',Failed' : ''}${status?.certificate ? ',Issued' : ''}`;
}

export const certificatesigningrequests = defineStrategy<CertificateSigningRequest>('certificates.k8s.io', 'v1', 'certificatesigningrequests', {
  validateName: nameIsPathSegment,
  prepareForCreate(request, { user }) {
    request.status = emptyStatus('certificates.k8s.io', 'v1', 'CertificateSigningRequest');
    // Who asks is what the server says, not the client.
    const { request: pem, signerName, usages, expirationSeconds } = request.spec ?? {};
    request.spec = {
      request: pem ?? '', signerName: signerName ?? '', ...(expirationSeconds === undefined ? {} : { expirationSeconds }), ...(usages ? { usages } : {}),
      username: user.name, ...(user.uid ? { uid: user.uid } : {}), ...(user.groups.length > 0 ? { groups: [...user.groups] } : {}),
      ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) } : {}),
    };
  },
  prepareForUpdate(request, old, ctx) {
    request.spec = structuredClone(old.spec) as Draft<CertificateSigningRequest>['spec'];
    const status = structuredClone(old.status ?? {}) as NonNullable<Draft<CertificateSigningRequest>['status']>;
    if (ctx.subresource === '') request.status = status;
    if (ctx.subresource === 'approval') request.status = { ...status, conditions: request.status?.conditions ?? [] };
    if (ctx.subresource !== '') stampConditions(request, old, ctx.now);
  },
  validate: validateAll,
  validateUpdate(request, old, ctx) {
    return ctx.subresource === 'approval' ? [...validateConditions(request), ...decisionChanges(request, old, true)] : validateAll(request);
  },
  validateStatusUpdate(request, old) {
    const errors = [...validateConditions(request), ...validateCertificate(request), ...decisionChanges(request, old, false)];
    const [now, before] = [request.status?.certificate ?? '', old.status?.certificate ?? ''];
    return before !== '' && now !== before ? [...errors, forbiddenField(STATUS.child('certificate'), 'updates may not change certificate content')] : errors;
  },
  columns: [
    NAME,
    AGE,
    text('SignerName', `Requested signer for the request. It is a qualified name in the form: \`scope-hostname.io/name\`. If empty, it will be defaulted:\n 1. If it's a kubelet client certificate, it is assigned\n    "kubernetes.io/kube-apiserver-client-kubelet".\n 2. If it's a kubelet serving certificate, it is assigned\n    "kubernetes.io/kubelet-serving".\n 3. Otherwise, it is assigned "kubernetes.io/legacy-unknown".\nDistribution of trust for signers happens out of band. You can select on this field using \`spec.signerName\`.`),
    text('Requestor', 'Base64-encoded PKCS#10 CSR data'),
    text('RequestedDuration', fieldDoc('api/certificates/v1.CertificateSigningRequestSpec', 'expirationSeconds')),
    text('Condition', 'Conditions applied to the request, such as approval or denial.'),
  ],
  row(request, now) {
    const { metadata, spec } = request;
    const duration = spec.expirationSeconds === undefined ? NONE : humanDuration(spec.expirationSeconds * 1000);
    return [metadata.name ?? '', age(metadata, now), spec.signerName, spec.username ?? '', duration, statusText(request)];
  },
  selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName },
});
