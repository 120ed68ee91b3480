/** What a Job's podFailurePolicy (KEP-3329) and successPolicy (KEP-3998) say of its Pods. */
import type { Job, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicyRule } from '#api/gen/batch-v1.ts';
import type { ContainerStatus, Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { countCommon, countIndexes, parseIndexes, type Indexes } from './indexes.ts';
import { isPodFailed } from './pods.ts';

export interface FailureVerdict {
  /** The action of the first rule that matches; undefined when none does. */
  readonly action?: PodFailurePolicyRule['action'];
  /** Whether the failure counts towards the back-off limits. */
  readonly counts: boolean;
  /** Why the whole Job fails. */
  readonly jobFailure?: string;
}

function matchingContainer(pod: Pod, { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement): ContainerStatus | undefined {
  const all = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return all.find(({ name, state }) => {
    const code = state?.terminated?.exitCode ?? 0;
    return code !== 0 && (containerName === undefined || containerName === name) && values.includes(code) === (operator === 'In');
  });
}
/** What the rule matched, as the failure's message begins. */
function matched(rule: PodFailurePolicyRule, pod: Pod): string | undefined {
  const name = `${namespaceOf(pod)}/${nameOf(pod)}`;
  if (rule.onExitCodes) {
    const container = matchingContainer(pod, rule.onExitCodes);
    return container && `Container ${container.name} for pod ${name} failed with exit code ${container.state?.terminated?.exitCode}`;
  }
  const condition = pod.status?.conditions?.find((c) => rule.onPodConditions?.some((p) => p.type === c.type && (p.status ?? 'True') === c.status));
  return condition && `Pod ${name} has condition ${condition.type}`;
}
export function judgeFailure(policy: PodFailurePolicy | undefined, pod: Pod): FailureVerdict {
  for (const [index, rule] of (policy?.rules ?? []).entries()) {
    const what = matched(rule, pod);
    if (what === undefined) continue;
    const { action } = rule;
    return { action, counts: action !== 'Ignore', ...(action === 'FailJob' ? { jobFailure: `${what} matching ${action} rule at index ${index}` } : {}) };
  }
  return { counts: true };
}
/** Why the failure of one of the Pods ends the Job. */
export function jobFailureMessage(job: Job, pods: readonly Pod[]): string | undefined {
  if (!job.spec.podFailurePolicy) return undefined;
  for (const pod of pods) {
    const { jobFailure } = isPodFailed(pod, job) ? judgeFailure(job.spec.podFailurePolicy, pod) : {};
    if (jobFailure !== undefined) return jobFailure;
  }
  return undefined;
}

function isMet({ succeededIndexes, succeededCount }: SuccessPolicyRule, succeeded: Indexes, completions: number): boolean {
  if (succeededIndexes === undefined) return succeededCount !== undefined && countIndexes(succeeded) >= succeededCount;
  const wanted = parseIndexes(succeededIndexes, completions);
  return countCommon(wanted, succeeded) >= (succeededCount ?? countIndexes(wanted));
}
/** The message of the first rule that is met. */
export function successMessage(job: Job, succeeded: Indexes): string | undefined {
  if (succeeded.length === 0) return undefined;
  const index = (job.spec.successPolicy?.rules ?? []).findIndex((rule) => isMet(rule, succeeded, job.spec.completions ?? 0));
  return index < 0 ? undefined : `Matched rules at index ${index}`;
}
