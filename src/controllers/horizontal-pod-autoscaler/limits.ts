/** How fast and how far a target may be scaled: pure. Source: tasks/run-application/horizontal-pod-autoscale, "Configurable scaling behavior". */
import type { HorizontalPodAutoscalerBehavior, HPAScalingRules } from '#api/gen/autoscaling-v2.ts';

const STABILISATION_MS = 300_000;

/** A recommendation, or a change of size (positive), at a time in ms since the epoch. */
export interface Timed {
  readonly at: number;
  readonly replicas: number;
}
export interface History {
  readonly recommendations: readonly Timed[];
  readonly ups: readonly Timed[];
  readonly downs: readonly Timed[];
}
export interface Limits {
  readonly current: number;
  readonly desired: number;
  readonly min: number;
  readonly max: number;
  readonly behavior: HorizontalPodAutoscalerBehavior | undefined;
  readonly history: History;
  readonly now: number;
}
interface Told {
  readonly reason: string;
  readonly message: string;
}
export interface Limited {
  readonly replicas: number;
  /** Of the condition AbleToScale. */
  readonly able: Told;
  /** Of the condition ScalingLimited. */
  readonly limited: Told & { readonly status: 'True' | 'False' };
}

const READY: Told = { reason: 'ReadyForNewScale', message: 'recommended size matches current size' };
const DOWN_STABILIZED: Told = { reason: 'ScaleDownStabilized', message: 'recent recommendations were higher than current one, applying the highest recent recommendation' };
const UP_STABILIZED: Told = { reason: 'ScaleUpStabilized', message: 'recent recommendations were lower than current one, applying the lowest recent recommendation' };
const WITHIN: Told = { reason: 'DesiredWithinRange', message: 'the desired count is within the acceptable range' };
const TOO_FEW: Told = { reason: 'TooFewReplicas', message: 'the desired replica count is less than the minimum replica count' };
const TOO_MANY: Told = { reason: 'TooManyReplicas', message: 'the desired replica count is more than the maximum replica count' };
const UP_LIMIT: Told = { reason: 'ScaleUpLimit', message: 'the desired replica count is increasing faster than the maximum scale rate' };
const DOWN_LIMIT: Told = { reason: 'ScaleDownLimit', message: 'the desired replica count is decreasing faster than the maximum scale rate' };

const windowMs = (rules: HPAScalingRules | undefined, fallback: number): number => (rules?.stabilizationWindowSeconds === undefined ? fallback : rules.stabilizationWindowSeconds * 1000);
/** The longest that recommendations are looked back at. */
export function lookBackMs(behavior: HorizontalPodAutoscalerBehavior | undefined): number {
  return Math.max(windowMs(behavior?.scaleUp, 0), windowMs(behavior?.scaleDown, STABILISATION_MS));
}
/** The longest period of a policy: how long changes of size are remembered. */
export function longestPeriodMs(rules: HPAScalingRules | undefined): number {
  return Math.max(0, ...(rules?.policies ?? []).map((p) => p.periodSeconds)) * 1000;
}
function stabilize({ current, desired, behavior, history, now }: Limits): { replicas: number; told: Told } {
  const since = (ms: number): number[] => history.recommendations.filter((r) => r.at > now - ms).map((r) => r.replicas);
  const lowest = Math.min(desired, ...since(windowMs(behavior?.scaleUp, 0)));
  const highest = Math.max(desired, ...since(windowMs(behavior?.scaleDown, STABILISATION_MS)));
  const replicas = behavior === undefined ? highest : current < lowest ? lowest : current > highest ? highest : current;
  return { replicas, told: replicas === desired ? READY : behavior === undefined || desired < current ? DOWN_STABILIZED : UP_STABILIZED };
}
const inPeriod = (events: readonly Timed[], seconds: number, now: number): number => events.filter((e) => e.at > now - seconds * 1000).reduce((sum, e) => sum + e.replicas, 0);
function rateLimit(l: Limits, rules: HPAScalingRules | undefined, direction: 1 | -1): number {
  if (rules?.selectPolicy === 'Disabled') return l.current;
  const limits = (rules?.policies ?? []).map(({ type, value, periodSeconds }) => {
    const start = l.current - inPeriod(l.history.ups, periodSeconds, l.now) + inPeriod(l.history.downs, periodSeconds, l.now);
    if (type === 'Pods') return start + direction * value;
    return direction > 0 ? Math.ceil(start * (1 + value / 100)) : Math.trunc(start * (1 - value / 100));
  });
  const farthest = rules?.selectPolicy !== 'Min';
  return (direction > 0) === farthest ? Math.max(...limits) : Math.min(...limits);
}
/** The size that is allowed now on the way to `replicas`. */
function allowed(l: Limits, replicas: number): { replicas: number; told: Told } {
  const { current, min, max, behavior } = l;
  if (behavior === undefined) {
    const limit = Math.max(2 * current, 4);
    if (replicas < min) return { replicas: min, told: TOO_FEW };
    return replicas > Math.min(max, limit) ? (max > limit ? { replicas: limit, told: UP_LIMIT } : { replicas: max, told: TOO_MANY }) : { replicas, told: WITHIN };
  }
  if (replicas > current) {
    const limit = Math.max(current, rateLimit(l, behavior.scaleUp, 1));
    if (replicas > Math.min(max, limit)) return max > limit ? { replicas: limit, told: UP_LIMIT } : { replicas: max, told: TOO_MANY };
  } else if (replicas < current) {
    const limit = Math.min(current, rateLimit(l, behavior.scaleDown, -1));
    if (replicas < Math.max(min, limit)) return min < limit ? { replicas: limit, told: DOWN_LIMIT } : { replicas: min, told: TOO_FEW };
  }
  return { replicas, told: WITHIN };
}
export function limit(l: Limits): Limited {
  const stable = stabilize(l);
  const { replicas, told } = allowed(l, stable.replicas);
  return { replicas, able: stable.told, limited: { ...told, status: replicas === stable.replicas ? 'False' : 'True' } };
}
