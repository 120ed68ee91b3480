import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '#api/gen/certificates-v1.ts';
import { rfc3339 } from '#base/clock.ts';

type Type = 'Approved' | 'Denied' | 'Failed';
export function conditionOf({ status }: CertificateSigningRequest, type: Type): CertificateSigningRequestCondition | undefined {
  return status?.conditions?.find((c) => c.type === type);
}
export function isIssued({ status }: CertificateSigningRequest): boolean {
  return (status?.certificate ?? '') !== '';
}
export function withCondition(request: CertificateSigningRequest, type: Type, reason: string, message: string, now: number): CertificateSigningRequest {
  const time = rfc3339(now);
  return { ...request, status: { ...request.status, conditions: [...(request.status?.conditions ?? []), { type, status: 'True', reason, message, lastUpdateTime: time, lastTransitionTime: time }] } };
}
/** The request's PEM text. */
export function pemOf({ spec }: CertificateSigningRequest): string {
  return Buffer.from(spec.request, 'base64').toString();
}
