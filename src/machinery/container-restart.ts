/** When a container that ended runs again: its own rules and policy before the Pod's (KEP-5307), and rules that restart the whole Pod (KEP-5532). */
import type { Container, ContainerRestartRule, EphemeralContainer, Pod } from '#api/gen/core-v1.ts';

type AnyContainer = Container | EphemeralContainer;
export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

/** Restart policy that holds for one container. */
export function restartPolicyOf(pod: Pod, container: AnyContainer): RestartPolicy {
  return (container.restartPolicy as RestartPolicy | undefined) ?? pod.spec.restartPolicy ?? 'Always';
}
/** Whether a container that ended with this code is to run again. */
export function shouldRestart(pod: Pod, container: AnyContainer, exitCode: number): boolean {
  if (matchingRule(container, exitCode)) return true;
  const policy = restartPolicyOf(pod, container);
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}
/** Whether this end of a container restarts every container of its Pod. */
export function restartsAll(container: AnyContainer, exitCode: number): boolean {
  return matchingRule(container, exitCode)?.action === 'RestartAllContainers';
}
/** Whether some end of some container would restart every container of the Pod. */
export function mayRestartAll({ spec }: Pod): boolean {
  return [...(spec.initContainers ?? []), ...spec.containers].some((c) => c.restartPolicyRules?.some((r) => r.action === 'RestartAllContainers'));
}
/** The first rule that speaks of the exit code. */
function matchingRule(container: AnyContainer, exitCode: number): ContainerRestartRule | undefined {
  return container.restartPolicyRules?.find(({ exitCodes }) => exitCodes && (exitCodes.values ?? []).includes(exitCode) === (exitCodes.operator === 'In'));
}
