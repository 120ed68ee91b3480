import { connect } from 'node:net';
import type { ProbeResult } from './http-probe.ts';

/** TCP probes: a connection that opens is a success. Rejects only when the signal aborts. */
export function probeTcp(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: timeoutMs, signal });
    const end = (result: ProbeResult) => {
      socket.destroy();
      resolve(result);
    };
    const where = `${host}:${port}`;
    socket.once('connect', () => end({ outcome: 'success', output: '' }));
    socket.once('timeout', () => end({ outcome: 'failure', output: `dial tcp ${where}: i/o timeout` }));
    socket.once('error', (err: NodeJS.ErrnoException) => {
      if (signal.aborted) return reject(signal.reason);
      const why = err.code === 'ECONNREFUSED' ? 'connect: connection refused' : err.code === 'EHOSTUNREACH' ? 'connect: no route to host' : err.message;
      end({ outcome: 'failure', output: `dial tcp ${where}: ${why}` });
    });
  });
}
