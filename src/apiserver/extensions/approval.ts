/** Groups of the Kubernetes project (`*.k8s.io`, `*.kubernetes.io`) take an approval of its API reviewers. Upstream's counterpart: apihelpers and controller/apiapproval. */
import type { CustomResourceDefinition, CustomResourceDefinitionCondition } from '#api/gen/apiextensions-v1.ts';
import { goQuote } from '#machinery/go-text.ts';

export const APPROVAL_ANNOTATION = 'api-approved.kubernetes.io';
const MUST = `protected groups must have approval annotation "${APPROVAL_ANNOTATION}"`;
const SEE = 'see https://github.com/kubernetes/enhancements/pull/1111';

export interface Approval {
  readonly state: 'approved' | 'bypassed' | 'missing' | 'invalid';
  readonly reason: string;
}
/** Undefined for groups of others. */
export function approvalOf(definition: CustomResourceDefinition): Approval | undefined {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(definition.spec?.group ?? '')) return undefined;
  const text = definition.metadata.annotations?.[APPROVAL_ANNOTATION];
  if (!text) return { state: 'missing', reason: `${MUST}, ${SEE}` };
  if (text.startsWith('unapproved')) return { state: 'bypassed', reason: `not approved: ${goQuote(text)}` };
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/]+/i.test(text)) return { state: 'approved', reason: `approved in ${text}` };
  return { state: 'invalid', reason: `${MUST} with either a URL or a reason starting with "unapproved", ${SEE}` };
}
const REASONS: Readonly<Record<Approval['state'], string>> = { approved: 'ApprovedAnnotation', bypassed: 'UnapprovedAnnotation', missing: 'MissingAnnotation', invalid: 'InvalidAnnotation' };
export function approvalCondition(definition: CustomResourceDefinition): Omit<CustomResourceDefinitionCondition, 'lastTransitionTime'> | undefined {
  const approval = approvalOf(definition);
  return approval && { type: 'KubernetesAPIApprovalPolicyConformant', status: approval.state === 'approved' ? 'True' : 'False', reason: REASONS[approval.state], message: approval.reason };
}
