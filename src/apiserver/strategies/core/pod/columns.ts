/** The row of a Pod in `kubectl get pods`: what STATUS, READY and RESTARTS say. */
import type { ContainerState, ContainerStatus, Pod } from '#api/gen/core-v1.ts';
import type { Cell, Column } from '../../../registry/strategy.ts';
import { AGE, age, fieldDoc, NAME, NONE, since, text, wide } from '../../printing.ts';
import { isSidecar } from './quantities.ts';

export const POD_COLUMNS: readonly Column[] = [
  NAME,
  text('Ready', 'The aggregate readiness state of this pod for accepting traffic.'),
  text('Status', 'The aggregate status of the containers in this pod.'),
  { name: 'Restarts', type: 'string', description: 'The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.' },
  AGE,
  wide('IP', fieldDoc('api/core/v1.PodStatus', 'podIP')),
  wide('Node', fieldDoc('api/core/v1.PodSpec', 'nodeName')),
  wide('Nominated Node', fieldDoc('api/core/v1.PodStatus', 'nominatedNodeName')),
  wide('Readiness Gates', fieldDoc('api/core/v1.PodSpec', 'readinessGates')),
];

/** Restarts counted so far, with the newest end of a container that was restarted. */
class Restarts {
  count = 0;
  sidecars = 0;
  last: string | undefined;
  lastSidecar: string | undefined;
  add(status: ContainerStatus, sidecar: boolean): void {
    const finished = status.lastState?.terminated?.finishedAt;
    this.count += status.restartCount ?? 0;
    this.last = later(this.last, finished);
    if (!sidecar) return;
    this.sidecars += status.restartCount ?? 0;
    this.lastSidecar = later(this.lastSidecar, finished);
  }
  /** Once the Pod is initialised, of the init containers only sidecars count. */
  forgetInit(): void {
    this.count = this.sidecars;
    this.last = this.lastSidecar;
  }
  text(now: number): string {
    return this.count > 0 && this.last ? `${this.count} (${since(this.last, now)} ago)` : String(this.count);
  }
}
function later(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Date.parse(b) > Date.parse(a) ? b : a;
}

function terminatedText(state: NonNullable<ContainerState['terminated']>): string {
  if (state.reason) return state.reason;
  return state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode ?? 0}`;
}
/** The reason for which initialisation is not over; undefined for an init container that is done. */
function initReason(status: ContainerStatus, index: number, total: number, sidecar: boolean): string | undefined {
  const { terminated, waiting } = status.state ?? {};
  if (terminated && (terminated.exitCode ?? 0) === 0) return undefined;
  if (sidecar && status.started) return undefined;
  if (terminated) return `Init:${terminatedText(terminated)}`;
  if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`;
  return `Init:${index}/${total}`;
}
function isTrue(pod: Pod, type: string): boolean {
  return pod.status?.conditions?.some((c) => c.type === type && c.status === 'True') ?? false;
}

interface Summary {
  readonly reason: string;
  readonly ready: number;
  readonly total: number;
  readonly restarts: Restarts;
}

function summarise(pod: Pod): Summary {
  const status = pod.status ?? {};
  const initContainers = pod.spec.initContainers ?? [];
  const sidecars = new Set(initContainers.filter(isSidecar).map((c) => c.name));
  const restarts = new Restarts();
  let reason = status.reason || status.phase || '';
  let ready = 0;
  if (status.conditions?.some((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated')) reason = 'SchedulingGated';

  let initializing = false;
  for (const [i, container] of (status.initContainerStatuses ?? []).entries()) {
    const sidecar = sidecars.has(container.name);
    restarts.add(container, sidecar);
    if (sidecar && container.started && container.ready && !(container.state?.terminated && (container.state.terminated.exitCode ?? 0) === 0)) ready += 1;
    const blocked = initReason(container, i, initContainers.length, sidecar);
    if (blocked === undefined) continue;
    reason = blocked;
    initializing = true;
    break;
  }
  if (!initializing || isTrue(pod, 'Initialized')) {
    const main = summariseContainers(pod, restarts, reason);
    reason = main.reason;
    ready += main.ready;
  }
  return { reason, ready, total: (pod.spec.containers?.length ?? 0) + sidecars.size, restarts };
}

function summariseContainers(pod: Pod, restarts: Restarts, before: string): { reason: string; ready: number } {
  restarts.forgetInit();
  let reason = before;
  let ready = 0;
  let running = false;
  for (const container of (pod.status?.containerStatuses ?? []).toReversed()) {
    restarts.add(container, false);
    const { waiting, terminated } = container.state ?? {};
    if (waiting?.reason) reason = waiting.reason;
    else if (terminated) reason = terminatedText(terminated);
    else if (container.ready && container.state?.running) {
      running = true;
      ready += 1;
    }
  }
  // Some containers are done and some still run.
  if (reason === 'Completed' && running) reason = isTrue(pod, 'Ready') ? 'Running' : 'NotReady';
  return { reason, ready };
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec.readinessGates ?? [];
  return gates.length === 0 ? NONE : `${gates.filter((g) => isTrue(pod, g.conditionType)).length}/${gates.length}`;
}

export function podRow(pod: Pod, now: number): readonly Cell[] {
  const { reason, ready, total, restarts } = summarise(pod);
  const finished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  let shown = reason;
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (pod.status?.reason === 'NodeLost') shown = 'Unknown';
    else if (!finished) shown = 'Terminating';
  }
  return [
    pod.metadata.name ?? '', `${ready}/${total}`, shown, restarts.text(now), age(pod.metadata, now), pod.status?.podIPs?.[0]?.ip || NONE, pod.spec.nodeName || NONE,
    pod.status?.nominatedNodeName || NONE, readinessGates(pod),
  ];
}
