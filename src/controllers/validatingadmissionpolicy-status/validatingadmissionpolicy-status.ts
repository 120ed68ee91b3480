/**
 * Tells in the status of ValidatingAdmissionPolicies which expressions cannot be right for the kinds that they are matched with.
 * Source: reference/access-authn-authz/validating-admission-policy, "Type checking"; upstream's counterpart: validatingadmissionpolicy-status-controller.
 */
import type { ExpressionWarning, ValidatingAdmissionPolicy } from '#api/gen/admissionregistration-v1.ts';
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { kind } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

const POLICIES = kind<ValidatingAdmissionPolicy>('admissionregistration.k8s.io', 'v1', 'validatingadmissionpolicies');

const MANAGER = 'validatingadmissionpolicy-status';

/** Checks the expressions of a policy against the types of what it matches. */
export type PolicyTypeChecker = (policy: ValidatingAdmissionPolicy) => readonly ExpressionWarning[];

export function newValidatingAdmissionPolicyStatus(context: ControllerContext, check: PolicyTypeChecker): Component {
  const { client, informers } = context;
  const policies = informers.informer(POLICIES);
  return newController({
    name: 'validatingadmissionpolicy-status-controller',
    context,
    workers: 1,
    sources: (queue) => [source(context, queue, POLICIES, (p) => [nameOf(p)])],
    async reconcile(name, signal) {
      const policy = policies.get('', name);
      const generation = policy?.metadata.generation ?? 0;
      if (!policy || (policy.status?.observedGeneration ?? 0) >= generation) return undefined;
      const expressionWarnings = check(policy);
      const status = { observedGeneration: generation, typeChecking: expressionWarnings.length ? { expressionWarnings } : {} };
      const applied = { apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingAdmissionPolicy', metadata: { name }, status };
      await client.of(POLICIES).patch('', name, 'application/apply-patch+yaml', applied, { subresource: 'status', fieldManager: MANAGER, force: true, signal }).catch((err: unknown) => {
        if (!isReason(err, 'NotFound')) throw err;
      });
      return undefined;
    },
  });
}
