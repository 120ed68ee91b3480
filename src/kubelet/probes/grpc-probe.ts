/** gRPC probes: `grpc.health.v1.Health/Check` over HTTP/2 without TLS. Source: the gRPC health checking protocol; KEP-2727. */
import { connect } from 'node:http2';
import type { ProbeResult } from './http-probe.ts';

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** A gRPC frame with a HealthCheckRequest: field 1 is the service's name. */
function checkRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length ? Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]) : Buffer.alloc(0);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
function varint(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)];
}
/** Status number of a HealthCheckResponse frame: field 1, 0 when left out. */
function statusOf(body: Buffer): number {
  return body.length >= 7 && body[5] === 0x08 ? body[6]! : 0;
}

/** Rejects only when the signal aborts. */
export function probeGrpc(host: string, port: number, service: string, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const session = connect(`http://${target}`);
    const limit = AbortSignal.timeout(timeoutMs);
    const finish = (result: ProbeResult) => {
      session.destroy();
      if (signal.aborted) reject(signal.reason);
      else resolve(result);
    };
    const stop = () => finish({ outcome: 'failure', output: `timeout: failed to connect service "${target}" within ${timeoutMs / 1000}s: context deadline exceeded` });
    AbortSignal.any([signal, limit]).addEventListener('abort', stop, { once: true });
    session.on('error', (err) => finish({ outcome: 'failure', output: `error: this server does not implement the grpc health protocol (grpc.health.v1.Health) or is not reachable: ${err.message}` }));
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers' });
    const parts: Buffer[] = [];
    let code: unknown;
    stream.on('response', (headers) => (code ??= headers['grpc-status']));
    stream.on('trailers', (headers) => (code = headers['grpc-status'] ?? code));
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', (err) => finish({ outcome: 'failure', output: err.message }));
    stream.on('close', () => {
      if (String(code) === '12') return finish({ outcome: 'failure', output: `this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health` });
      if (String(code) !== '0') return finish({ outcome: 'failure', output: `service "${service}" health check failed with gRPC status ${String(code)}` });
      const status = statusOf(Buffer.concat(parts));
      finish(status === 1 ? { outcome: 'success', output: 'service healthy' } : { outcome: 'failure', output: `service unhealthy (responded with "${STATUSES[status] ?? status}")` });
    });
    stream.end(checkRequest(service));
  });
}
