/**
 * What the API server needs to reach kubelets, Pods and Services. The cluster injects it: over HTTPS and upgrades for nodes anywhere
 * (`#machinery/httpstream/upgrade-proxy.ts`), or straight into a kubelet of the same process.
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { UserInfo } from '../interfaces.ts';
import type { ApiRequest, ApiResult } from '../request.ts';

export interface KubeletTarget {
  readonly node: coreV1.Node;
  /** Path and query on the kubelet's server: `/containerLogs/default/web/nginx?follow=true`. */
  readonly path: string;
  readonly user: UserInfo;
}
export interface AddressTarget {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** Path and query. */
  readonly path: string;
}
/** A plain answer. The body must be read or cancelled (`return()`). */
export interface ProxyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: AsyncIterable<Uint8Array>;
}
export interface NodeProxy {
  /** A request without a body to the kubelet. Rejects when it cannot be reached. */
  send(method: 'GET' | 'POST' | 'DELETE', target: KubeletTarget, signal: AbortSignal): Promise<ProxyAnswer>;
  /** Joins the client's upgraded connection (`request.upgrade`) to the kubelet's; resolves with `hijacked`, or with the kubelet's refusal. */
  upgrade(target: KubeletTarget, request: ApiRequest): Promise<ApiResult>;
  /** Forwards the whole request, upgrades included, to a Pod, a Service's endpoint or a node. Hop-by-hop headers and the client's credentials stay behind. */
  forward(target: AddressTarget | KubeletTarget, request: ApiRequest): Promise<ApiResult>;
}
