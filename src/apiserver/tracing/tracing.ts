/** Traces as a cluster has them: by a file that is there. OpenTelemetry is loaded only then. */
import { readIfThere } from '../configuration/followed-file.ts';
import type { Span } from '#base/tracing.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';
import { parseTracingConfiguration } from './configuration.ts';

export interface TracedRequest {
  readonly method: string;
  readonly info: RequestInfo;
  readonly user: UserInfo;
  readonly auditId: string;
  readonly userAgent: string | undefined;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** W3C Trace Context as the client sent it. */
  readonly traceparent: string | undefined;
}
export interface Tracing {
  /** The span of a request, now that it is known who asks. */
  request(request: TracedRequest): Span;
  /** Sends what waits. */
  close(): Promise<void>;
}

/** Undefined where there is no such file. Rejects for one that cannot be used. */
export async function openTracing(path: string, instanceId: string): Promise<Tracing | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  let configuration;
  try {
    configuration = parseTracingConfiguration(text);
  } catch (err) {
    throw new Error(`failed to read tracing configuration from file "${path}": ${(err as Error).message}`, { cause: err });
  }
  const { startOpenTelemetry } = await import('./open-telemetry.ts');
  return startOpenTelemetry(configuration, instanceId);
}

/** `GET /api/v1/namespaces/{:namespace}/pods/{:name}`: names that a request chooses stay out, as in upstream's. */
export function requestSpanName(method: string, info: RequestInfo): string {
  if (!info.isResourceRequest) return method;
  const group = info.apiGroup === '' ? `/api/${info.apiVersion}` : `/apis/${info.apiGroup}/${info.apiVersion}`;
  return `${method} ${group}${info.namespace === '' ? '' : '/namespaces/{:namespace}'}/${info.resource}${info.name === '' ? '' : '/{:name}'}${info.subresource === '' ? '' : `/${info.subresource}`}`;
}
/** Whose traces are gone on with. Other clients' are only linked: they may not decide what is recorded. */
export function mayDecide(user: UserInfo): boolean {
  return user.groups.includes('system:masters') || user.groups.includes('system:monitoring');
}
