/**
 * Runs the probes of every container that runs. One worker per container and kind of probe; each run of a container starts anew.
 * Source: API reference Probe; concepts/workloads/pods/pod-lifecycle#container-probes; upstream's counterpart: prober.
 */
import type { Pod, Probe } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock, Timer } from '#base/clock.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { AnyContainer, ProbeKind, Prober } from '../interfaces.ts';
import { containerFieldPath, isHostNetwork, isRestartableInit } from '../pods/containers.ts';
import { errorText } from '../runtime/container-starter.ts';
import type { RuntimeCache, RuntimeContainer } from '../runtime/runtime-cache.ts';
import { probeGrpc } from './grpc-probe.ts';
import { probeHttp, type ProbeResult } from './http-probe.ts';
import { resolvePort } from './port.ts';
import { probeTcp } from './tcp-probe.ts';

export interface ProberOptions {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly nodeIPs: readonly string[];
}
const KINDS: readonly ProbeKind[] = ['startup', 'readiness', 'liveness'];
const MAX_OUTPUT = 10_240;

interface Worker {
  readonly kind: ProbeKind;
  readonly name: string;
  probe: Probe;
  /** The run that is being probed. */
  containerId: string;
  /** undefined: no result that counts yet. */
  result: boolean | undefined;
  streak: number;
  lastOutcome: boolean | undefined;
  timer: Timer | undefined;
  abort: AbortController;
}
interface PodProbes {
  pod: Pod;
  readonly workers: Map<string, Worker>;
  terminating: boolean;
}

