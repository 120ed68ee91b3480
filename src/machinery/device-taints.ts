/** Taints of devices and who stands them. Source: the API reference, "DeviceTaint" and "DeviceToleration"; KEP-5055. */
import type { DeviceTaint, DeviceToleration } from '#api/gen/resource-v1.ts';

export function toleratesDeviceTaint({ effect, key, operator = 'Equal', value = '' }: DeviceToleration, taint: DeviceTaint): boolean {
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  return operator === 'Exists' || (operator === 'Equal' && value === (taint.value ?? ''));
}
/** True where a taint keeps new claims away. Effects that are not known, and `None`, do not. */
export function keepsAway(taints: readonly DeviceTaint[] | undefined, tolerations: readonly DeviceToleration[]): boolean {
  return taints?.some((taint) => (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') && !tolerations.some((t) => toleratesDeviceTaint(t, taint))) ?? false;
}
