/** The paths of the kubelet's server. */
import type { MetricsKind } from './interfaces.ts';

/** A container of a Pod; `uid` guards against another Pod of the same name. */
export interface ContainerRef {
  readonly namespace: string;
  readonly pod: string;
  readonly uid?: string | undefined;
  readonly container: string;
}
export type Route =
  | { readonly kind: 'healthz'; readonly check: string }
  | { readonly kind: 'pods' | 'runningpods' | 'summary' | 'configz' | 'storage' }
  /** What follows `/logs` in the path, as it came. */
  | { readonly kind: 'nodeLogs'; readonly path: string }
  | { readonly kind: 'metrics'; readonly metrics: MetricsKind }
  | ({ readonly kind: 'logs' | 'run' | 'checkpoint' } & ContainerRef)
  | CommandRoute
  | PortForwardRoute;
export type CommandRoute = { readonly kind: 'exec' | 'attach' } & ContainerRef;
export type PortForwardRoute = { readonly kind: 'portForward' } & Omit<ContainerRef, 'container'>;
export type StreamingRoute = CommandRoute | PortForwardRoute;

const METRICS: Readonly<Record<string, MetricsKind>> = { '': 'kubelet', resource: 'resource', cadvisor: 'cadvisor', probes: 'probes' };

/** The route of a path; undefined when there is none. */
export function routeOf(path: string): Route | undefined {
  let parts: string[];
  try {
    parts = path.replace(/^\/|\/$/g, '').split('/').map(decodeURIComponent);
  } catch {
    return undefined;
  }
  const [root, ...rest] = parts as [string, ...string[]];
  switch (root) {
    case 'healthz':
      return rest.length <= 1 ? { kind: 'healthz', check: rest[0] ?? '' } : undefined;
    case 'pods':
    case 'runningpods':
    case 'configz':
    case 'storage':
      return rest.length === 0 ? { kind: root } : undefined;
    case 'logs':
      return { kind: 'nodeLogs', path: path.slice('/logs'.length) };
    case 'stats':
      return rest.length === 1 && rest[0] === 'summary' ? { kind: 'summary' } : undefined;
    case 'metrics': {
      const metrics = Object.hasOwn(METRICS, rest[0] ?? '') && rest.length <= 1 ? METRICS[rest[0] ?? ''] : undefined;
      return metrics && { kind: 'metrics', metrics };
    }
    case 'containerLogs':
      return rest.length === 3 ? containerRoute('logs', rest) : undefined;
    case 'checkpoint':
      return rest.length === 3 ? containerRoute('checkpoint', rest) : undefined;
    case 'run':
    case 'exec':
    case 'attach':
      return rest.length === 3 || rest.length === 4 ? containerRoute(root, rest) : undefined;
    case 'portForward': {
      const [namespace = '', pod = '', uid] = rest;
      return rest.length === 2 || rest.length === 3 ? { kind: 'portForward', namespace, pod, uid } : undefined;
    }
    default:
      return undefined;
  }
}

function containerRoute(kind: 'logs' | 'run' | 'checkpoint' | 'exec' | 'attach', parts: readonly string[]): Route {
  const [namespace = '', pod = ''] = parts;
  return { kind, namespace, pod, uid: parts.length === 4 ? parts[2] : undefined, container: parts.at(-1)! };
}