export function newProber(options: ProberOptions): Prober {
  const { cache, clock, recorder, runtime } = options;
  const pods = new Map<string, PodProbes>();
  let listener: (uid: string) => void = () => {};

  const probeOf = (c: AnyContainer, kind: ProbeKind): Probe | undefined => (kind === 'startup' ? c.startupProbe : kind === 'readiness' ? c.readinessProbe : c.livenessProbe);
  const worker = (uid: string, name: string, kind: ProbeKind): Worker | undefined => pods.get(uid)?.workers.get(`${kind}/${name}`);
  const runningOf = (uid: string, name: string): RuntimeContainer | undefined => cache.get(uid)?.containers.find((c) => c.name === name && c.state === 'CONTAINER_RUNNING');
  /** A worker's result for this very run of the container. */
  const resultOf = (uid: string, name: string, kind: ProbeKind, id: string): { probed: boolean; result: boolean | undefined } => {
    const w = worker(uid, name, kind);
    return w ? { probed: true, result: w.containerId === id ? w.result : undefined } : { probed: false, result: undefined };
  };
  const isStarted = (uid: string, name: string, id: string): boolean => {
    const { probed, result } = resultOf(uid, name, 'startup', id);
    return !probed || result === true;
  };

  function stopWorker(w: Worker): void {
    w.timer?.cancel();
    w.abort.abort(new Error('probe is no longer needed'));
  }
  function reset(w: Worker, containerId: string): void {
    stopWorker(w);
    Object.assign(w, { containerId, result: undefined, streak: 0, lastOutcome: undefined, timer: undefined, abort: new AbortController() });
  }
  /** Never more than the delay itself: a clock that was set back makes nobody wait for the hours that it has to go again. */
  const delayLeft = (w: Worker, run: RuntimeContainer | undefined): number => Math.max(0, (w.probe.initialDelaySeconds ?? 0) * 1000 - Math.max(0, clock.now() - (run?.startedAt ?? 0) / 1e6));
  /** Takes up what runs: a new run of a container is probed from its start on. */
  function refresh(uid: string): void {
    const entry = pods.get(uid);
    for (const w of entry?.workers.values() ?? []) {
      const run = runningOf(uid, w.name);
      if (!run) {
        if (w.containerId !== '') reset(w, '');
      } else if (run.id !== w.containerId) {
        reset(w, run.id);
        w.timer = clock.after(delayLeft(w, run), () => void tick(uid, w));
      }
    }
  }
  async function tick(uid: string, w: Worker): Promise<void> {
    const entry = pods.get(uid);
    const run = runningOf(uid, w.name);
    if (!entry || !run || run.id !== w.containerId) return;
    const again = () => {
      if (!w.abort.signal.aborted) w.timer = clock.after((w.probe.periodSeconds ?? 10) * 1000, () => void tick(uid, w));
    };
    const started = isStarted(uid, w.name, run.id);
    if (w.kind === 'startup' ? started : !started) {
      // Startup probes end with their first success, the others begin then.
      if (w.kind !== 'startup') again();
      return;
    }
    if (entry.terminating && w.kind !== 'readiness') return;
    const { abort } = w;
    try {
      const outcome = await runProbe(entry.pod, w, run, abort.signal);
      if (!abort.signal.aborted) settle(uid, entry.pod, w, outcome);
    } catch (err) {
      if (abort.signal.aborted) return;
      note(entry.pod, w, 'Unhealthy', `${title(w.kind)} probe errored and resulted in unknown state: ${(err as Error).message}`);
    }
    // A container that is to be killed is not probed again before its next run.
    if (w.result === false && w.kind !== 'readiness') return;
    again();
  }
  function settle(uid: string, pod: Pod, w: Worker, outcome: ProbeResult): void {
    const good = outcome.outcome !== 'failure';
    if (outcome.outcome === 'failure') note(pod, w, 'Unhealthy', `${title(w.kind)} probe failed: ${outcome.output.slice(0, MAX_OUTPUT)}`);
    if (outcome.outcome === 'warning') note(pod, w, 'ProbeWarning', `${title(w.kind)} probe warning: ${outcome.output.slice(0, MAX_OUTPUT)}`);
    w.streak = w.lastOutcome === good ? w.streak + 1 : 1;
    w.lastOutcome = good;
    const threshold = good ? (w.probe.successThreshold ?? 1) : (w.probe.failureThreshold ?? 3);
    if (w.streak < threshold || w.result === good) return;
    const before = w.result;
    w.result = good;
    if (w.kind === 'startup' && good) beginOthers(uid, w.name);
    // A container is live until it is not, and not ready until it is: a first result of that kind says nothing new. Whether it has started is not known before.
    if (before !== undefined || w.kind === 'startup' || good !== (w.kind === 'liveness')) listener(uid);
  }
  /** The startup probe passed: the other probes of the container need not wait for their next period. */
  function beginOthers(uid: string, name: string): void {
    for (const kind of ['readiness', 'liveness'] as const) {
      const w = worker(uid, name, kind);
      if (!w?.timer) continue;
      w.timer.cancel();
      w.timer = clock.after(delayLeft(w, runningOf(uid, name)), () => void tick(uid, w));
    }
  }
  async function runProbe(pod: Pod, w: Worker, run: RuntimeContainer, signal: AbortSignal): Promise<ProbeResult> {
    const container = allProbed(pod).find((c) => c.name === w.name)!;
    const { exec, httpGet, tcpSocket, grpc, timeoutSeconds = 1 } = w.probe;
    const timeoutMs = timeoutSeconds * 1000;
    if (exec) return await probeExec(run.id, exec.command ?? [], timeoutSeconds, signal);
    const ip = isHostNetwork(pod) ? (options.nodeIPs[0] ?? '127.0.0.1') : (cache.get(uidOf(pod))?.sandboxes[0]?.network?.ip ?? '');
    if (httpGet) return await probeHttp({ ...httpGet, host: httpGet.host || ip, port: resolvePort(container, httpGet.port) }, { timeoutMs, userAgent: 'kube-probe/1.36', signal });
    if (tcpSocket) return await probeTcp(tcpSocket.host || ip, resolvePort(container, tcpSocket.port), timeoutMs, signal);
    if (grpc) return await probeGrpc(ip, grpc.port, grpc.service ?? '', timeoutMs, signal);
    throw new Error(`missing probe handler for ${pod.metadata.name}:${container.name}`);
  }
  async function probeExec(containerId: string, cmd: readonly string[], timeoutSeconds: number, signal: AbortSignal): Promise<ProbeResult> {
    try {
      const { exitCode, stdout, stderr } = await runtime.execSync({ containerId, cmd, timeout: timeoutSeconds }, { signal });
      const output = Buffer.concat([stdout, stderr]).toString('utf8');
      return { outcome: exitCode === 0 ? 'success' : 'failure', output };
    } catch (err) {
      if (signal.aborted) throw err;
      const text = errorText(err);
      if (/deadline exceeded|timed? ?out/i.test(text)) return { outcome: 'failure', output: `command timed out: "${cmd.join(' ')}" timed out after ${timeoutSeconds}s` };
      throw err;
    }
  }
  function note(pod: Pod, w: Worker, reason: string, message: string): void {
    recorder.eventFor(referenceTo(pod, containerFieldPath(pod, w.name)), 'Warning', reason, message);
  }

  return {
    addPod(pod) {
      const uid = uidOf(pod);
      const entry = pods.get(uid) ?? { pod, workers: new Map<string, Worker>(), terminating: false };
      entry.pod = pod;
      pods.set(uid, entry);
      for (const c of allProbed(pod)) {
        for (const kind of KINDS) {
          const probe = probeOf(c, kind);
          const key = `${kind}/${c.name}`;
          const known = entry.workers.get(key);
          if (known && probe) known.probe = probe;
          else if (probe) entry.workers.set(key, { kind, name: c.name, probe, containerId: '', result: undefined, streak: 0, lastOutcome: undefined, timer: undefined, abort: new AbortController() });
        }
      }
      refresh(uid);
    },
    removePod(uid) {
      for (const w of pods.get(uid)?.workers.values() ?? []) stopWorker(w);
      pods.delete(uid);
    },
    stopLivenessAndStartup(uid) {
      const entry = pods.get(uid);
      if (!entry) return;
      entry.terminating = true;
      for (const w of entry.workers.values()) if (w.kind !== 'readiness') stopWorker(w);
    },
    isReady(uid, name, id) {
      const { probed, result } = resultOf(uid, name, 'readiness', id);
      return isStarted(uid, name, id) && (!probed || result === true);
    },
    isStarted,
    mustKill(uid, name, id) {
      if (pods.get(uid)?.terminating) return undefined;
      if (resultOf(uid, name, 'startup', id).result === false) return 'startup';
      return resultOf(uid, name, 'liveness', id).result === false ? 'liveness' : undefined;
    },
    onChange(fn) {
      listener = fn;
    },
    stop() {
      for (const entry of pods.values()) for (const w of entry.workers.values()) stopWorker(w);
      pods.clear();
    },
  };
}

/** Containers that may have probes: the main ones and the sidecars. */
function allProbed(pod: Pod): readonly AnyContainer[] {
  return [...(pod.spec.initContainers ?? []).filter(isRestartableInit), ...pod.spec.containers];
}
function title(kind: ProbeKind): string {
  return `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
}
