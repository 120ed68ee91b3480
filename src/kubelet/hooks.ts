/** Lifecycle handlers: exec, httpGet, tcpSocket (for compatibility) and sleep. Source: API reference LifecycleHandler. */
import type { LifecycleHandler, Pod } from '#api/gen/core-v1.ts';
import { sleep, type Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { AnyContainer, HookRunner } from './interfaces.ts';
import { probeHttp } from './probes/http-probe.ts';
import { resolvePort } from './probes/port.ts';

export interface HookOptions {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  podIP(pod: Pod): string;
}

export function newHookRunner(options: HookOptions): HookRunner {
  const { runtime, clock } = options;

  async function execute(pod: Pod, container: AnyContainer, containerId: string, handler: LifecycleHandler, timeoutMs: number, signal: AbortSignal): Promise<string> {
    if (handler.exec) {
      const { exitCode, stderr, stdout } = await runtime.execSync({ containerId, cmd: handler.exec.command ?? [], timeout: Math.ceil(timeoutMs / 1000) % 2 ** 31 }, { signal });
      if (exitCode === 0) return '';
      const output = Buffer.concat([stdout, stderr]).toString('utf8').slice(0, 10_240);
      return `Exec lifecycle hook ([${(handler.exec.command ?? []).join(' ')}]) for Container "${container.name}" in Pod "${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})" failed - error: command '${(handler.exec.command ?? []).join(' ')}' exited with ${exitCode}: ${output}, message: "${output}"`;
    }
    if (handler.httpGet) {
      const port = resolvePort(container, handler.httpGet.port);
      const result = await probeHttp({ ...handler.httpGet, host: handler.httpGet.host || options.podIP(pod), port }, { timeoutMs: Math.min(timeoutMs, 2 ** 31 - 1), userAgent: 'kube-lifecycle/1.36', signal });
      return result.outcome === 'success' ? '' : result.output;
    }
    if (handler.sleep) await sleep(clock, handler.sleep.seconds * 1000, signal);
    return '';
  }
  return {
    async run(pod, container, containerId, hook, timeoutMs, signal) {
      const handler = container.lifecycle?.[hook];
      if (!handler) return '';
      const limit = new AbortController();
      const timer = clock.after(timeoutMs, () => limit.abort(new Error(`${hook} hook did not complete within its time`)));
      try {
        return await execute(pod, container, containerId, handler, timeoutMs, AbortSignal.any([signal, limit.signal]));
      } catch (err) {
        if (signal.aborted) throw err;
        return (err as Error).message;
      } finally {
        timer.cancel();
      }
    },
  };
}
